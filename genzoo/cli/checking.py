"""`genzoo check`: whether plugins keep genzoo's promises."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from genzoo.cli.listing import AsJson
from genzoo.cli.output import console, counted, print_json

if TYPE_CHECKING:
    from genzoo.testing import Outcome

__all__ = ["check"]

_FAILED = 1  # not 2, which is a mistake on the command line: what was asked for was done


def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="DISTRIBUTION...", help="As pip knows them.", show_default="all"),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what passed and was skipped as well.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check that installed plugins keep their promises; say how to mend what fails.

    The exit code is 1 where any check fails.
    """
    from genzoo.registry.points import canonical
    from genzoo.testing import distributions, subjects

    wanted = {canonical(name): name for name in names or distributions()}
    found = [subject for name in wanted.values() for subject in subjects(name)]
    total = sum(len(subject.checks) for subject in found)
    outcomes: list[Outcome] = []
    err = console(stderr=True)
    # A plugin that prints must not spoil what programs read from standard output.
    with err.status("") as status, contextlib.redirect_stdout(sys.stderr):
        for subject in found:
            for outcome in subject.run():
                outcomes.append(outcome)
                if sys.stderr.isatty():
                    status.update(f"{len(outcomes)}/{total} {subject}: {outcome.check}")
    if as_json:
        print_json([vars(outcome) for outcome in outcomes])
    else:
        _show(outcomes, verbose)
    if any(outcome.status == "failed" for outcome in outcomes):
        raise typer.Exit(_FAILED)


def _show(outcomes: list[Outcome], verbose: bool) -> None:
    out = console()
    for subject in dict.fromkeys(outcome.subject for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.subject == subject]
        counts = Counter(outcome.status for outcome in own)
        parts = [f"{counts[s]} {s}" for s in ("passed", "failed", "skipped") if counts[s]]
        out.print(f"{subject}: {', '.join(parts)}", style="red" if counts["failed"] else None)
        for outcome in own:
            if outcome.status == "failed":
                out.print(f"  failed   {outcome.check}: {outcome.detail}")
                out.print(f"           promise: {outcome.about}")
                out.print(f"           to mend: {outcome.mend}")
            elif verbose:
                why = outcome.detail or outcome.about
                out.print(f"  {outcome.status:8} {outcome.check}: {why}")
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    out.print(f"{counted(len(outcomes), 'check')}, {failed} failed.")
