"""What this distribution brings to genzoo."""

from __future__ import annotations

import genzoo


@genzoo.hookimpl
def genzoo_architectures() -> list[genzoo.Architecture]:
    """Return `dcgan`."""
    return [
        genzoo.Architecture(
            name="dcgan",
            summary="Deep convolutional GAN: transposed convolutions against strided ones.",
            paper="arXiv:1511.06434",
            objective="adversarial",
            config="genzoo_dcgan.config:DCGANConfig",
            networks="genzoo_dcgan.networks:build",
        )
    ]
