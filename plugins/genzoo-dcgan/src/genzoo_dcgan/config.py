"""The config of `dcgan`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genzoo import Config

__all__ = ["DCGANConfig"]


class DCGANConfig(Config):
    """What `dcgan` builds; the number of stages follows the image size."""

    latent_dim: int = Field(64, ge=1, le=4096)
    """Length Z of the latent."""

    class_dim: int = Field(64, ge=1, le=1024)
    """Length of the class embedding that joins the latent; unused without classes."""

    generator_channels: int = Field(32, ge=1, le=1024)
    """Feature maps of the generator at the image's own resolution, doubled at each halving."""

    discriminator_channels: int = Field(48, ge=1, le=1024)
    """Feature maps of the discriminator after the first halving, doubled at each further one."""

    max_channels: int = Field(384, ge=1, le=4096)
    """Feature maps that neither network exceeds."""

    discriminator_norm: Literal["none", "batch"] = "none"
    """'batch' is the paper's BatchNorm, which makes R1 and its like depend on the whole batch."""
