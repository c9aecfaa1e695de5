"""Fully connected generator and discriminator (Goodfellow et al. 2014, arXiv:1406.2661).

The class enters the generator as an embedding beside the latent, and the discriminator as a
projection: logit = psi(phi(x)) + <embedding(y), phi(x)> (Miyato & Koyama 2018, arXiv:1802.05637).
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from genzoo import ImageSpec, LabelError, UnsupportedError
from genzoo_mlp_gan.config import MLPGANConfig
from genzoo_mlp_gan.gabor import draw_with_gabor_filters, see_by_gabor_filters

__all__ = ["MAX_VALUES", "Discriminator", "Generator", "build"]

MAX_VALUES = 3 * 128 * 128
"""Values (channels x height x width) above which the first and last layers dwarf all others."""

NEGATIVE_SLOPE = 0.2


def build(image: ImageSpec, config: MLPGANConfig) -> dict[str, nn.Module]:
    """Return the roles generator and discriminator.

    Raises UnsupportedError for images of more than MAX_VALUES values.
    """
    values = image.channels * image.height * image.width
    if values > MAX_VALUES:
        raise UnsupportedError(
            f"mlp-gan cannot make {image.channels}x{image.height}x{image.width} images: "
            f"that is {values} values, and its limit is {MAX_VALUES}.",
            hint="Use a convolutional architecture such as dcgan, or smaller images.",
        )
    return {"generator": Generator(image, config), "discriminator": Discriminator(image, config)}


class Generator(nn.Module):
    """Linear layers with LayerNorm and LeakyReLU, then one to the image.

    LayerNorm rather than BatchNorm, so that in training, too, an image depends on its latent alone.
    Weights start as in He et al. 2015 (arXiv:1502.01852) or, to the image, as Gabor filters, biases
    at zero, embeddings at N(0, 1), the scale of the latent.
    """

    def __init__(self, image: ImageSpec, config: MLPGANConfig) -> None:
        super().__init__()
        self.latent_dim = config.latent_dim
        self.image_shape = (image.channels, image.height, image.width)
        inputs = config.latent_dim
        self.embedding: nn.Embedding | None = None
        if image.classes is not None:
            self.embedding = nn.Embedding(image.classes, config.class_dim)
            inputs += config.class_dim
        widths = config.generator_widths
        self.hidden = nn.Sequential(*map(_normed_layer, [inputs, *widths], widths))
        self.to_image = nn.Linear(widths[-1], math.prod(self.image_shape))
        self.apply(_init_linear)
        if config.filters == "gabor":
            draw_with_gabor_filters(self.to_image, self.image_shape)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] for latents (B, Z) and labels (B,)."""
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(_required(labels))], dim=1)
        return torch.tanh(self.to_image(self.hidden(z))).view(-1, *self.image_shape)


class Discriminator(nn.Module):
    """Linear layers with LeakyReLU, and dropout where the config asks for it, then a linear head.

    Weights start as in He et al. 2015 or, from the image, as Gabor filters, biases at zero,
    embeddings at variance 1 / features.
    """

    def __init__(self, image: ImageSpec, config: MLPGANConfig) -> None:
        super().__init__()
        widths = config.discriminator_widths
        image_shape = (image.channels, image.height, image.width)
        inputs = [math.prod(image_shape), *widths]
        self.hidden = nn.Sequential(
            *(_plain_layer(i, o, config.dropout) for i, o in zip(inputs, widths, strict=False))
        )
        self.head = nn.Linear(widths[-1], 1)
        self.embedding: nn.Embedding | None = None
        self.apply(_init_linear)
        if config.filters == "gabor":
            first = self.hidden[0].linear
            assert isinstance(first, nn.Linear)
            see_by_gabor_filters(first, image_shape)
        if image.classes is not None:
            self.embedding = nn.Embedding(image.classes, widths[-1])
            nn.init.normal_(self.embedding.weight, std=widths[-1] ** -0.5)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B,) for images (B, C, H, W) in [-1, 1] and labels (B,)."""
        features = self.hidden(images.flatten(1))
        logits: Tensor = self.head(features).squeeze(1)
        if self.embedding is not None:
            logits = logits + (self.embedding(_required(labels)) * features).sum(1)
        return logits


def _normed_layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            linear=nn.Linear(inputs, outputs),
            norm=nn.LayerNorm(outputs),
            act=nn.LeakyReLU(NEGATIVE_SLOPE),
        )
    )


def _plain_layer(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            linear=nn.Linear(inputs, outputs),
            act=nn.LeakyReLU(NEGATIVE_SLOPE),
            dropout=nn.Dropout(dropout),
        )
    )


def _required(labels: Tensor | None) -> Tensor:
    if labels is None:
        raise LabelError(
            "this mlp-gan was built with classes, and no labels were given.",
            hint="Give one label for each image.",
        )
    return labels


def _init_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.kaiming_normal_(module.weight, NEGATIVE_SLOPE, nonlinearity="leaky_relu")
        nn.init.zeros_(module.bias)
