"""What commands share: their arguments, and the checks that need no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from genzoo.errors import ConfigError, LabelError, OutputError, UnsupportedError
from genzoo.files import check_writable

__all__ = [
    "BatchSize",
    "DataFolder",
    "Device",
    "LabelText",
    "ModelName",
    "OwnBatchSize",
    "Seed",
    "Settings",
    "SplitName",
    "check_output",
    "default_columns",
    "model_names",
    "parse_labels",
    "parse_places",
    "parse_settings",
]

_MOST_CLASSES = 100_000  # of any zoo config, so that no range is too long to write out
_DRAWING = "objective.config."
_PART = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")


def model_names(incomplete: str) -> list[str]:
    """Return the names of the zoo that begin so, for the shell to complete."""
    from genzoo.registry.catalog import list_models

    return [name for name in list_models() if name.startswith(incomplete)]


ModelName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A model of the zoo, a weights file, or the folder of a run.",
        autocompletion=model_names,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, help="The same seed draws the same images.", show_default="drawn"),
]
LabelText = Annotated[
    str | None,
    typer.Option(
        "--labels", metavar="LABELS", help="Classes, handed out in turn: 7, 0-9 or 0,3,5-7."
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Images at a time; it changes no image.")]
OwnBatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        min=1,
        help="Images at a time; it changes no figure.",
        show_default="what keeps within 2 GB",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="cpu, cuda, cuda:1, ...", show_default="the GPU where there is one"),
]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="The folder of datasets.", show_default="GENZOO_DATA"
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Draw by another setting of the objective: objective.config.NAME=VALUE.",
    ),
]
SplitName = Annotated[Literal["test", "train"], typer.Option(help="Part of the dataset.")]


def parse_labels(text: str | None) -> list[int] | None:
    """Return "0,3,5-7" as [0, 3, 5, 6, 7], None as None. Raises LabelError."""
    if text is None:
        return None
    labels: list[int] = []
    for part in text.split(","):
        found = _PART.fullmatch(part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if not first <= last < _MOST_CLASSES:
            raise LabelError(
                f"--labels {text}: {part!r} is not a label or a range of labels.",
                hint="Write one label, a range or a list of both: 7, 0-9 or 0,3,5-7.",
            )
        labels.extend(range(first, last + 1))
    return labels


def parse_places(texts: Sequence[str] | None) -> list[tuple[int, int]]:
    """Return ["3,14"] as [(3, 14)], None as []. Raises UnsupportedError."""
    places = []
    for text in texts or ():
        found = re.fullmatch(r"\s*(\d{1,6})\s*,\s*(\d{1,6})\s*", text)
        if not found:
            raise UnsupportedError(
                f"--at {text}: that is no pixel.", hint="Write its row and its column: 3,14."
            )
        places.append((int(found[1]), int(found[2])))
    return places


def parse_settings(settings: Sequence[str] | None) -> dict[str, Any]:
    """Return ["objective.config.steps=4"] as {"steps": 4}. Raises ConfigError for other paths."""
    from genzoo.registry.config import parse_overrides

    changes = parse_overrides(settings or ())
    for path in changes:
        if not path.startswith(_DRAWING):
            raise ConfigError(
                f"--set {path}: a trained model is what it is, but for how it is drawn from.",
                hint=f"Set {_DRAWING}NAME=VALUE; `genzoo info NAME` lists them.",
            )
    return {path.removeprefix(_DRAWING): value for path, value in changes.items()}


def default_columns(n: int, labels: Sequence[int] | None) -> int:
    """Return how wide a grid of n images is: a square or wider, with one label to a column."""
    turn = len(labels) if labels and len(labels) <= n else 1
    return next(c for c in range(turn, n * turn + 1, turn) if c * c >= n)


def check_output(path: Path | None, *suffixes: str) -> None:
    """Raise OutputError where a file cannot be written, before anything is drawn."""
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise OutputError(
            f"cannot write {path}: {path.suffix or 'no suffix'} is not a format of this command.",
            hint=f"Give a name that ends in {' or '.join(suffixes)}.",
        )
    check_writable(path)
