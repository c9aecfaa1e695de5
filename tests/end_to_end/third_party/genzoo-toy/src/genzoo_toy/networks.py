"""The networks of `toy-gan`. This module alone imports torch."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genzoo import ImageSpec, UnsupportedError

from .config import ToyGANConfig


def build(image: ImageSpec, config: ToyGANConfig) -> dict[str, nn.Module]:
    """Return the roles that the objective `adversarial` needs."""
    if max(image.height, image.width) > 32:
        raise UnsupportedError(
            f"toy-gan cannot make {image.height}x{image.width} images: its limit is 32x32.",
            hint="Make the images smaller, or use another architecture, such as dcgan.",
        )
    return {"generator": Generator(image, config), "discriminator": Discriminator(image, config)}


class Generator(nn.Module):
    def __init__(self, image: ImageSpec, config: ToyGANConfig) -> None:
        super().__init__()
        self.latent_dim = config.latent_dim  # the objective reads Z here
        self.shape = (image.channels, image.height, image.width)
        self.classes = nn.Embedding(image.classes, config.width) if image.classes else None
        self.hidden = nn.Linear(config.latent_dim, config.width)
        self.pixels = nn.Linear(config.width, math.prod(self.shape))

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:  # z (B, Z), labels (B,)
        hidden = self.hidden(z)
        if self.classes is not None:
            hidden = hidden + self.classes(labels)
        images = torch.tanh(self.pixels(F.leaky_relu(hidden, 0.2)))
        return images.view(-1, *self.shape)  # (B, C, H, W) in [-1, 1]


class Discriminator(nn.Module):
    def __init__(self, image: ImageSpec, config: ToyGANConfig) -> None:
        super().__init__()
        self.classes = nn.Embedding(image.classes, config.width) if image.classes else None
        self.hidden = nn.Linear(image.channels * image.height * image.width, config.width)
        self.logit = nn.Linear(config.width, 1)

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:  # images (B, C, H, W)
        hidden = self.hidden(images.flatten(1))
        if self.classes is not None:
            hidden = hidden + self.classes(labels)
        logits: Tensor = self.logit(F.leaky_relu(hidden, 0.2))
        return logits.squeeze(1)  # (B,)
