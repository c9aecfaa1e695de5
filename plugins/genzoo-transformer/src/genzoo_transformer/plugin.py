"""What this distribution gives to genzoo. It must stay torch-free: listing imports it."""

from __future__ import annotations

from genzoo.registry.hookspecs import hookimpl
from genzoo.registry.specs import Architecture


@hookimpl
def genzoo_architectures() -> list[Architecture]:
    """Return the transformer GAN."""
    return [
        Architecture(
            name="transformer-gan",
            api_version=1,
            summary="Transformer over patch tokens against a convolutional discriminator",
            paper="arXiv:2107.04589",
            objective="adversarial",
            config="genzoo_transformer.config:TransformerGANConfig",
            networks="genzoo_transformer.networks:build",
        )
    ]
