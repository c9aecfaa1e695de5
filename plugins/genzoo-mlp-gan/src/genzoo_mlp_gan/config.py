"""The config of `mlp-gan`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from genzoo import Config

__all__ = ["MLPGANConfig"]

Width = Annotated[int, Field(ge=1, le=8192)]


class MLPGANConfig(Config):
    """What `mlp-gan` builds."""

    latent_dim: int = Field(64, ge=1, le=4096)
    """Length Z of the latent."""

    class_dim: int = Field(64, ge=1, le=1024)
    """Length of the class embedding that joins the latent; unused without classes."""

    generator_widths: tuple[Width, ...] = Field((256, 512, 1024), min_length=1, max_length=16)
    """Widths of the generator's hidden layers, from the latent to the image."""

    discriminator_widths: tuple[Width, ...] = Field((1024, 512, 256), min_length=1, max_length=16)
    """Widths of the discriminator's hidden layers, from the image to the logit."""

    dropout: float = Field(0.0, ge=0.0, le=0.9)
    """Share of the discriminator's hidden units that training drops."""

    filters: Literal["noise", "gabor"] = "noise"
    """What training starts from where weights meet pixels: weights that are independent, or Gabor
    filters, which know that neighbouring pixels go together."""
