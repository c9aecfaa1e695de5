"""`new-name`: shapes that are computed, so that there is nothing to download."""

from pathlib import Path

import torch
from torch import Tensor

from genzoo import ImageSpec
from genzoo.data.fitting import Split, TensorImages, fit_tensors

from .config import NewNameConfig

_NAMES = ("disc", "square", "triangle")


def build(config: NewNameConfig, image: ImageSpec, split: Split, root: Path | None) -> TensorImages:
    """Return a split, fitted to `image`; `root` is the folder of --data, for sets with files."""
    count = config.count if split == "train" else max(config.count // 10, len(_NAMES))
    random = torch.Generator().manual_seed(0 if split == "train" else 1)
    labels = torch.randint(len(_NAMES), (count,), generator=random)
    places = torch.rand(count, 3, generator=random)
    pictures = _draw(labels, places, image.height, image.width)
    return fit_tensors("new-name", pictures, labels, _NAMES, image)


def _draw(labels: Tensor, places: Tensor, height: int, width: int) -> Tensor:
    """Return uint8 images (N, 1, height, width) of one shape each, white on black."""
    rows = torch.linspace(0, 1, height).view(1, -1, 1)
    columns = torch.linspace(0, 1, width).view(1, 1, -1)
    radius, top, left = (places * torch.tensor([0.2, 0.4, 0.4]) + torch.tensor([0.15, 0.3, 0.3])).T
    y, x = rows - top.view(-1, 1, 1), columns - left.view(-1, 1, 1)
    r = radius.view(-1, 1, 1)
    inside = torch.stack(
        [
            y**2 + x**2 < r**2,
            torch.maximum(y.abs(), x.abs()) < 0.8 * r,
            (y < 0.7 * r) & (2 * x.abs() < y + 0.9 * r),
        ]
    )
    shapes = inside[labels, torch.arange(len(labels))]
    return shapes.unsqueeze(1).mul(255).to(torch.uint8)
