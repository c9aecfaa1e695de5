"""What this distribution brings to genzoo. It is imported to be listed: no torch here."""

from pathlib import Path

import genzoo


@genzoo.hookimpl
def genzoo_objectives() -> list[genzoo.Objective]:
    """Return `new-name`."""
    return [
        genzoo.Objective(
            name="new-name",
            summary="SUMMARY",
            config="genzoo_new_name.config:NewNameConfig",
            factory="genzoo_new_name.objective:NewNameObjective",
            paper="arXiv:1502.02761",
        )
    ]


@genzoo.hookimpl
def genzoo_architectures() -> list[genzoo.Architecture]:
    """Return `new-name-net`, so that there is something to train."""
    return [
        genzoo.Architecture(
            name="new-name-net",
            summary="A small fully connected generator.",
            objective="new-name",
            config="genzoo_new_name.config:NewNameNetConfig",
            networks="genzoo_new_name.networks:build",
        )
    ]


@genzoo.hookimpl
def genzoo_zoo_configs() -> list[Path]:
    """Return the folder of this distribution's models."""
    return [Path(__file__).parent / "zoo"]
