"""The configs of `new-name`: no torch here, for a zoo config is checked without it."""

from pydantic import Field

from genzoo import Config


class NewNameConfig(Config):
    """How `new-name` compares images."""

    bandwidths: tuple[float, ...] = (0.1, 0.5, 2.0)
    """Of the Gaussian kernels, as multiples of the mean squared distance between images."""


class NewNameNetConfig(Config):
    """What `new-name-net` builds."""

    latent_dim: int = Field(16, ge=1, le=1024)
    """Length Z of the latent."""

    width: int = Field(256, ge=1, le=4096)
    """Units in each hidden layer."""
