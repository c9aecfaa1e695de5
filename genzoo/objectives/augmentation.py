"""What the discriminator sees, changed alike for real and generated images, so that a small dataset
is not learnt by heart (DiffAugment, Zhao et al. 2020, arXiv:2006.10738).

Gradients pass through to the generator.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genzoo.noise import NoiseSource
from genzoo.objectives.configs import AugmentationConfig

__all__ = ["augment"]


def augment(images: Tensor, config: AugmentationConfig, noise: NoiseSource) -> Tensor:
    """Return images (B, C, H, W), each shifted and cut by its own row of `noise`."""
    if config.translation:
        images = _translate(images, config.translation, noise)
    if config.cutout:
        images = _cut_out(images, config.cutout, noise)
    return images


def _translate(images: Tensor, share: float, noise: NoiseSource) -> Tensor:
    """Shift by whole pixels, up to `share` of a side either way; the border's pixels fill up."""
    height, width = images.shape[2:]
    ways = noise.uniform(2)  # (B, 2)
    rows = _shifted(height, share, ways[:, 0])[:, None, :, None].expand_as(images)
    columns = _shifted(width, share, ways[:, 1])[:, None, None, :].expand_as(images)
    return images.gather(2, rows).gather(3, columns)


def _shifted(size: int, share: float, ways: Tensor) -> Tensor:
    """Return where each of `size` places of B images takes its pixel from, int64 (B, size)."""
    most = round(size * share)
    shifts = (ways * (2 * most + 1)).long() - most
    places = torch.arange(size, device=ways.device)
    return (places - shifts[:, None]).clamp(0, size - 1)


def _cut_out(images: Tensor, share: float, noise: NoiseSource) -> Tensor:
    """Set a rectangle of `share` of each side, its centre anywhere, to 0: mid grey."""
    height, width = images.shape[2:]
    centres = noise.uniform(2)  # (B, 2)
    rows = _covered(height, share, centres[:, 0])[:, None, :, None]
    columns = _covered(width, share, centres[:, 1])[:, None, None, :]
    return images.masked_fill(rows & columns, 0.0)


def _covered(size: int, share: float, centres: Tensor) -> Tensor:
    """Return which of `size` places of B images are covered, bool (B, size)."""
    places = (torch.arange(size, device=centres.device) + 0.5) / size
    return (places - centres[:, None]).abs() < share / 2
