"""The networks of `new-name`: a small convolutional generator and discriminator."""

import math

import torch
from torch import Tensor, nn

from genzoo import ImageSpec, UnsupportedError

from .config import NewNameConfig


def build(image: ImageSpec, config: NewNameConfig) -> dict[str, nn.Module]:
    """Return the networks by role, freshly initialized, for images of such a size."""
    if image.height % 4 or image.width % 4:
        raise UnsupportedError(
            f"new-name cannot make {image.height}x{image.width} images: it halves sides twice.",
            hint="Use a height and a width that are multiples of 4.",
        )
    return {"generator": Generator(image, config), "discriminator": Discriminator(image, config)}


class Generator(nn.Module):
    """Latents (B, Z) and labels (B,), or None, to images (B, C, H, W) in [-1, 1]."""

    def __init__(self, image: ImageSpec, config: NewNameConfig) -> None:
        super().__init__()
        self.latent_dim = config.latent_dim  # the objective reads Z here
        width = config.channels
        self.base = (4 * width, image.height // 4, image.width // 4)
        self.embedding = nn.Embedding(image.classes, config.latent_dim) if image.classes else None
        inputs = config.latent_dim * (2 if image.classes else 1)
        self.project = nn.Linear(inputs, math.prod(self.base))
        self.layers = nn.Sequential(
            *_up(4 * width, 2 * width),
            *_up(2 * width, width),
            nn.Conv2d(width, image.channels, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1]."""
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(labels)], dim=1)
        images: Tensor = self.layers(self.project(z).view(-1, *self.base))
        return images


class Discriminator(nn.Module):
    """Images (B, C, H, W) and labels (B,), or None, to logits (B,), high for real images."""

    def __init__(self, image: ImageSpec, config: NewNameConfig) -> None:
        super().__init__()
        width = config.channels
        self.layers = nn.Sequential(
            *_down(image.channels, width, stride=1),
            *_down(width, 2 * width, stride=2),
            *_down(2 * width, 4 * width, stride=2),
            nn.Flatten(),
        )
        features = 4 * width * (image.height // 4) * (image.width // 4)
        self.head = nn.Linear(features, 1)
        self.embedding = nn.Embedding(image.classes, features) if image.classes else None

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Return logits (B,)."""
        features = self.layers(images)
        logits: Tensor = self.head(features).squeeze(1)
        if self.embedding is not None:  # projection (Miyato & Koyama 2018)
            logits = logits + (self.embedding(labels) * features).mean(1)
        return logits


def _up(inputs: int, outputs: int) -> list[nn.Module]:
    """Double the sides."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
    return [nn.Upsample(scale_factor=2), convolution, nn.GroupNorm(8, outputs), nn.SiLU()]


def _down(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """Divide the sides by the stride."""
    return [nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.LeakyReLU(0.2)]
