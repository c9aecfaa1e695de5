"""Devices, processes and precision, by accelerate: nothing else here knows how many train."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from accelerate.utils import reduce  # type: ignore[import-untyped]
from torch import Tensor, nn

from genzoo.errors import ConfigError, DeviceError, UnsupportedError
from genzoo.loading import find_device

__all__ = ["Engine"]

_REFUSED = ("DEEPSPEED", "FSDP", "MEGATRON_LM")  # each cuts up weights that a phase needs whole


class Engine:
    """One process's place among all that train together.

    Gradients are averaged by one all-reduce after each backward, as in StyleGAN and EDM, and not by
    DistributedDataParallel, whose hooks support neither penalties (a backward inside the backward)
    nor several forwards of one network before it.
    """

    def __init__(self, device: str | None, precision: str, batch_size: int) -> None:
        for name in _REFUSED:
            if os.environ.get(f"ACCELERATE_USE_{name}", "").lower() in ("true", "1"):
                raise UnsupportedError(
                    f"genzoo does not train with {name}.",
                    hint="Launch with torchrun, or choose multi-GPU or multi-CPU in accelerate.",
                )
        found = find_device(device)
        try:
            # Only where it is told so does accelerate join processes that train on the CPU.
            self._state = PartialState(cpu=found.type == "cpu")
        except (ValueError, RuntimeError) as error:
            raise DeviceError(
                f"cannot join the other processes: {str(error).splitlines()[0]}",
                hint="Launch with torchrun or accelerate, or unset RANK, LOCAL_RANK, WORLD_SIZE.",
            ) from None
        self.processes: int = self._state.num_processes
        self.rank: int = self._state.process_index
        self.is_main: bool = self._state.is_main_process
        several = self.processes > 1
        self.device: torch.device = self._state.device if several else found
        self.precision = precision
        if batch_size % self.processes:
            raise ConfigError(
                f"training.batch_size {batch_size} cannot be shared by {self.processes} processes.",
                hint=f"Use a multiple of {self.processes}: it is the size of the global batch.",
            )
        share = batch_size // self.processes
        self.rows = slice(self.rank * share, (self.rank + 1) * share)
        """This process's rows of each global batch."""

    def seed(self, seed: int) -> None:
        """Seed the generators of the CPU and of this process's device."""
        # torch.manual_seed takes a millisecond: it notes the call for each missing kind of device.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):
                torch.cuda.manual_seed(seed)
        elif self.device.type != "cpu":
            torch.manual_seed(seed)

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context that forwards run in."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def convert_batch_norm(self, networks: nn.ModuleDict) -> nn.ModuleDict:
        """Let BatchNorm see the global batch where several processes share it.

        Raises UnsupportedError for several processes on the CPU, where PyTorch cannot.
        """
        if self.processes == 1:
            return networks
        if self.device.type != "cuda":
            if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in networks.modules()):
                raise UnsupportedError(
                    "BatchNorm cannot see the global batch of several processes on the CPU.",
                    hint="Train with one process, on GPUs, or with networks without BatchNorm.",
                )
            return networks
        convert: Callable[[nn.Module], nn.ModuleDict] = nn.SyncBatchNorm.convert_sync_batchnorm
        return convert(networks)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over all processes."""
        if self.processes == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.mean(torch.cat([g.reshape(-1) for g in gradients]))
        parts = torch.split(flat, [g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def mean(self, tensor: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes."""
        if self.processes == 1:
            return tensor
        averaged: Tensor = reduce(tensor, reduction="mean")
        return averaged

    def may_ask(self, step: int) -> bool:
        """Return whether to ask all processes something after this step: not always on GPUs.

        There an answer waits for all that the devices have yet to do.
        """
        return self.processes == 1 or self.device.type == "cpu" or step % 10 == 0

    def anywhere(self, flag: bool) -> bool:
        """Return whether `flag` is true in any process, so that all of them act alike."""
        if self.processes == 1:
            return flag
        return bool(reduce(torch.tensor(float(flag), device=self.device), reduction="sum"))

    def wait(self) -> None:
        """Wait until every process is here."""
        self._state.wait_for_everyone()

    def machine(self) -> str:
        """Return in words what this process trains on."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        name = platform.processor() or platform.machine()
        listing = Path("/proc/cpuinfo")  # on Linux, where platform.processor() is often empty
        if listing.exists():
            models = re.findall(r"^model name\s*:\s*(.+)$", listing.read_text(), re.MULTILINE)
            name = models[0] if models else name
        threads = torch.get_num_threads()
        return f"{threads} thread{'s' if threads > 1 else ''} of {name}"
