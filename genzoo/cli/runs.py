"""`genzoo runs` and `genzoo runs show`: how training runs stand. Only a GIF needs torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from genzoo.cli.arguments import check_output
from genzoo.cli.listing import AsJson
from genzoo.cli.output import console, counted, print_json, print_table, table
from genzoo.errors import OutputError

if TYPE_CHECKING:
    from rich.table import Table

    from genzoo.training.curves import Panel
    from genzoo.training.run_folder import Evaluation
    from genzoo.training.runs import RunStatus

__all__ = ["runs"]

_HEADERS = {
    "run": "run",
    "name": "model",
    "state": "state",
    "steps": "step",
    "time": "time",
    "losses": "last losses",
    "last": "FID",
    "best": "best FID",
}
_SPARE = ("losses", "name", "time", "last")
_WIDTH = 100  # columns of curves in a pipe, which has no edge


class _ListsByDefault(TyperGroup):
    """`genzoo runs DIR` is `genzoo runs list DIR`: a group cannot have arguments of its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in {*self.commands, *self.get_help_option_names(ctx)}:
            args = ["list", *args]
        return super().parse_args(ctx, args)


runs = typer.Typer(cls=_ListsByDefault, rich_markup_mode="rich")


@runs.callback()
def _runs() -> None:
    """List training runs, and show how one goes.

    `genzoo runs DIR` is `genzoo runs list DIR`; write ./show for a folder called as a command is.
    """


@runs.command("list")
def list_(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder that runs are in, or a run.")
    ] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List the runs in a folder, newest first: how far each is, and how good."""
    from genzoo.training.runs import find_runs

    found = find_runs(folder)
    if as_json:
        print_json([run.to_dict() for run in found])
        return
    if not found:
        typer.echo(f"No run in {folder}.", err=True)
        return
    print_table([_row(run, folder) for run in found], _HEADERS, _SPARE)
    for run in found:
        if run.problem:
            typer.echo(f"\n{run.folder}: {run.problem}")


@runs.command()
def show(
    name: Annotated[
        str, typer.Argument(metavar="RUN", help="The folder of a run, or its name under runs/.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The curves as a .png, which needs genzoo\\[plots], or the previews as a .gif.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how a run goes: where it stands, what has gone wrong, its curves."""
    from rich.text import Text

    from genzoo.training.curves import draw_text, panels
    from genzoo.training.run_folder import ALARMS, EVALUATIONS, METRICS, read_lines
    from genzoo.training.runs import locate_run, status

    check_output(output, ".png", ".gif")
    run = status(locate_run(name))
    metrics, evaluations, alarms = (
        read_lines(run.folder / file) for file in (METRICS, EVALUATIONS, ALARMS)
    )
    shown = panels(metrics, evaluations)
    if output is not None:
        what = _write(run, output, shown)
        typer.echo(f"{output}: {what} of {run.folder}")
    elif as_json:
        lines = {"metrics": metrics, "evaluations": evaluations, "alarms": alarms}
        print_json({**run.to_dict(), **lines})
    else:
        out = console()
        out.print(run.config.name if run.config else str(run.folder), style="bold")
        out.print(_pairs(_facts(run)))
        for line in _alarms(alarms):
            out.print(line, style="yellow")
        width = out.width if out.is_terminal else _WIDTH
        coloured = out.is_terminal and not out.no_color
        out.print(Text.from_ansi("\n" + draw_text(shown, width, colour=coloured)), soft_wrap=True)


def _write(run: RunStatus, output: Path, shown: Sequence[Panel]) -> str:
    """Write the curves, or the previews one after the other; return which."""
    if output.suffix.lower() == ".png":
        from genzoo.training.curves import draw_picture

        draw_picture(shown, output, f"{run.folder}: {run.state}, step {_steps(run)}")
        return "the curves"
    from genzoo.images import save_frames
    from genzoo.training.run_folder import previews

    pictures = previews(run.folder)
    if not pictures:
        raise OutputError(
            f"{run.folder} has no previews to animate.",
            hint="They come every training.preview_every steps, unless by --without previews.",
        )
    save_frames(pictures, output)
    return "the previews"


def _row(run: RunStatus, folder: Path) -> dict[str, Any]:
    name = run.folder.relative_to(folder).as_posix()
    return {
        "run": run.folder.name or str(run.folder) if name == "." else name,
        "name": run.config.name if run.config else None,
        "state": run.state,
        "steps": _steps(run) if run.config else None,
        "time": _time(run.seconds),
        "losses": _losses(run),
        "last": _evaluation(run.last),
        "best": _evaluation(run.best),
    }


def _facts(run: RunStatus) -> dict[str, Any]:
    speed = run.figures.get("images_per_second")
    return {
        "folder": run.folder,
        "state": f"{run.state}, step {_steps(run)}" if run.config else run.state,
        "problem": run.problem,
        "not saved": _lost(run),
        "time": _time(run.seconds),
        "speed": None if speed is None else f"{speed:,.0f} images a second",
        "machine": "; ".join(run.machines),
        "last losses": _losses(run),
        "FID": _evaluation(run.last),
        "best FID": _evaluation(run.best),
    }


def _pairs(facts: Mapping[str, Any]) -> Table:
    rows = [{"key": key, "value": value} for key, value in facts.items() if value]
    made = table(rows, {"key": "", "value": ""})
    made.show_header = False
    return made


def _alarms(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield each alarm of a run and, where it is over, when."""
    for place, row in enumerate(rows):
        if row.get("state") == "raised":
            over = (row.get("alarm"), "over")
            later = (r["step"] for r in rows[place:] if (r.get("alarm"), r.get("state")) == over)
            end = next(later, None)
            yield f"\nstep {row['step']:,}: {row.get('message')}" + (
                f" Over at step {end:,}." if end is not None else ""
            )


def _steps(run: RunStatus) -> str:
    return f"{run.step:,}/{run.config.training.steps:,}" if run.config else f"{run.step:,}"


def _lost(run: RunStatus) -> str | None:
    if not run.lost:
        return None
    return f"{counted(run.lost, 'step')} more, which the curves show and --resume does again"


def _losses(run: RunStatus) -> str:
    return "  ".join(f"{phase} {loss:.3g}" for phase, loss in run.losses.items())


def _time(seconds: float) -> str:
    try:
        return str(timedelta(seconds=round(seconds)))
    except OverflowError:  # more than a run has ever taken
        return f"{seconds:.3g} s"


def _evaluation(found: Evaluation | None) -> str | None:
    return f"{found.fid:.3g} at {found.step:,}" if found else None
