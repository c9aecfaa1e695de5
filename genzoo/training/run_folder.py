"""What a run folder holds: the names of its files, and the one reader of its JSON. Torch-free."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "ALARMS",
    "ANIMATION",
    "CHECKPOINTS",
    "CONFIG",
    "EVALUATIONS",
    "LINES",
    "LOCK",
    "METRICS",
    "POSITION",
    "PREVIEWS",
    "RECORD",
    "TENSORBOARD",
    "VARIETY",
    "Evaluation",
    "best",
    "checkpoints",
    "number",
    "parse_map",
    "parse_row",
    "parse_rows",
    "previews",
    "read_evaluations",
    "read_lines",
    "step_name",
]

CONFIG = "config.yaml"
"""The zoo config as trained; what makes a folder that of a run."""
METRICS = "metrics.jsonl"
"""A line of figures every `log_every` steps."""
EVALUATIONS = "evaluations.jsonl"
"""FID on the way; there where it was asked for."""
ALARMS = "alarms.jsonl"
"""What has gone wrong; not there where nothing has."""
VARIETY = "variety.jsonl"
"""How samples of the previews differ beside real images, from step 1,000 on."""
LINES = (METRICS, EVALUATIONS, ALARMS, VARIETY)
"""The files of JSON lines, each with its `step`."""
CHECKPOINTS = "checkpoints"
"""The folder of checkpoints; see `checkpoints`."""
POSITION = "position.json"
"""The file of a checkpoint that says where the run stood."""
PREVIEWS = "previews"
"""The folder of previews; see `previews`."""
ANIMATION = "previews.gif"
"""The previews one after the other."""
TENSORBOARD = "tensorboard"
"""The folder of what TensorBoard shows."""
RECORD = "trained.json"
"""How the run ended."""
LOCK = ".lock"
"""What a training holds as long as it lives."""

_DIGITS = 18  # of the longest number that is taken for a count, well within 64 bits


@dataclass(frozen=True)
class Evaluation:
    """FID that `--evaluate-every` found after a step."""

    step: int
    fid: float


def step_name(step: int) -> str:
    """Return what a checkpoint or a preview of a step is called; such names sort by steps."""
    return f"step-{step:08d}"


def checkpoints(folder: Path) -> list[Path]:
    """Return the folders of a run's checkpoints, whole or not, oldest first."""
    return sorted(folder.glob(f"{CHECKPOINTS}/step-*"))


def previews(folder: Path) -> list[Path]:
    """Return the pictures of a run's previews, oldest first."""
    return sorted(folder.glob(f"{PREVIEWS}/step-*.png"))


def parse_map(text: str) -> dict[str, Any] | None:
    """Return the map that a JSON text is, None where it is none.

    A number that no float holds, NaN and Infinity among them, is None: a run writes null for it.
    """
    try:
        value = json.loads(
            text, parse_float=_finite, parse_int=_whole, parse_constant=lambda name: None
        )
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def parse_row(line: str) -> dict[str, Any] | None:
    """Return a line of JSON as a map with a whole `step` of 0 or more; None where it is no such.

    As a line is not that a kill cut short.
    """
    row = parse_map(line)
    return row if row is not None and _is_step(row.get("step")) else None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of JSON lines, less those that `parse_row` refuses; [] for none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return list(parse_rows(text))


def parse_rows(text: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of JSON lines, less those that `parse_row` refuses."""
    return (row for line in text.splitlines() if (row := parse_row(line)) is not None)


def number(row: Mapping[str, Any], key: str) -> float | None:
    """Return the number that a row has under a key; None where it has none."""
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def read_evaluations(folder: Path, done: int | None = None) -> list[Evaluation]:
    """Return what a run's evaluations found, those up to `done` steps where it is given."""
    return [
        Evaluation(row["step"], fid)
        for row in read_lines(folder / EVALUATIONS)
        if (fid := number(row, "fid")) is not None and (done is None or row["step"] <= done)
    ]


def best(evaluations: Iterable[Evaluation]) -> Evaluation | None:
    """Return the first with the lowest FID; None where there are none."""
    return min(evaluations, key=lambda found: found.fid, default=None)


def _is_step(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _whole(text: str) -> int | float | None:
    return int(text) if len(text) <= _DIGITS else _finite(text)
