"""What this distribution gives to genzoo. It must stay torch-free: listing imports it."""

from __future__ import annotations

from genzoo.registry.hookspecs import hookimpl
from genzoo.registry.specs import Architecture


@hookimpl
def genzoo_architectures() -> list[Architecture]:
    """Return the convolutional VAE."""
    return [
        Architecture(
            name="vae",
            api_version=1,
            summary="Convolutional variational autoencoder with residual blocks",
            paper="arXiv:1312.6114",
            objective="variational",
            config="genzoo_vae.config:VAEConfig",
            networks="genzoo_vae.networks:build",
        )
    ]
