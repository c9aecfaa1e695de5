"""What this distribution brings to genzoo: the architecture `sngan`, its config and a model."""

from pathlib import Path

from pydantic import Field

import genzoo


class SNGANConfig(genzoo.Config):
    """How wide the networks are; the defaults are a quarter of the paper's, for two cores."""

    latent_dim: int = Field(128, ge=1, le=4096)
    """Length Z of the latent."""

    generator_channels: int = Field(64, ge=1, le=2048)
    """Channels of every block of the generator; the paper has 256."""

    discriminator_channels: int = Field(32, ge=1, le=2048)
    """Channels of every block of the discriminator; the paper has 128."""


@genzoo.hookimpl
def genzoo_architectures() -> list[genzoo.Architecture]:
    """Return `sngan`."""
    return [
        genzoo.Architecture(
            name="sngan",
            summary="residual networks, the discriminator spectrally normalized",
            objective="adversarial",
            config="genzoo_sngan.plugin:SNGANConfig",
            networks="genzoo_sngan.networks:build",
            paper="arXiv:1802.05957",
        )
    ]


@genzoo.hookimpl
def genzoo_zoo_configs() -> list[Path]:
    """Return the zoo config of `sngan-mnist`."""
    return [Path(__file__).parent / "sngan-mnist.yaml"]
