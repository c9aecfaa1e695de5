"""`genzoo verify` and `publish`: weights in place, and unharmed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.arguments import model_names
from genzoo.cli.output import print_table

__all__ = ["publish", "verify"]

_DAMAGED = 2


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...", help="Models.", show_default="all", autocompletion=model_names
        ),
    ] = None,
) -> None:
    """Hash the weights of models again, and compare. The exit code is 2 where any are damaged."""
    from genzoo.registry import catalog

    entries = [catalog.find(name) for name in names or catalog.list_models()]
    from genzoo.weights.audit import audit

    rows = [vars(audit(entry)) for entry in entries]
    print_table(rows, {"name": "name", "status": "weights", "detail": ""})
    if any(row["status"] == "damaged" for row in rows):
        raise typer.Exit(_DAMAGED)


def publish(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", exists=True, file_okay=False, help="A finished run folder."),
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            exists=True,
            dir_okay=False,
            help="The zoo config to fill in.",
            show_default="that of the installed model of this name",
        ),
    ] = None,
    weights_uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Where the weights go: pkg://package/weights/NAME.safetensors, or a path beside "
            "the YAML file.",
            show_default="what the YAML file says, else beside it",
        ),
    ] = None,
) -> None:
    """Put a finished run's weights, hash, size and training record into its zoo config."""
    from genzoo.training.publish import publish as put

    for path in put(run, config, weights_uri):
        typer.echo(f"wrote {path}")
