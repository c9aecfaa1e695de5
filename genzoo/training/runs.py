"""What run folders tell of their runs: how far, how well, how they ended. Torch-free."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from genzoo.errors import GenzooError, TrainingError, UnknownNameError, did_you_mean
from genzoo.registry import yamlfile
from genzoo.registry.config import TrainedConfig, ZooConfig, read_config
from genzoo.registry.schema import validate
from genzoo.training.lock import is_running
from genzoo.training.run_folder import (
    CHECKPOINTS,
    CONFIG,
    METRICS,
    POSITION,
    PREVIEWS,
    RECORD,
    TENSORBOARD,
    Evaluation,
    best,
    checkpoints,
    number,
    parse_row,
    parse_rows,
    read_evaluations,
)

__all__ = ["RunStatus", "find_runs", "locate_run", "status"]

_DEPTH = 3
_PARTS = frozenset({CHECKPOINTS, PREVIEWS, TENSORBOARD})  # of a run, and no runs themselves
_TAIL = 2**16  # bytes: the last lines of a metrics file, which may have millions
_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()  # whose date can be written

State = Literal["finished", "running", "stopped", "new", "damaged"]


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
    lost: int = 0
    """Steps done after them that are not saved, and so are to be done again."""
    machines: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    """The last ones by name, as in metrics.jsonl; of steps that are lost, none."""
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
            "lost": self.lost,
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
        if os.path.isfile(folder / CONFIG):
            return folder
    runs = _folders(root, _DEPTH) if os.path.isdir(root) else ()
    names = [run.relative_to(root).as_posix() for run in runs if run != root]
    raise UnknownNameError(
        f"{name} is not the folder of a run: it holds no {CONFIG}.",
        hint=did_you_mean(name, names) if names else "Give a folder that `genzoo train` wrote to.",
    )


def status(folder: Path) -> RunStatus:
    """Return how a run stands; one that cannot be read is `damaged`, never an error.

    A line of its files that no run writes counts as none.
    """
    updated = _modified(folder / METRICS) or _modified(folder / CONFIG)
    try:
        return _read(folder, read_config(folder / CONFIG), updated)
    except GenzooError as error:
        return RunStatus(folder, "damaged", updated, problem=error.message)


class _Position(NamedTuple):
    """Where a checkpoint says that its run stood."""

    step: int
    seconds: float
    machines: tuple[str, ...]


def _read(folder: Path, config: ZooConfig, updated: float) -> RunStatus:
    running = is_running(folder)  # first: one that ends meanwhile has then left its record
    trained, saved = _trained(folder / RECORD), _saved(folder)
    state: State = "new"
    step, seconds, machines = saved or _Position(0, 0.0, ())
    if running:
        state = "running"
    elif trained:
        state, step, seconds = "finished", trained.steps, trained.seconds
    elif saved:
        state = "stopped"
    elif damaged := checkpoints(folder):
        raise TrainingError(f"{damaged[-1] / POSITION} cannot be read, and no older one can.")
    # What is not saved is lost, figures and all: they would be of another moment than the step.
    done = None if running else step
    evaluations = read_evaluations(folder, done)
    rows, logged = _newest_rows(folder / METRICS, done)
    if running and logged > step:
        step, seconds = logged, _seconds(rows[-1]) or seconds
    return RunStatus(
        folder=folder,
        state=state,
        updated=updated,
        config=config,
        step=step,
        seconds=seconds,
        lost=max(0, logged - step),
        machines=tuple(trained.machine.split("; ")) if trained else machines,
        figures=_figures(rows),
        last=evaluations[-1] if evaluations else None,
        best=best(evaluations),
    )


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    is_run = os.path.isfile(folder / CONFIG)
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


def _newest_rows(metrics: Path, done: int | None) -> tuple[list[dict[str, Any]], int]:
    """Return the last rows, those up to `done` steps where it is given, and the step of the last.

    Only the end of the file is read, or as much as it takes to find one.
    """
    size, whole = _TAIL, False
    rows: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    while not (found or whole):
        try:
            with metrics.open("rb") as file:
                length = file.seek(0, os.SEEK_END)
                file.seek(max(0, length - size))
                tail = file.read().decode(errors="replace")
        except OSError:
            return [], 0
        rows = list(parse_rows(tail))  # a line that the tail begins in the midst of is none
        found = [row for row in rows if done is None or row["step"] <= done]
        whole, size = size >= length, 16 * size
    return found, max((row["step"] for row in rows), default=0)


def _figures(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the last value of each figure: a phase need not be due at every step."""
    return {
        key: value
        for row in rows
        for key in row
        if key not in ("step", "seconds") and (value := number(row, key)) is not None
    }


def _seconds(row: Mapping[str, Any]) -> float | None:
    seconds = number(row, "seconds")
    return None if seconds is None or seconds < 0 else seconds


def _trained(file: Path) -> TrainedConfig | None:
    if not file.is_file():
        return None
    # JSON is YAML, and that reader says what is wrong with a file.
    return validate(TrainedConfig, yamlfile.read(file), source=str(file))


def _saved(folder: Path) -> _Position | None:
    """Return what the newest checkpoint that can be read says of itself."""
    for checkpoint in reversed(checkpoints(folder)):
        try:
            row = parse_row((checkpoint / POSITION).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        if row is None or (seconds := _seconds(row)) is None:
            continue
        machines = row.get("machines")
        if isinstance(machines, list):
            return _Position(row["step"], seconds, tuple(map(str, machines)))
    return None


def _modified(file: Path) -> float:
    try:
        return min(max(file.stat().st_mtime, 0.0), _LATEST)
    except OSError:
        return 0.0
