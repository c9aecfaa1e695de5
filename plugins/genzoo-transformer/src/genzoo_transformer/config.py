"""The config of `transformer-gan`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from genzoo import Config

__all__ = ["TransformerGANConfig"]


class TransformerGANConfig(Config):
    """How the generator cuts and draws an image, and how wide the discriminator is."""

    latent_dim: int = Field(64, ge=1, le=4096)
    """Size Z of the latent."""

    patch_size: int | None = Field(None, ge=1, le=64)
    """Side of a patch in pixels; by default the smallest from 2 to 16 with at most 64 patches."""

    width: int = Field(96, ge=8, le=2048)
    """Size of a token."""

    depth: int = Field(4, ge=1, le=48)
    """Transformer blocks."""

    heads: int = Field(4, ge=1, le=32)
    """Attention heads; they divide the width."""

    mlp_ratio: int = Field(2, ge=1, le=8)
    """Hidden size of a block's MLP, as a multiple of the width."""

    pixel_features: int = Field(8, ge=1, le=128)
    """Features per pixel that the tokens hand to the convolution that draws the image."""

    discriminator_channels: int = Field(48, ge=8, le=512)
    """Channels of the discriminator at half resolution; they double up to four times this."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self
