"""What goes to the terminal: tables, JSON, errors. rich is imported where it is used: it takes its time."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from genzoo.errors import GenzooError

__all__ = ["cell", "console", "print_error", "print_json", "print_table", "table"]

_ENDLESS = 100_000  # columns: a pipe has no edge at which to cut a line


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints text as it is, and wraps it for people only."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _ENDLESS
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def print_error(error: GenzooError) -> None:
    """Print what is wrong and what to do, on standard error."""
    from rich.text import Text

    out = console(stderr=True)
    out.print(Text.assemble(("Error: ", "bold red"), error.message), soft_wrap=True)
    if error.hint:
        out.print(Text(error.hint, "dim"), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value for programs."""
    print(json.dumps(value, indent=2))


def table(rows: Iterable[Mapping[str, Any]], headers: Mapping[str, str]) -> Table:
    """Return a table without lines, its columns by the keys of `headers`."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for key, header in headers.items():
        made.add_column(header, justify="right" if key in _NUMBERS else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell(key, row[key]) for key in headers))
    return made


def print_table(
    rows: Sequence[Mapping[str, Any]], headers: Mapping[str, str], spare: Sequence[str] = ()
) -> None:
    """Print rows; where the terminal is too narrow, leave out the columns in `spare`, in that order."""
    out, shown, dropped = console(), dict(headers), 0
    while out.measure(table(rows, shown)).maximum > out.width and dropped < len(spare):
        del shown[spare[dropped]]
        dropped += 1
    out.print(table(rows, shown))
    if dropped:
        names = ", ".join(headers[key] for key in spare[:dropped])
        out.print(f"Left out for want of width: {names}. --json has them.", style="dim")


def cell(key: str, value: Any) -> str:
    """Return a value as people read it."""
    if value is None or value in ("", []):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key == "image" and isinstance(value, Sequence):
        return "x".join(map(str, value))
    if key == "size_bytes":
        return f"{value / 1e6:.1f} MB"
    if key == "parameters":
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value)


_NUMBERS = frozenset({"classes", "parameters", "size_bytes"})
