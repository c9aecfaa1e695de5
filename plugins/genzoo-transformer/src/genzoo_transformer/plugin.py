"""What this distribution brings to genzoo."""

from __future__ import annotations

import genzoo


@genzoo.hookimpl
def genzoo_architectures() -> list[genzoo.Architecture]:
    """Return `transformer-gan`."""
    return [
        genzoo.Architecture(
            name="transformer-gan",
            summary="Transformer over patch tokens against a convolutional discriminator.",
            paper="arXiv:2107.04589",
            objective="adversarial",
            config="genzoo_transformer.config:TransformerGANConfig",
            networks="genzoo_transformer.networks:build",
        )
    ]
