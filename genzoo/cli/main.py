"""The command `genzoo`: which commands there are, and how each of them may end."""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from genzoo._version import __version__
from genzoo.cli import (
    checking,
    creating,
    drawing,
    evaluating,
    keeping,
    listing,
    managing,
    runs,
    training,
)
from genzoo.cli.output import print_error
from genzoo.errors import GenzooError

__all__ = ["app", "run"]

_WRONG = 2  # the exit code of a person's mistake, usage errors included
_INTERRUPTED = 130  # 128 + SIGINT


class _Commands(TyperGroup):
    """The one place where errors become messages. Any other error is a bug: its traceback shows."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except GenzooError as error:
            print_error(error)
            raise typer.Exit(_WRONG) from None
        except SystemExit as end:  # ours are typer.Exit
            frame = traceback.extract_tb(end.__traceback__)[-1]
            where = f"{frame.filename}, line {frame.lineno}, in {frame.name}"
            print_error(
                GenzooError(
                    f"a plugin's code ended the program: SystemExit: {end} at {where}.",
                    hint="Report that to its author; `genzoo plugins` lists who that may be.",
                )
            )
            raise typer.Exit(_WRONG) from None
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(_INTERRUPTED) from None
        except BrokenPipeError:  # as in `genzoo list | head -1`: typer ends that quietly
            raise
        except OSError as error:  # the machine says no: a full disk, no permission, no such folder
            what = f"{error.filename}: " if error.filename else ""
            print_error(
                GenzooError(
                    f"{what}{error.strerror or error}.",
                    hint="Check that what it needs is there, may be read or written, and has room.",
                )
            )
            raise typer.Exit(_WRONG) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"genzoo {__version__}")
        raise typer.Exit


@app.callback()
def _genzoo(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Image generators by name: trained, measured, reproducible.

    Exit codes: 0 done, 1 a check failed, 2 a mistake that the message explains, 130 interrupted
    (143 by SIGTERM).
    """


app.command("list")(listing.list_)
app.command("info")(listing.info)
app.add_typer(managing.plugins, name="plugins")
app.command("new")(creating.new)
app.command("check")(checking.check)
app.command("sample")(drawing.sample)
app.command("interpolate")(drawing.interpolate)
app.command("reconstruct")(drawing.reconstruct)
app.command("complete")(drawing.complete)
app.command("explain")(drawing.explain)
app.command("train")(training.train)
app.add_typer(runs.runs, name="runs")
app.command("evaluate")(evaluating.evaluate)
app.command("verify")(keeping.verify)
app.command("publish")(keeping.publish)


def run() -> None:
    """Run the command line of this process."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as `>&-` does
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - open as long as we run
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As standard error does: what has no place in its encoding, as names of files can have it.
        sys.stdout.reconfigure(errors="backslashreplace")
    app(prog_name="genzoo")
