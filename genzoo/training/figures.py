"""The figures of a run between two lines of its log."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor

from genzoo.training.callbacks import Run
from genzoo.training.engine import Engine

__all__ = ["Figures"]

_MOST = 100  # values of a figure that are kept apart: one sum is cheaper than as many additions


class Figures:
    """Means of what the steps report, and the time they take; no wait for the device but `take`."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._engine = engine
        self._run = run
        self._held: dict[str, list[Tensor]] = {}
        self._counts: dict[str, int] = {}
        self._step = run.step
        self._start = self._last = time.perf_counter()
        self._before = run.seconds

    def add(self, figures: Mapping[str, Tensor]) -> None:
        """Take in the figures of one step."""
        for name, value in figures.items():
            held = self._held.setdefault(name, [])
            held.append(value)
            self._counts[name] = self._counts.get(name, 0) + 1
            if len(held) == _MOST:
                self._held[name] = [torch.stack(held).sum(0)]
        self._run.seconds = self._before + time.perf_counter() - self._start

    def take(self) -> dict[str, float]:
        """Return each figure's mean since the last call, over all processes; set the speed."""
        run, now = self._run, time.perf_counter()
        run.speed = (run.step - self._step) * run.config.training.batch_size / (now - self._last)
        self._step, self._last = run.step, now
        if not self._held:
            return {}
        sums = [torch.stack(held).float().sum(0) for held in self._held.values()]
        counts = torch.tensor(list(self._counts.values()), device=sums[0].device)
        means = self._engine.mean(torch.stack(sums) / counts).tolist()
        result = dict(zip(self._held, means, strict=True))
        self._held, self._counts = {}, {}
        return result
