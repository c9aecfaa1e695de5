"""Devices, processes and precision, by accelerate: nothing else here knows how many train."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from accelerate.utils import reduce  # type: ignore[import-untyped]
from torch import Tensor, nn

from genzoo.errors import ConfigError, UnsupportedError
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
        self._state = PartialState(cpu=device == "cpu")
        self.processes: int = self._state.num_processes
        self.rank: int = self._state.process_index
        self.is_main: bool = self._state.is_main_process
        several = self.processes > 1
        self.device: torch.device = self._state.device if several else find_device(device)
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
        """Let BatchNorm see the global batch where several processes share it."""
        if self.processes == 1 or self.device.type != "cuda":  # SyncBatchNorm is CUDA's alone
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

    def anywhere(self, flag: bool) -> bool:
        """Return whether `flag` is true in any process, so that all of them act alike."""
        if self.processes == 1:
            return flag
        return bool(reduce(torch.tensor(float(flag), device=self.device), reduction="sum"))

    def wait(self) -> None:
        """Wait until every process is here."""
        self._state.wait_for_everyone()
