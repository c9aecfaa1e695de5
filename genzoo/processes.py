"""What several processes that work on one thing tell each other, gradients included."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from genzoo.devices import find_device
from genzoo.errors import DeviceError, UnsupportedError

__all__ = ["ALONE", "Processes", "global_mean", "join", "world_size"]

_T = TypeVar("_T")

_REFUSED = ("DEEPSPEED", "FSDP", "MEGATRON_LM")  # each cuts up weights that a phase needs whole
# What torchrun, accelerate and MPI tell the processes that they launch.
_LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE")


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
        dist.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.count > 1:
            dist.barrier()


ALONE = Processes(1, 0, torch.device("cpu"))
"""One process that asks nobody."""


def join(device: str | torch.device | None = None) -> Processes:
    """Join the processes that torchrun or accelerate has launched; alone where none has.

    `device` None takes the GPU where there is one. Raises DeviceError where they cannot be joined,
    UnsupportedError for a launch that cuts up weights.
    """
    for name in _REFUSED:
        if os.environ.get(f"ACCELERATE_USE_{name}", "").lower() in ("true", "1"):
            raise UnsupportedError(
                f"genzoo does not run with {name}.",
                hint="Launch with torchrun, or choose multi-GPU or multi-CPU in accelerate.",
            )
    found = find_device(device)
    if not any(name in os.environ for name in _LAUNCHED):
        return Processes(1, 0, found)
    from accelerate import PartialState  # type: ignore[import-untyped]

    try:
        # Only where it is told so does accelerate join processes that work on the CPU.
        state = PartialState(cpu=found.type == "cpu")
    except (ValueError, RuntimeError) as error:
        raise DeviceError(
            f"cannot join the other processes: {str(error).splitlines()[0]}",
            hint="Launch with torchrun or accelerate, or unset RANK, LOCAL_RANK, WORLD_SIZE.",
        ) from None
    count = state.num_processes
    return Processes(count, state.process_index, state.device if count > 1 else found)


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
    from torch.distributed.nn.functional import all_reduce

    total: Tensor = all_reduce(tensor)
    return total / world_size()
