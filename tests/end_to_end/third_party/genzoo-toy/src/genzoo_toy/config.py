"""The config of `toy-gan`."""

from pydantic import Field

from genzoo import Config


class ToyGANConfig(Config):
    """What `toy-gan` builds."""

    latent_dim: int = Field(16, ge=1, le=1024)
    """Length Z of the latent."""

    width: int = Field(128, ge=1, le=4096)
    """Units in the hidden layer of each network."""
