"""The config of `new-name`: no torch here, for a zoo config is checked without it."""

from pydantic import Field

from genzoo import Config


class NewNameConfig(Config):
    """What `new-name` builds."""

    latent_dim: int = Field(32, ge=1, le=1024)
    """Length Z of the latent."""

    channels: int = Field(16, ge=8, le=512, multiple_of=8)
    """Channels at full resolution; twice as many at half, four times as many at a quarter."""
