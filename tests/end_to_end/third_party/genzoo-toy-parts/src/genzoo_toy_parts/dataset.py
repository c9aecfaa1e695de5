"""`toy-stripes`: a dataset that is computed."""

from pathlib import Path

import torch

from genzoo import ImageSpec
from genzoo.data.fitting import Split, TensorImages, fit_tensors

from .configs import StripesConfig


def stripes(
    config: StripesConfig, image: ImageSpec, split: Split, root: Path | None
) -> TensorImages:
    """Return stripes of two pixels, upright for class 0 and level for class 1."""
    position = torch.arange(image.height), torch.arange(image.width)
    row, column = torch.meshgrid(*position, indexing="ij")
    pictures = torch.stack([column // 2 % 2, row // 2 % 2]).mul(255).to(torch.uint8)
    labels = torch.arange(config.count) % 2
    return fit_tensors(
        "toy-stripes", pictures[labels].unsqueeze(1), labels, ("upright", "level"), image
    )
