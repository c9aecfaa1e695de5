"""What this distribution brings to genzoo."""

from __future__ import annotations

import genzoo


@genzoo.hookimpl
def genzoo_architectures() -> list[genzoo.Architecture]:
    """Return `vae`."""
    return [
        genzoo.Architecture(
            name="vae",
            summary="Convolutional variational autoencoder with residual blocks.",
            paper="arXiv:1312.6114",
            objective="variational",
            config="genzoo_vae.config:VAEConfig",
            networks="genzoo_vae.networks:build",
        )
    ]
