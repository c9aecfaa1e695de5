"""What this distribution brings to genzoo."""

from __future__ import annotations

import genzoo


@genzoo.hookimpl
def genzoo_architectures() -> list[genzoo.Architecture]:
    """Return `transformer-gan` and `pixel-transformer`."""
    return [
        genzoo.Architecture(
            name="transformer-gan",
            summary="Transformer over patch tokens against a convolutional discriminator.",
            paper="arXiv:2107.04589",
            objective="adversarial",
            config="genzoo_transformer.config:TransformerGANConfig",
            networks="genzoo_transformer.networks:build",
        ),
        genzoo.Architecture(
            name="pixel-transformer",
            summary="Decoder-only transformer that reads and draws an image patch by patch.",
            paper="arXiv:1802.05751",
            objective="autoregressive",
            config="genzoo_transformer.config:PixelTransformerConfig",
            networks="genzoo_transformer.pixel_transformer:build",
        ),
    ]


@genzoo.hookimpl
def genzoo_objectives() -> list[genzoo.Objective]:
    """Return `autoregressive`."""
    return [
        genzoo.Objective(
            name="autoregressive",
            summary="a network predicts each pixel from those before it",
            config="genzoo_transformer.config:AutoregressiveConfig",
            factory="genzoo_transformer.autoregressive:Autoregressive",
            paper="arXiv:1601.06759",
        )
    ]
