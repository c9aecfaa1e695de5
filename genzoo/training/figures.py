"""The figures of a run between two lines of its log."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor

from genzoo.training.callbacks import Run
from genzoo.training.engine import Engine

__all__ = ["Figures"]


class Figures:
    """Means of what the steps report, and the time they take; no wait for the device but `take`."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._engine = engine
        self._run = run
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._step = run.step
        self._start = self._last = time.perf_counter()
        self._before = run.seconds

    def add(self, figures: Mapping[str, Tensor]) -> None:
        """Take in the figures of one step."""
        for name, value in figures.items():
            seen = self._sums.get(name)
            self._sums[name] = value if seen is None else seen + value
            self._counts[name] = self._counts.get(name, 0) + 1
        self._run.seconds = self._before + time.perf_counter() - self._start

    def take(self) -> dict[str, float]:
        """Return each figure's mean since the last call, over all processes; set the speed."""
        run, now = self._run, time.perf_counter()
        run.speed = (run.step - self._step) * run.config.training.batch_size / (now - self._last)
        self._step, self._last = run.step, now
        if not self._sums:
            return {}
        means = torch.stack([self._sums[k].float() / self._counts[k] for k in self._sums])
        result = dict(zip(self._sums, self._engine.mean(means).tolist(), strict=True))
        self._sums, self._counts = {}, {}
        return result
