"""What the discriminator sees, changed alike for real and generated images.

Augmentation, so that a small dataset is not learnt by heart (DiffAugment, Zhao et al. 2020,
arXiv:2006.10738), and noise, so that the two kinds of images overlap. Gradients pass through to the
generator.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genzoo.noise import NoiseSource
from genzoo.objectives.configs import AdversarialConfig, AugmentationConfig

__all__ = ["add_instance_noise", "augment", "instance_noise_scale"]


def augment(images: Tensor, config: AugmentationConfig, noise: NoiseSource) -> Tensor:
    """Return images (B, C, H, W), each coloured, shifted and cut by its own row of `noise`."""
    if config.colour:
        images = _recolour(images, config.colour, noise)
    if config.translation:
        images = _translate(images, config, noise)
    if config.cutout:
        images = _cut_out(images, config.cutout, noise)
    return images


def instance_noise_scale(config: AdversarialConfig, step: int) -> float:
    """Return the standard deviation of instance noise at `step`, counted from 0.

    It falls linearly from `instance_noise` to 0, which it reaches after `instance_noise_steps`.
    """
    if config.instance_noise_steps == 0:
        return config.instance_noise
    return config.instance_noise * max(0.0, 1 - step / config.instance_noise_steps)


def add_instance_noise(images: Tensor, scale: float, noise: NoiseSource) -> Tensor:
    """Return images (B, C, H, W) with Gaussian noise; a `scale` of 0 draws none.

    Where real and generated images overlap, a discriminator has a gradient to give (Sønderby et al.
    2017, arXiv:1610.04490; Arjovsky and Bottou 2017, arXiv:1701.04862).
    """
    return images + scale * noise.normal(*images.shape[1:]) if scale else images


def _recolour(images: Tensor, strength: float, noise: NoiseSource) -> Tensor:
    """Change brightness by up to 0.5 either way, saturation by a factor of 0 to 2, contrast by 0.5
    to 1.5, all times `strength`; images of one channel have no saturation, and keep it.
    """
    ways = strength * (2 * noise.uniform(3, 1, 1, 1) - 1)  # (B, 3, 1, 1, 1), around 0
    brightness, saturation, contrast = ways.unbind(1)
    images = images + brightness / 2
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (1 + saturation)
    level = images.mean(dim=(1, 2, 3), keepdim=True)
    return level + (images - level) * (1 + contrast / 2)


def _translate(images: Tensor, config: AugmentationConfig, noise: NoiseSource) -> Tensor:
    """Shift by whole pixels, up to `translation` of a side either way."""
    height, width = images.shape[2:]
    ways = noise.uniform(2)  # (B, 2)
    rows = _sources(height, config.translation, ways[:, 0])
    columns = _sources(width, config.translation, ways[:, 1])
    from_rows = rows.clamp(0, height - 1)[:, None, :, None].expand_as(images)
    from_columns = columns.clamp(0, width - 1)[:, None, None, :].expand_as(images)
    shifted = images.gather(2, from_rows).gather(3, from_columns)
    if config.padding == "border":
        return shifted
    outside = (rows != rows.clamp(0, height - 1))[:, None, :, None]
    outside = outside | (columns != columns.clamp(0, width - 1))[:, None, None, :]
    return shifted.masked_fill(outside, 0.0)


def _sources(size: int, share: float, ways: Tensor) -> Tensor:
    """Return where each of `size` places of B images takes its pixel from, int64 (B, size).

    Outside of 0 ... size - 1 where a shift has uncovered it.
    """
    most = round(size * share)
    shifts = (ways * (2 * most + 1)).long() - most
    places = torch.arange(size, device=ways.device)
    return places - shifts[:, None]


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
