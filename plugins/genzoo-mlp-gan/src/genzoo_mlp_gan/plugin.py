"""What this distribution brings to genzoo."""

from __future__ import annotations

import genzoo


@genzoo.hookimpl
def genzoo_architectures() -> list[genzoo.Architecture]:
    """Return `mlp-gan`."""
    return [
        genzoo.Architecture(
            name="mlp-gan",
            summary="Fully connected GAN: small images of any size, quick to train on a CPU.",
            paper="arXiv:1406.2661",
            objective="adversarial",
            config="genzoo_mlp_gan.config:MLPGANConfig",
            networks="genzoo_mlp_gan.networks:build",
        )
    ]
