"""What several processes that work on one thing tell each other, gradients included."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from genzoo.devices import find_device
from genzoo.errors import DeviceError, GenzooError, UnsupportedError

__all__ = ["ALONE", "Processes", "global_mean", "join", "world_size"]

_T = TypeVar("_T")

_REFUSED = ("DEEPSPEED", "FSDP", "MEGATRON_LM")  # each cuts up weights that a phase needs whole
# What torchrun, accelerate and MPI tell the processes that they launch.
_LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
# The main process evaluates or writes while the others wait; who is dead, the launcher finds out.
_PATIENCE = timedelta(hours=12)


@dataclass(frozen=True)
class Processes:
    """One process's place among all that work together."""

    count: int
    rank: int
    device: torch.device
    """This process's own."""

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def share(self, n: int, batch_size: int) -> range:
        """Return this process's part of n rows: whole batches, as one process would have them.

        So that each row is computed in the company that it would have there, which decides its
        last bits.
        """
        batches = -(-n // batch_size)
        first, last = (batches * rank // self.count for rank in (self.rank, self.rank + 1))
        return range(min(first * batch_size, n), min(last * batch_size, n))

    def gather(self, value: _T) -> list[_T]:
        """Return every process's value, by rank, in each of them."""
        if self.count == 1:
            return [value]
        found: list[_T] = [value] * self.count
        dist.all_gather_object(found, value, group=_talk())
        return found

    def gather_on_main(self, value: _T) -> list[_T]:
        """Return every process's value, by rank, in the main process; none in the others."""
        if self.count == 1:
            return [value]
        found: list[_T] | None = [value] * self.count if self.is_main else None
        dist.gather_object(value, found, group=_talk())
        return found or []

    def from_main(self, value: _T) -> _T:
        """Return the main process's value in each of them."""
        if self.count == 1:
            return value
        found = [value if self.is_main else None]
        dist.broadcast_object_list(found, group=_talk())
        return cast(_T, found[0])

    def anywhere(self, flag: bool) -> bool:
        """Return whether `flag` is true in any process, so that all of them act alike."""
        if self.count == 1:
            return flag
        raised = torch.tensor(int(flag))
        dist.all_reduce(raised, group=_talk())
        return bool(raised)

    def agree(self, error: GenzooError | None) -> None:
        """Raise, in all processes, the error that one of them has met; the main one prints it."""
        if not self.anywhere(error is not None):
            return
        met = next(e for e in self.gather(error) if e is not None)
        met.told_elsewhere = not self.is_main
        raise met

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do in every process what may fail in one of them: then it fails in all, and none waits.

        What is done may not itself wait for the others.
        """
        try:
            yield
        except GenzooError as error:
            self.agree(error)
        else:
            self.agree(None)


def _talk() -> Any:
    """Return the group in which processes tell each other what is no tensor of a network.

    By way of the CPU: on a GPU's own an answer would wait for all that the GPU has yet to do.
    """
    world = dist.group.WORLD
    return world if dist.get_backend(world) == "gloo" else _by_cpu(world)


@functools.cache
def _by_cpu(world: Any) -> Any:
    return dist.new_group(backend="gloo")


ALONE = Processes(1, 0, torch.device("cpu"))
"""One process that asks nobody."""


def join(device: str | torch.device | None = None) -> Processes:
    """Join the processes that torchrun or accelerate has launched, or that are joined already.

    Alone where there are none. `device` None takes the GPU where there is one. Raises DeviceError
    where they cannot be joined, UnsupportedError for a launch that cuts up weights.
    """
    for name in _REFUSED:
        if os.environ.get(f"ACCELERATE_USE_{name}", "").lower() in ("true", "1"):
            raise UnsupportedError(
                f"genzoo does not run with {name}.",
                hint="Launch with torchrun, or choose multi-GPU or multi-CPU in accelerate.",
            )
    found = find_device(device)
    if dist.is_available() and dist.is_initialized():
        return Processes(dist.get_world_size(), dist.get_rank(), _own(found))
    if not any(name in os.environ for name in _LAUNCHED):
        return Processes(1, 0, found)
    from accelerate import PartialState  # type: ignore[import-untyped]

    try:
        # Only where it is told so does accelerate join processes that work on the CPU.
        state = PartialState(cpu=found.type == "cpu", timeout=_PATIENCE)
    except (ValueError, RuntimeError) as error:
        raise DeviceError(
            f"cannot join the other processes: {str(error).splitlines()[0]}",
            hint="Launch with torchrun or accelerate, or unset RANK, LOCAL_RANK, WORLD_SIZE.",
        ) from None
    count = state.num_processes
    return Processes(count, state.process_index, state.device if count > 1 else found)


def _own(device: torch.device) -> torch.device:
    """Return this process's GPU, which whoever joined the processes has chosen; or the device."""
    return torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" else device


def world_size() -> int:
    """Return how many processes work together, this one included."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def global_mean(tensor: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes that train together, with its gradient.

    For what a loss or a layer computes of the global batch as a whole; where one process trains it
    is the tensor itself. It can be differentiated twice.
    """
    if world_size() == 1:
        return tensor
    return cast(Tensor, _Sum.apply(tensor)) / world_size()


class _Sum(torch.autograd.Function):
    """The sum over all processes, whose gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return cast(Tensor, _Sum.apply(gradients[0].contiguous()))
