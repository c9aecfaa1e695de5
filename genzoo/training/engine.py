"""What training asks of device, processes and precision: nothing else here knows of them."""

from __future__ import annotations

import contextlib
import platform
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from genzoo import devices
from genzoo.errors import ConfigError, UnsupportedError
from genzoo.processes import join
from genzoo.registry.training_config import TrainingConfig
from genzoo.training.batch_norm import with_global_batch_norm

__all__ = ["Engine"]

_LOW = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Engine:
    """One process's place among all that train together, and how its networks compute.

    Gradients are averaged by one all-reduce after each backward, as in StyleGAN and EDM, and not by
    DistributedDataParallel, whose hooks support neither penalties (a backward inside the backward)
    nor several forwards of one network before it.
    """

    def __init__(self, device: str | None, settings: TrainingConfig) -> None:
        self.all = join(device)
        self.is_main = self.all.is_main
        self.device = self.all.device
        self.precision = settings.precision
        self._channels_last = settings.channels_last
        parts = self.all.count * settings.accumulate
        if settings.batch_size % parts:
            ways = [f"shared by {self.all.count} processes"] if self.all.count > 1 else []
            ways += [f"cut into {settings.accumulate} parts"] if settings.accumulate > 1 else []
            raise ConfigError(
                f"training.batch_size {settings.batch_size} cannot be {' and '.join(ways)}.",
                hint=f"Use a multiple of {parts}: it is the size of the global batch.",
            )
        size = settings.batch_size // parts
        # The k-th parts of all processes are next to each other: what is computed over a part as a
        # whole, as BatchNorm does, is computed over the same rows by any number of processes.
        firsts = range(self.all.rank * size, settings.batch_size, self.all.count * size)
        self.parts = tuple(slice(first, first + size) for first in firsts)
        """This process's rows of each global batch, as many at a time as go through at once."""
        self.rows = np.concatenate([np.arange(p.start, p.stop) for p in self.parts])
        """All of them, as indices (b,)."""

    @contextlib.contextmanager
    def exactness(self) -> Iterator[None]:
        """Let float32 on GPUs be float32, or TF32 where that is the precision asked for."""
        with devices.tf32(self.precision == "tf32"):
            yield

    def seed(self, seed: int) -> None:
        """Seed the generators of the CPU and of this process's device."""
        devices.seed(seed, self.device)

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return the context that forwards run in."""
        if dtype := _LOW.get(self.precision):
            return torch.autocast(self.device.type, dtype=dtype)
        return contextlib.nullcontext()

    def scaler(self) -> torch.amp.GradScaler:
        """Return what scales a phase's loss; it does nothing but for fp16.

        One for each phase: another's gradients that overflow are no reason to skip this one's step.
        """
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

    def place(self, networks: nn.ModuleDict) -> nn.ModuleDict:
        """Return networks on the device, laid out for it, their BatchNorm seeing all processes."""
        networks = networks.to(self.device)
        if self._channels_last:
            networks = networks.to(memory_format=torch.channels_last)
        if self.all.count > 1:
            for role, network in networks.items():
                networks[role] = with_global_batch_norm(network)
        return networks

    def compile(self, networks: nn.ModuleDict, eager: Iterable[str]) -> None:
        """Compile the forwards of all networks but those whose roles are in `eager`.

        Raises UnsupportedError where there is no compiler for this device.
        """
        try:
            torch.compile(torch.sin)(torch.zeros(2, device=self.device))
        except Exception as error:  # whatever is missing: a C++ compiler, Triton, headers, ...
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UnsupportedError(
                f"torch.compile does not work here: {reason}",
                hint="Install a C++ compiler such as g++, or train without training.compile.",
            ) from None
        for role in networks.keys() - set(eager):
            # Once for each shape: sizes left open would be other kernels, with other last bits.
            networks[role].compile(dynamic=False)

    def lay_out(self, images: Tensor) -> Tensor:
        """Return images (B, C, H, W) in the order of memory that the networks are in."""
        if self._channels_last:
            return images.contiguous(memory_format=torch.channels_last)
        return images

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over all processes."""
        if self.all.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.mean(torch.cat([g.reshape(-1) for g in gradients]))
        parts = torch.split(flat, [g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def mean(self, tensor: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes."""
        if self.all.count == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total / self.all.count

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
