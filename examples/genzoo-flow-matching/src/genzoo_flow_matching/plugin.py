"""What this distribution brings to genzoo: nothing here imports torch."""

from __future__ import annotations

from pathlib import Path

import genzoo


@genzoo.hookimpl
def genzoo_objectives() -> list[genzoo.Objective]:
    """Return `flow-matching`."""
    return [
        genzoo.Objective(
            name="flow-matching",
            summary="a network learns the velocity that carries noise to images",
            config="genzoo_flow_matching.config:FlowMatchingConfig",
            factory="genzoo_flow_matching.objective:FlowMatching",
            paper="arXiv:2210.02747",
        )
    ]


@genzoo.hookimpl
def genzoo_architectures() -> list[genzoo.Architecture]:
    """Return `flow-unet`."""
    return [
        genzoo.Architecture(
            name="flow-unet",
            summary="a small U-Net that sees the time and the class",
            objective="flow-matching",
            config="genzoo_flow_matching.config:FlowUNetConfig",
            networks="genzoo_flow_matching.networks:build",
            paper="arXiv:1505.04597",
        )
    ]


@genzoo.hookimpl
def genzoo_callbacks() -> list[genzoo.Callback]:
    """Return `flow-paths`."""
    return [
        genzoo.Callback(
            name="flow-paths",
            summary="draws the way from noise to image, for models of flow-matching",
            factory="genzoo_flow_matching.callback:Paths",
        )
    ]


@genzoo.hookimpl
def genzoo_zoo_configs() -> list[Path]:
    """Return the folder of this distribution's models."""
    return [Path(__file__).parent / "zoo"]
