"""The networks of `new-name-net`."""

import math

import torch
from torch import Tensor, nn

from genzoo import ImageSpec, UnsupportedError

from .config import NewNameNetConfig

_LARGEST = 64  # pixels on a side: fully connected layers grow with their square


def build(image: ImageSpec, config: NewNameNetConfig) -> dict[str, nn.Module]:
    """Return the role that the objective `new-name` trains."""
    if max(image.height, image.width) > _LARGEST:
        raise UnsupportedError(
            f"new-name-net cannot make {image.height}x{image.width} images: they are too large.",
            hint=f"Use sides of at most {_LARGEST} pixels.",
        )
    return {"generator": Generator(image, config)}


class Generator(nn.Module):
    """Latents (B, Z) and labels (B,), or None, to images (B, C, H, W) in [-1, 1]."""

    def __init__(self, image: ImageSpec, config: NewNameNetConfig) -> None:
        super().__init__()
        self.latent_dim = config.latent_dim  # the objective reads Z here
        self.shape = (image.channels, image.height, image.width)
        self.embedding = nn.Embedding(image.classes, config.latent_dim) if image.classes else None
        inputs = config.latent_dim * (2 if image.classes else 1)
        self.layers = nn.Sequential(
            nn.Linear(inputs, config.width),
            nn.SiLU(),
            nn.Linear(config.width, config.width),
            nn.SiLU(),
            nn.Linear(config.width, math.prod(self.shape)),
            nn.Tanh(),
        )

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1]."""
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(labels)], dim=1)
        images: Tensor = self.layers(z)
        return images.view(-1, *self.shape)
