"""Batches that depend on (seed, step) alone, whatever the number of processes or the first step."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from genzoo.data.binarization import binarize, grey_levels
from genzoo.data.fitting import ImageDataset, TensorImages
from genzoo.errors import DataError

__all__ = ["Batches", "raise_if_a_worker_is_gone"]

_STREAM = zlib.crc32(b"data/order")

_Rows = tuple[Tensor, Tensor | None]


class Batches:
    """One process's rows of each global training batch.

    `batch_size` is that of the global batch, of which `rows` are this process's. Batches run on
    from one epoch into the next, so that a set smaller than a batch will do. A TensorImages is kept
    on `device`; any other dataset is read by `workers` processes, or by this one where that is 0.
    Where it says `binarize`, row j of the global batch is drawn by (seed, step, j).
    """

    def __init__(
        self,
        dataset: ImageDataset,
        *,
        batch_size: int,
        seed: int,
        rows: slice | NDArray[np.int64] = slice(None),
        device: torch.device | str = "cpu",
        workers: int = 0,
    ) -> None:
        if len(dataset) == 0:
            raise DataError("the dataset is empty.", hint="Train on a dataset that has images.")
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed
        self.rows = rows
        self.device = torch.device(device)
        self.workers = workers
        self._held = dataset.to(self.device) if isinstance(dataset, TensorImages) else None
        # Two, because a batch may need the end of one epoch and the start of the next.
        self._order = functools.lru_cache(maxsize=2)(
            functools.partial(_permutation, seed, len(dataset))
        )

    @property
    def in_memory(self) -> bool:
        """Whether the dataset is held there, and no file is read any more."""
        return self._held is not None

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return the dataset indices (batch_size,) of the global batch of `step`, counted from 0.

        They are the next batch_size positions of the epochs' permutations, laid end to end.
        """
        size = len(self.dataset)
        start, stop = step * self.batch_size, (step + 1) * self.batch_size
        epochs = range(start // size, (stop - 1) // size + 1)
        parts = [self._order(e)[max(start - e * size, 0) : stop - e * size] for e in epochs]
        return np.concatenate(parts)

    def iterate(self, start: int, stop: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield this process's rows of steps start ... stop - 1: (images, labels), on the device.

        Images are float32 (b, C, H, W) in [-1, 1], labels int64 (b,) or None. Workers live as long
        as the iterator, so make one for a run, not one for a step. Raises DataError where a file
        cannot be read.
        """
        steps = range(start, stop)
        indices = (self.indices(step)[self.rows] for step in steps)
        rows = self._load(indices) if self._held is None else _select(self._held, indices)
        for step, (images, labels) in zip(steps, rows, strict=True):
            if self._held is not None and self._held.binarize:
                images = binarize(images, self._levels(step, images))
            yield images.float().div_(127.5).sub_(1), labels

    def _levels(self, step: int, images: Tensor) -> Tensor:
        """Return what decides which pixels of this process's rows of `step` are white."""
        height, width = images.shape[2:]
        levels = grey_levels(self.seed, "data/pixels", step, self.batch_size, (height, width))
        return levels[self.rows].to(images.device)

    def _load(self, steps: Iterator[NDArray[np.int64]]) -> Iterator[_Rows]:
        loader: DataLoader[_Rows | DataError] = DataLoader(
            _Stacked(self.dataset),
            batch_size=None,
            sampler=steps,
            num_workers=self.workers,
            collate_fn=_unchanged,
            pin_memory=self.device.type == "cuda",
            # Its own, or a loader would draw from the global one, and a resumed run go another way.
            generator=torch.Generator(),
        )
        for rows in _whole(loader):
            if isinstance(rows, DataError):
                raise rows
            images, labels = rows
            images = images.to(self.device, non_blocking=True)
            yield images, None if labels is None else labels.to(self.device, non_blocking=True)


class _Stacked(TorchDataset[_Rows | DataError]):
    """Gives whole batches, by their list of indices."""

    def __init__(self, dataset: ImageDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, indices: NDArray[np.int64]) -> _Rows | DataError:
        try:
            images, labels = zip(*(self.dataset[int(i)] for i in indices), strict=True)
        except DataError as error:
            return error  # raised in a worker, it would arrive wrapped in the text of its traceback
        return torch.stack(images), None if None in labels else torch.tensor(labels)


def _whole(loader: DataLoader[_Rows | DataError]) -> Iterator[_Rows | DataError]:
    """Yield what a loader does; DataError where one of its workers is gone."""
    try:
        yield from loader
    except RuntimeError as error:
        raise_if_a_worker_is_gone(error)
        raise


def raise_if_a_worker_is_gone(error: RuntimeError) -> None:
    """Raise DataError where an error is what PyTorch says when a worker of Batches was killed.

    It may say so at any moment, and not only where a batch is asked for: it hears by a signal.
    """
    if "DataLoader worker" in str(error):
        raise DataError(
            f"a process that reads images ended unexpectedly: {error}",
            hint="Often the memory was full. Go on with --resume, with fewer training.workers, "
            "which may change.",
        ) from error


def _unchanged(rows: Any) -> Any:
    return rows


def _select(held: TensorImages, steps: Iterator[NDArray[np.int64]]) -> Iterator[_Rows]:
    for step in steps:
        indices = torch.from_numpy(step).to(held.images.device)
        # index_select copies whole rows of uint8; images[indices] would gather them by element.
        labels = None if held.labels is None else held.labels.index_select(0, indices)
        yield held.images.index_select(0, indices), labels


def _permutation(seed: int, size: int, epoch: int) -> NDArray[np.int64]:
    # Counter-based, so that no epoch needs the ones before it. The lowest word of the counter is
    # Philox's own.
    key = np.array([seed, _STREAM], dtype=np.uint64)
    counter = np.array([0, 0, epoch, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter)).permutation(size)
