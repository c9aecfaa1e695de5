"""Randomness that belongs to an image, not to a batch.

Both sources are counter-based (Philox, Salmon et al. 2011, "Parallel random numbers: as easy as 1,
2, 3"), so that a number depends on its key and counter alone, never on what was drawn before it.
"""

from __future__ import annotations

import operator
import secrets
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genzoo.errors import UnsupportedError

__all__ = ["MAX_SEED", "Noise", "NoiseSource", "StepNoise", "check_seed", "seed_or_any"]

MAX_SEED = 2**63 - 1
"""Seeds are 0 to MAX_SEED."""


def check_seed(seed: int) -> int:
    """Return a seed as a plain int; UnsupportedError where it is not one from 0 to MAX_SEED."""
    try:
        whole = operator.index(seed)  # NumPy would draw from 1.5 what it draws from 1
    except TypeError:
        whole = -1
    if not 0 <= whole <= MAX_SEED:
        raise UnsupportedError(
            f"seed {seed!r} is not possible.", hint=f"Use a whole number from 0 to {MAX_SEED}."
        )
    return whole


class NoiseSource(Protocol):
    """Draws tensors of as many rows as there are images. Every call draws anew."""

    def __len__(self) -> int:
        """Return the number of rows N."""

    def normal(self, *shape: int) -> Tensor:
        """Return float32 (N, *shape), standard normal."""

    def uniform(self, *shape: int) -> Tensor:
        """Return float32 (N, *shape), uniform in [0, 1)."""

    def integers(self, high: int) -> Tensor:
        """Return int64 (N,), uniform over 0 ... high - 1."""


def seed_or_any(seed: int | None) -> int:
    """Return the seed, checked, or any where it is None."""
    return secrets.randbelow(2**32) if seed is None else check_seed(seed)


def _generator(seed: int, stream: str, call: int, counter: int) -> np.random.Generator:
    # The counter's lowest word is left to Philox itself: it counts the blocks drawn.
    key = np.array([seed, zlib.crc32(stream.encode())], dtype=np.uint64)
    start = np.array([0, call, counter, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=start))


def _set_row_by_row(
    generator: np.random.Generator, call: int, indices: Sequence[int]
) -> Iterator[np.random.Generator]:
    """Yield the generator, as `_generator` would make it for each index: it is slower to make."""
    bits = generator.bit_generator
    fresh = cast(dict[str, Any], bits.state)
    for index in indices:
        fresh["state"]["counter"] = np.array([0, call, index, 0], dtype=np.uint64)
        bits.state = fresh
        yield generator


class Noise:
    """Row i comes from (seed, indices[i]) alone: not from the other rows or the device.

    `stream` separates uses of one seed (latents, labels), so that they are independent.
    """

    def __init__(
        self,
        seed: int,
        indices: Sequence[int],
        *,
        stream: str = "sample",
        device: torch.device | str = "cpu",
    ) -> None:
        self.seed = seed
        self.indices = indices
        self.stream = stream
        self.device = device
        self._calls = 0

    def __len__(self) -> int:
        return len(self.indices)

    def _rows(self) -> Iterator[np.random.Generator]:
        """Yield a generator for each row, to be used before the next one is asked for."""
        call = self._calls
        self._calls += 1
        return _set_row_by_row(_generator(self.seed, self.stream, call, 0), call, self.indices)

    def normal(self, *shape: int) -> Tensor:
        """Return float32 (N, *shape), standard normal."""
        rows = [row.standard_normal(shape, dtype=np.float32) for row in self._rows()]
        return self._stack(rows, shape)

    def uniform(self, *shape: int) -> Tensor:
        """Return float32 (N, *shape), uniform in [0, 1)."""
        rows = [row.random(shape, dtype=np.float32) for row in self._rows()]
        return self._stack(rows, shape)

    def integers(self, high: int) -> Tensor:
        """Return int64 (N,), uniform over 0 ... high - 1."""
        rows = [int(row.integers(high)) for row in self._rows()]
        return torch.tensor(rows, dtype=torch.int64, device=self.device)

    def _stack(self, rows: list[NDArray[np.float32]], shape: tuple[int, ...]) -> Tensor:
        array = np.stack(rows) if rows else np.empty((0, *shape), dtype=np.float32)
        return torch.from_numpy(array).to(self.device)


class StepNoise:
    """The noise of one phase of one training step.

    It draws for the whole global batch and hands out this process's rows, so that any number of
    processes sees the same noise at the same place: row j of the global batch depends on (seed,
    step, stream, j).
    """

    def __init__(
        self,
        seed: int,
        step: int,
        *,
        stream: str,
        batch_size: int,
        rows: slice,
        device: torch.device | str = "cpu",
    ) -> None:
        self.batch_size = batch_size
        self.rows = range(batch_size)[rows]
        self.device = device
        self._generator = _generator(seed, f"train/{stream}", 0, step)

    def __len__(self) -> int:
        return len(self.rows)

    def normal(self, *shape: int) -> Tensor:
        """Return float32 (N, *shape), standard normal."""
        size = (self.batch_size, *shape)
        return self._take(self._generator.standard_normal(size, dtype=np.float32))

    def uniform(self, *shape: int) -> Tensor:
        """Return float32 (N, *shape), uniform in [0, 1)."""
        return self._take(self._generator.random((self.batch_size, *shape), dtype=np.float32))

    def integers(self, high: int) -> Tensor:
        """Return int64 (N,), uniform over 0 ... high - 1."""
        return self._take(self._generator.integers(high, size=self.batch_size))

    def _take(self, array: NDArray[np.float32] | NDArray[np.int64]) -> Tensor:
        part = array[self.rows.start : self.rows.stop]
        return torch.from_numpy(part).to(self.device)
