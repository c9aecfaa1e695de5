"""What run folders tell of their runs: how far, how well, how they ended. Torch-free."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from genzoo.errors import GenzooError, UnknownNameError, did_you_mean, in_words
from genzoo.registry import yamlfile
from genzoo.registry.config import TrainedConfig, ZooConfig, read_config
from genzoo.registry.schema import validate
from genzoo.training.lock import is_running

__all__ = [
    "ALARMS",
    "PREVIEWS",
    "Evaluation",
    "RunStatus",
    "find_runs",
    "locate_run",
    "read_lines",
    "status",
]

ALARMS = "alarms.jsonl"
"""The file of a run folder that holds what has gone wrong; not there where nothing has."""
PREVIEWS = "previews/step-*.png"
"""The previews in a run folder, which sort by their steps."""

_CONFIG = "config.yaml"
_DEPTH = 3
_PARTS = frozenset({"checkpoints", "previews", "tensorboard"})  # of a run, and no runs themselves
_TAIL = 2**16  # bytes: the last lines of a metrics file, which may have millions

State = Literal["finished", "running", "stopped", "new", "damaged"]


@dataclass(frozen=True)
class Evaluation:
    """FID that `--evaluate-every` found after a step."""

    step: int
    fid: float


@dataclass(frozen=True)
class RunStatus:
    """A run as its folder shows it."""

    folder: Path
    state: State
    """`stopped` can be gone on with, `new` has saved nothing yet, `damaged` cannot be read."""
    updated: float
    """When it last wrote a line of figures, or else began: seconds since the epoch."""
    config: ZooConfig | None = None
    """None where it is damaged."""
    problem: str = ""
    """What is wrong with a damaged one."""
    step: int = 0
    """Steps done; of one that is not running, those that are saved."""
    seconds: float = 0.0
    """Time spent on them, over all sessions."""
    machines: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    """The last ones by name, as in metrics.jsonl."""
    last: Evaluation | None = None
    best: Evaluation | None = None
    """The lowest FID; None where the run was not evaluated."""

    @property
    def losses(self) -> dict[str, float]:
        """The last loss of each phase."""
        end = "/loss"
        return {k.removesuffix(end): v for k, v in self.figures.items() if k.endswith(end)}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for programs."""
        return {
            "folder": str(self.folder),
            "name": self.config.name if self.config else None,
            "state": self.state,
            "problem": self.problem or None,
            "step": self.step,
            "steps": self.config.training.steps if self.config else None,
            "seconds": self.seconds,
            "updated": datetime.fromtimestamp(self.updated, UTC).isoformat(timespec="seconds"),
            "machines": list(self.machines),
            "losses": self.losses,
            "figures": dict(self.figures),
            "last": vars(self.last) if self.last else None,
            "best": vars(self.best) if self.best else None,
        }


def find_runs(folder: Path) -> list[RunStatus]:
    """Return the runs in a folder, up to three levels down, or that it is: newest first.

    A run is a folder that holds a config.yaml. Raises UnknownNameError where there is no `folder`.
    """
    if not os.path.isdir(folder):  # unlike Path's, it is False where one may not look
        raise UnknownNameError(
            f"there is no folder {folder}.",
            hint="Give one that holds runs; `genzoo train` makes them under runs/.",
        )
    found = [status(run) for run in _folders(folder, _DEPTH)]
    return sorted(found, key=lambda run: (-run.updated, run.folder))


def locate_run(name: str, root: Path = Path("runs")) -> Path:
    """Return the folder of a run, given as a path or by its name under `root`.

    Raises UnknownNameError where there is none.
    """
    for folder in (Path(name), root / name):
        if os.path.isfile(folder / _CONFIG):
            return folder
    runs = _folders(root, _DEPTH) if os.path.isdir(root) else ()
    names = [run.relative_to(root).as_posix() for run in runs if run != root]
    raise UnknownNameError(
        f"{name} is not the folder of a run: it holds no {_CONFIG}.",
        hint=did_you_mean(name, names) if names else "Give a folder that `genzoo train` wrote to.",
    )


def status(folder: Path) -> RunStatus:
    """Return how a run stands; one that cannot be read is `damaged`, never an error."""
    metrics = folder / "metrics.jsonl"
    updated = _modified(metrics) or _modified(folder / _CONFIG)
    try:
        return _read(folder, read_config(folder / _CONFIG), _newest_figures(metrics), updated)
    except GenzooError as error:
        problem = error.message
    except (LookupError, TypeError, ValueError) as error:  # files that somebody else has written
        problem = f"{folder} holds what no run writes: {in_words(error)}"
    return RunStatus(folder, "damaged", updated, problem=problem)


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of JSON lines, less a line that a kill cut short; [] for none."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return _rows(text)


def _read(folder: Path, config: ZooConfig, row: dict[str, Any], updated: float) -> RunStatus:
    evaluations = [
        Evaluation(found["step"], float(found["fid"]))
        for found in read_lines(folder / "evaluations.jsonl")
        if found.get("fid") is not None
    ]
    step, seconds = int(row.pop("step", 0)), float(row.pop("seconds", 0))
    trained, saved = _trained(folder / "trained.json"), _position(folder)
    state: State = "new"
    if is_running(folder):
        state = "running"
        if saved and saved["step"] > step:
            step, seconds = saved["step"], saved["seconds"]
    elif trained:
        state, step, seconds = "finished", trained.steps, trained.seconds
    elif saved:
        state, step, seconds = "stopped", saved["step"], saved["seconds"]
    else:  # what was done since is lost
        step, seconds = 0, 0.0
    return RunStatus(
        folder=folder,
        state=state,
        updated=updated,
        config=config,
        step=step,
        seconds=float(seconds),
        machines=tuple(trained.machine.split("; ") if trained else saved.get("machines", ())),
        figures={name: float(value) for name, value in row.items() if value is not None},
        last=evaluations[-1] if evaluations else None,
        best=min(evaluations, key=lambda found: found.fid, default=None),
    )


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    is_run = os.path.isfile(folder / _CONFIG)
    if is_run:
        yield folder
    if depth:
        for inner in _subfolders(folder):
            if not (is_run and inner.name in _PARTS):
                yield from _folders(inner, depth - 1)


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in entries if e.is_dir() and not e.name.startswith(".")]
    except OSError:  # where one may not look
        return []


def _newest_figures(metrics: Path) -> dict[str, Any]:
    """Return the last value of each figure: a phase need not be due at every step."""
    try:
        with metrics.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL))
            tail = file.read().decode(errors="replace")
    except OSError:
        return {}
    # A line that the tail begins in the midst of is no JSON.
    return {key: value for row in _rows(tail) for key, value in row.items()}


def _rows(text: str) -> list[dict[str, Any]]:
    rows = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            if isinstance(row, dict) and isinstance(row.get("step"), int):
                rows.append(row)
    return rows


def _trained(file: Path) -> TrainedConfig | None:
    if not file.is_file():
        return None
    # JSON is YAML, and that reader says what is wrong with a file.
    return validate(TrainedConfig, yamlfile.read(file), source=str(file))


def _position(folder: Path) -> dict[str, Any]:
    """Return what the newest checkpoint that can be read says of itself; {} where there is none."""
    for file in sorted(folder.glob("checkpoints/step-*/position.json"), reverse=True):
        if rows := read_lines(file):
            return rows[0]
    return {}


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
