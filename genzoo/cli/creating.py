"""`genzoo new`: the source tree of a plugin of one's own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from genzoo.scaffolding import Kind

__all__ = ["new"]


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="As in my-gan: the distribution is genzoo-NAME.")
    ],
    kind: Annotated[Kind, typer.Option(help="What it brings.")] = "architecture",
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where its folder goes.")
    ] = Path(),
    summary: Annotated[
        str, typer.Option(metavar="TEXT", help="One sentence.", show_default="what the example is")
    ] = "",
    licence: Annotated[str, typer.Option(metavar="SPDX", help="Of its code.")] = "Apache-2.0",
) -> None:
    """Write a plugin that installs, passes its own tests and trains, to start from."""
    from genzoo.scaffolding.write import write_distribution

    folder = write_distribution(name, kind, parent=output, summary=summary, licence=licence)
    typer.echo(f"wrote {folder}. Go on with:")
    typer.echo(f"pip install -e {shlex.quote(str(folder.resolve()))}")
    typer.echo(f"genzoo check {folder.name}")
