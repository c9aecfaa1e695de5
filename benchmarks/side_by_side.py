"""What the benchmarks share: paired ratios of two functions or commands, and one table of them.

Nothing here imports torch: the peak memory of a child counts that of the process that started it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = [
    "Clock",
    "Row",
    "SideError",
    "bench_parser",
    "cold",
    "compare",
    "last_line",
    "now",
    "paired",
    "report",
    "run",
    "table",
]


Clock = Literal["wall", "cpu"]
"""What time is: the wall's, or the processor's, of a process and its children that have ended."""


class SideError(Exception):
    """What stands beside cannot run; the text is its error."""


def now(clock: Clock) -> float:
    """Return the seconds of a clock."""
    if clock == "wall":
        return time.perf_counter()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


@dataclass(frozen=True)
class Row:
    """One line of the table: genzoo's figure, the other's, and genzoo's over the other's.

    `ratios` are those of the rounds; `must` says which side of a bound their median has to be on.
    """

    name: str
    ours: float | None = None
    theirs: float | None = None
    unit: str = ""
    ratios: tuple[float, ...] = field(default=(), repr=False)
    must: tuple[Literal[">=", "<="], float] | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios."""
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the median lies with 95% confidence, or the range of less than six rounds.

        Between two order statistics, by the sign test, which asks nothing of how times scatter.
        """
        if not self.ratios:
            return None
        count, ordered = len(self.ratios), sorted(self.ratios)
        # P(at most k of the ratios are below the median) is the binomial's, of one half.
        tails = itertools.accumulate(math.comb(count, k) / 2**count for k in range(count))
        rank = max(sum(tail <= 0.025 for tail in tails) - 1, 0)
        return ordered[rank], ordered[-1 - rank]

    @property
    def holds(self) -> bool | None:
        """Whether the median is on the right side, None where nothing was promised or measured."""
        if self.must is None or self.ratio is None:
            return None
        sign, bound = self.must
        return self.ratio >= bound if sign == ">=" else self.ratio <= bound

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values, what is derived included."""
        derived = {"ratio": self.ratio, "interval": self.interval, "holds": self.holds}
        return {**asdict(self), **derived}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Row:
        """Return the row that `as_json` gave these values for."""
        names = ("name", "ours", "theirs", "unit", "note")
        must = tuple(values["must"]) if values["must"] else None
        return cls(**{n: values[n] for n in names}, ratios=tuple(values["ratios"]), must=must)


def table(rows: Iterable[Row], sides: tuple[str, str] = ("genzoo", "beside")) -> str:
    """Return rows as a Markdown table, with what its two sides are called."""
    lines = [
        f"| what | {sides[0]} | {sides[1]} | ratio (95%) | must be | holds | note |",
        "|---|---:|---:|---:|---:|---|---|",
    ]
    for row in rows:
        ours, theirs = (_figure(value, row.unit) for value in (row.ours, row.theirs))
        ratio = "-"
        if row.ratio is not None and row.interval is not None:
            ratio = "{:.3g} ({:.3g} to {:.3g})".format(row.ratio, *row.interval)
        must = "-" if row.must is None else f"{row.must[0]} {row.must[1]:g}"
        holds = {None: "-", True: "yes", False: "NO"}[row.holds]
        note = row.note.replace("|", "/")
        lines.append(f"| {row.name} | {ours} | {theirs} | {ratio} | {must} | {holds} | {note} |")
    return "\n".join(lines)


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    digits = f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
    return f"{digits} {unit}".rstrip()


def report(
    rows: Sequence[Row], file: Path | None, sides: tuple[str, str] = ("genzoo", "beside")
) -> None:
    """Print rows as a table, and write them as JSON where a file is given."""
    print(table(rows, sides))
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n")


def bench_parser(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=rounds, help=f"turns (default {rounds})")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (default: its own choice)")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu counts processor time, for a machine that does other things meanwhile; it does "
        "not see what workers do",
    )
    parser.add_argument("--json", type=Path, help="a file to write the rows to as well")
    root = os.environ.get("GENZOO_DATA")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(root) if root else None,
        help="the folder that MNIST is in (default: GENZOO_DATA; without: the digits that ship)",
    )
    return parser


def paired(row: Row, ours: Sequence[float], theirs: Sequence[float], work: float = 0.0) -> Row:
    """Return `row` with the figures of two lists of seconds, round by round.

    With `work`, the number of things done in each, they are speeds: things a second. Without, they
    are seconds.
    """
    if work:
        ours, theirs = ([work / seconds for seconds in times] for times in (ours, theirs))
    ratios = tuple(a / b for a, b in zip(ours, theirs, strict=True))
    fields = {"ours": statistics.median(ours), "theirs": statistics.median(theirs)}
    return Row(row.name, **fields, unit=row.unit, ratios=ratios, must=row.must, note=row.note)


def compare(
    row: Row,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    rounds: int,
    *,
    work: float = 0.0,
    clock: Clock = "wall",
) -> Row:
    """Return `row` with the figures of two functions of this process, called in turn."""
    for function in (ours, theirs):  # the first calls fill caches
        function()
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(rounds):
        for mine in (True, False) if turn % 2 else (False, True):
            start = now(clock)
            (ours if mine else theirs)()
            seconds[mine].append(now(clock) - start)
    return paired(row, seconds[True], seconds[False], work)


def cold(
    row: Row, ours: Sequence[str], theirs: Sequence[str], rounds: int, *, clock: Clock = "wall"
) -> Row:
    """Return `row` with the seconds of two commands, each a process of its own, in turn."""
    return compare(row, lambda: run(ours), lambda: run(theirs), rounds, clock=clock)


def run(command: Sequence[str]) -> str:
    """Return what a command prints; raises SideError with the last line of what went wrong."""
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise SideError(last_line(answer.stderr) or f"exit code {answer.returncode}")
    return answer.stdout


def last_line(text: str) -> str:
    """Return the last line of a text, which of a traceback is the error itself."""
    return ([""] + [line.strip() for line in text.splitlines() if line.strip()])[-1]
