"""What goes to the terminal: tables, JSON, errors.

rich is imported where it is needed: it takes longer than a whole `genzoo list` into a pipe.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table

    from genzoo.errors import GenzooError

__all__ = [
    "console",
    "counted",
    "figures_table",
    "print_error",
    "print_json",
    "print_table",
    "table",
    "worth",
]

_NUMBERS = frozenset(
    {"classes", "parameters", "size_bytes", "fid", "fid_ratio", "label_agreement", "figure"}
    | {"floor"}
)
_MEANINGS = {
    "fid": "Frechet distance of features; lower is better",
    "fid_ratio": "FID over its floor; 1 is as good as real images",
    "kid": "kernel distance of features, unbiased; lower is better",
    "precision": "share of samples among real images",
    "recall": "share of real images among samples",
    "density": "how crowded with real images the places of samples are",
    "coverage": "share of real images with a sample nearby",
    "label_agreement": "share of samples that a classifier gives the label asked for",
    "class_balance": "1 where classes are as frequent as in the data",
    "nll": "negative log-likelihood of test images in nats per image, or a bound above it",
    "nll_error": "its standard error over the images",
    "bits_per_dim": "the same in bits per pixel and channel",
    "nearest_train": "median distance to the nearest training image; floor: of test images",
    "copied": "share of samples that copy a training image",
}
_PROSE = frozenset({"brings", "detail", "meaning", "summary"})
_WHOLE = frozenset({"losses", "last", "best"})  # of several words, in one line all the same
_NARROW = 30  # columns: less makes prose hard to read
_ENDLESS = 100_000  # columns: a pipe has no edge at which to cut a line


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints text as it is, and wraps it on terminals only."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            """Let the reader's end be what it is to all that prints: rich would exit with 1."""
            raise  # what rich is handling when it calls this

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _ENDLESS
    return Plain(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def print_error(error: GenzooError) -> None:
    """Print what is wrong and what to do, on standard error."""
    if error.told_elsewhere:
        return
    from rich.text import Text

    out = console(stderr=True)
    out.print(Text.assemble(("Error: ", "bold red"), error.message), soft_wrap=True)
    if error.hint:
        out.print(Text(error.hint, "dim"), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value for programs."""
    print(json.dumps(value, indent=2))


def counted(number: int, noun: str) -> str:
    """Return "1 image" or "2 images"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def print_table(
    rows: Sequence[Mapping[str, Any]], headers: Mapping[str, str], spare: Sequence[str] = ()
) -> None:
    """Print rows, one to a line in a pipe.

    A terminal that is too narrow goes without the columns in `spare`, as many as need be.
    """
    if not sys.stdout.isatty():
        _print_lines(rows, headers)
        return
    out, shown, dropped = console(), dict(headers), 0
    unbounded = out.options.update(max_width=_ENDLESS)
    while dropped < len(spare) and (
        out.measure(table(rows, shown), options=unbounded).minimum > out.width
    ):
        del shown[spare[dropped]]
        dropped += 1
    out.print(table(rows, shown))
    if dropped:
        names = ", ".join(headers[key] for key in spare[:dropped])
        out.print(f"Not shown for want of width: {names}. --json has all.", style="dim")


def table(rows: Iterable[Mapping[str, Any]], headers: Mapping[str, str]) -> Table:
    """Return a table without rules, its columns by the keys of `headers`."""
    from rich.table import Table

    rows = list(rows)
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for key, header in headers.items():
        made.add_column(
            header,
            justify="right" if key in _NUMBERS else "left",
            overflow="fold",
            no_wrap=key not in _PROSE and key != "value",
            min_width=_least_width(key, [header, *(_cell(key, row[key]) for row in rows)]),
        )
    for row in rows:
        made.add_row(*(_cell(key, row[key]) for key in headers))
    return made


def figures_table(figures: Mapping[str, float], floor: Mapping[str, float]) -> Table:
    """Return a table of figures beside those of real training images."""
    rows = [
        {
            "name": name,
            "figure": f"{value:.4g}",
            "floor": f"{floor[name]:.4g}" if name in floor else None,
            "meaning": _MEANINGS.get(name, ""),
        }
        for name, value in figures.items()
    ]
    headers = {"name": "figure", "figure": "model", "floor": "floor", "meaning": "meaning"}
    return table(rows, headers)


def worth(found: Mapping[str, Any]) -> Group:
    """Return what was measured: figures beside their floor, by class, the protocol, the notes.

    `found` are the keys that `Evaluation.to_dict` and the block `evaluated` of a card share.
    """
    from rich.console import Group
    from rich.text import Text

    lines = []
    for name, values in found["by_class"].items():
        lines.append(f"\n{name.replace('_', ' ')} by class, %: {_shares(values)}")
        if floor := found["floor_by_class"].get(name):
            lines.append(f"of the floor: {_shares(floor)}")
    facts = [f"{key.replace('_', ' ')} {value}" for key, value in found["protocol"].items()]
    facts += [f"date {found['date']}"] if "date" in found else []
    lines.append(f"\nProtocol: {'; '.join(facts)}.")
    lines += [f"Note: {note}." for note in found["notes"]]
    return Group(figures_table(found["figures"], found["floor"]), *map(Text, lines))


def _shares(values: Sequence[float | None]) -> str:
    return " ".join("-" if value is None else f"{100 * value:.1f}" for value in values)


def _print_lines(rows: Sequence[Mapping[str, Any]], headers: Mapping[str, str]) -> None:
    lines = [list(headers.values()), *([_cell(key, row[key]) for key in headers] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = zip(headers, line, widths, strict=True)
        padded = [text.rjust(w) if key in _NUMBERS else text.ljust(w) for key, text, w in cells]
        print("  ".join(padded).rstrip())


def _least_width(key: str, cells: Sequence[str]) -> int | None:
    if key in _WHOLE:
        return max(map(len, cells))
    return _NARROW if key in _PROSE else None


def _cell(key: str, value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key == "image":
        return "x".join(map(str, value))
    if key == "size_bytes":
        return f"{value / 1e6:.1f} MB"
    if key == "parameters":
        return f"{value:,}"
    if key == "fid":
        return f"{value:.3g}"
    if key == "fid_ratio":
        return f"{value:.2f}"
    if key == "label_agreement":
        return f"{100 * value:.2f}%"  # of 10,000 samples, one is so much
    return str(value)
