"""What this distribution brings to genzoo."""

from pathlib import Path

import genzoo


@genzoo.hookimpl
def genzoo_architectures() -> list[genzoo.Architecture]:
    """Return `toy-gan`."""
    return [
        genzoo.Architecture(
            name="toy-gan",
            summary="Two layers against two layers, for small images.",
            paper="arXiv:1406.2661",
            objective="adversarial",
            config="genzoo_toy.config:ToyGANConfig",
            networks="genzoo_toy.networks:build",
        )
    ]


@genzoo.hookimpl
def genzoo_zoo_configs() -> list[Path]:
    """Return the folder of this plugin's zoo configs."""
    return [Path(__file__).parent / "zoo"]
