"""Checkpoints: safetensors and JSON, whole or not there at all, nothing pickled."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from genzoo.errors import OutputError, TrainingError, WeightsError
from genzoo.files import atomic_file, atomic_folder, file_sha256, write_text
from genzoo.loading import WEIGHTS
from genzoo.model import Model
from genzoo.training.run_folder import POSITION, parse_map, step_name
from genzoo.weights.format import verify

__all__ = [
    "Checkpoint",
    "Position",
    "load_optimizer",
    "newest",
    "newest_whole",
    "optimizer_tensors",
    "prune",
    "save",
    "set_aside",
]

_TENSORS = "training.safetensors"


@dataclass(frozen=True)
class Position:
    """Where a run stands."""

    step: int
    """Steps done."""
    seconds: float
    """Seconds spent training, over all sessions."""
    machines: tuple[str, ...] = ()
    """What it ran on, session by session, each named once."""
    dataset: str | None = None
    """The dataset's fingerprint; None in checkpoints that do not say."""


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint."""

    folder: Path
    position: Position
    tensors: Mapping[str, Tensor]


def save(folder: Path, position: Position, tensors: Mapping[str, Tensor], model: Model) -> Path:
    """Write the checkpoint of a step under `folder`; OutputError where it cannot be written."""
    target = folder / step_name(position.step)
    if not target.exists():
        # Copies, because save_file refuses tensors that share memory, as tied weights do.
        plain = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}
        with atomic_folder(target) as beside:
            with atomic_file(beside / _TENSORS) as file:
                try:
                    save_file(plain, file)  # which alone would let nobody else read it
                except SafetensorError as error:  # its way to say that the disk is full
                    raise OutputError(f"cannot write {target}: {error}.") from None
            model.save(beside / WEIGHTS)
            state = {**asdict(position), "sha256": file_sha256(beside / _TENSORS)}
            write_text(beside / POSITION, json.dumps(state))
    return target


def prune(folder: Path, keep: int, best: int | None = None) -> None:
    """Delete all checkpoints under `folder` but the newest `keep` and that of the step `best`."""
    for old in _folders(folder)[:-keep]:
        if best is None or old.name != step_name(best):
            hidden = old.rename(folder / f".{old.name}")  # a kill must not leave half of one
            shutil.rmtree(hidden, ignore_errors=True)


def newest(folder: Path) -> Path | None:
    """Return the folder of the newest checkpoint under `folder`, whole or not; None without any."""
    return max(_folders(folder), default=None)


def newest_whole(folder: Path) -> tuple[Checkpoint | None, dict[Path, TrainingError]]:
    """Return the newest checkpoint under `folder` that is whole, and what is wrong with newer ones.

    None where there is none. Newer ones come newest first.
    """
    damaged: dict[Path, TrainingError] = {}
    for each in reversed(_folders(folder)):
        try:
            return _read(each), damaged
        except TrainingError as error:
            damaged[each] = error
    return None, damaged


def set_aside(folder: Path) -> Path:
    """Rename a checkpoint's folder so that it is none any more; OutputError where it may not be."""
    aside = folder.with_name(f"damaged-{folder.name}")
    try:
        shutil.rmtree(aside, ignore_errors=True)  # of another time that the same step was damaged
        return folder.rename(aside)
    except OSError as error:
        raise OutputError(
            f"cannot rename {folder}, which is damaged: {error.strerror}.",
            hint="Choose a folder that can be written to, or copy the run to one.",
        ) from error


def _read(folder: Path) -> Checkpoint:
    """Return the checkpoint in a folder; TrainingError where it is damaged."""
    file = folder / _TENSORS
    try:
        state = parse_map((folder / POSITION).read_text(encoding="utf-8"))
        if state is None:
            raise ValueError(f"{POSITION} is no map of JSON")
        position = Position(
            int(state["step"]),
            float(state["seconds"]),
            tuple(state["machines"]),
            state.get("dataset"),
        )
        if folder.name != step_name(position.step):
            raise ValueError(f"its step is {position.step}")
        verify(file, str(state["sha256"]))
        return Checkpoint(folder, position, load_file(file))
    except (OSError, ValueError, TypeError, KeyError, SafetensorError, WeightsError) as error:
        reason = error.message if isinstance(error, WeightsError) else f"{error}."
        raise TrainingError(
            f"the checkpoint {folder} is damaged: {reason}",
            hint="No checkpoint of this run is whole: start another run.",
        ) from None


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """Return an optimizer's state as flat tensors; its settings come from the zoo config."""
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"{prefix}.{index}.{key}": torch.as_tensor(value)
        for index, values in state.items()
        for key, value in values.items()
        if value is not None
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str
) -> None:
    """Put the state that `optimizer_tensors` gave back."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(f"{prefix}."):
            index, key = name.removeprefix(f"{prefix}.").split(".")
            parameter = parameters[int(index)]
            if key != "step" and tensor.shape == parameter.shape:
                # Fused kernels walk parameter and state side by side: both need the same strides.
                tensor = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _folders(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))
