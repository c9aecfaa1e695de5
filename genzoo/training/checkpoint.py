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
from genzoo.weights.format import verify

__all__ = ["Checkpoint", "Position", "load_optimizer", "newest", "optimizer_tensors", "save"]

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


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's folder, and what it says."""

    folder: Path
    position: Position
    sha256: str
    """Of the file that holds the tensors."""

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors of the training state; TrainingError where the file is damaged."""
        file = self.folder / _TENSORS
        try:
            verify(file, self.sha256)
            return load_file(file)
        except (OSError, SafetensorError, WeightsError) as error:
            raise _damaged(self.folder, error) from None


def save(
    folder: Path, position: Position, tensors: Mapping[str, Tensor], model: Model, keep: int
) -> Path:
    """Write the checkpoint of a step under `folder`, then delete all but the newest `keep`.

    Raises OutputError where it cannot be written.
    """
    target = folder / f"step-{position.step:08d}"
    if not target.exists():
        # Copies, because save_file refuses tensors that share memory, as tied weights do.
        plain = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}
        with atomic_folder(target) as beside:
            try:
                with atomic_file(beside / _TENSORS) as file:
                    save_file(plain, file)  # which alone would let nobody else read it
                model.save(beside / WEIGHTS)
            except SafetensorError as error:  # its way to say that the disk is full
                raise OutputError(
                    f"cannot write {target}: {error}.", hint="Make room, then go on with --resume."
                ) from None
            state = {**asdict(position), "sha256": file_sha256(beside / _TENSORS)}
            write_text(beside / "position.json", json.dumps(state))
    for old in _folders(folder)[:-keep]:
        hidden = old.rename(folder / f".{old.name}")  # a kill must not leave half of a checkpoint
        shutil.rmtree(hidden, ignore_errors=True)
    return target


def newest(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint under `folder`, None where there is none."""
    folders = _folders(folder)
    if not folders:
        return None
    last = folders[-1]
    try:
        state = json.loads((last / "position.json").read_text(encoding="utf-8"))
        machines = tuple(state["machines"])
        position = Position(int(state["step"]), float(state["seconds"]), machines)
        if position.step < 0:
            raise ValueError(f"its step is {position.step}")
        return Checkpoint(last, position, str(state["sha256"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(last, error) from None


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


def _damaged(folder: Path, error: Exception) -> TrainingError:
    reason = error.message if isinstance(error, WeightsError) else f"{error}."
    return TrainingError(
        f"the checkpoint {folder} is damaged: {reason}",
        hint="Delete that folder and run again: it goes on from the one before, if there is one.",
    )
