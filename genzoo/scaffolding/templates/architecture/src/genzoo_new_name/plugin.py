"""What this distribution brings to genzoo. It is imported to be listed: no torch here."""

from pathlib import Path

import genzoo


@genzoo.hookimpl
def genzoo_architectures() -> list[genzoo.Architecture]:
    """Return `new-name`."""
    return [
        genzoo.Architecture(
            name="new-name",
            summary="SUMMARY",
            objective="adversarial",
            config="genzoo_new_name.config:NewNameConfig",
            networks="genzoo_new_name.networks:build",
        )
    ]


@genzoo.hookimpl
def genzoo_zoo_configs() -> list[Path]:
    """Return the folder of this distribution's models."""
    return [Path(__file__).parent / "zoo"]
