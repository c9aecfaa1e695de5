"""A dataset as a ruler: what models are compared with, and the floor beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genzoo._version import __version__
from genzoo.data.fitting import ImageDataset, Split
from genzoo.errors import UnsupportedError
from genzoo.evaluation import metrics
from genzoo.evaluation.features import find_extractor, load_extractor
from genzoo.evaluation.protocol import (
    FLOOR_DRAWS,
    KID_SUBSET_SIZE,
    KID_SUBSETS,
    MEMORIZATION,
    NEIGHBOURS,
    SAMPLES,
)
from genzoo.evaluation.sources import (
    LabelledImages,
    Sight,
    generated,
    open_split,
    real,
    shuffled,
    thumbnails,
)
from genzoo.inputs import check_batch_size
from genzoo.model import Model
from genzoo.processes import ALONE, Processes
from genzoo.registry.config import ZooConfig

__all__ = ["Progress", "Ruler", "Splits", "open_splits", "silent"]

_VALUES = 2**17  # pixels times channels at a time, which a network's layers multiply by hundreds

Splits = tuple[ImageDataset, ImageDataset]
"""The training split, and the split that models are compared with."""
Progress = Callable[[str, int, int], None]
"""Told (what is done, how many are done, of how many)."""


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


def open_splits(config: ZooConfig, dataset: str | None, split: Split, data: Path | None) -> Splits:
    """Return the training split, and the split that models are compared with.

    Raises DataError, or UnsupportedError where one has too few images to measure anything.
    """
    both = open_split(config, dataset, "train", data), open_split(config, dataset, split, data)
    for name, images in zip(("train", split), both, strict=True):
        if len(images) <= NEIGHBOURS:
            raise UnsupportedError(
                f"{dataset or config.dataset.name} cannot be measured on: its {name} split has "
                f"{len(images)} images, and {NEIGHBOURS + 1} are the least.",
                hint="Take a larger set.",
            )
    return both


class Ruler:
    """A dataset's test split and as many training images as samples, seen by one extractor.

    It is read once and can measure any number of models that draw such images. `samples` None is
    10,000; where the set has fewer training images, that or `at_most` takes all of them, and any
    other number raises UnsupportedError. `splits` are what `open_splits` returned, where they are
    open already. `processes` share the images that are looked at.
    """

    def __init__(
        self,
        model: Model,
        *,
        samples: int | None = None,
        at_most: bool = False,
        seed: int = 0,
        dataset: str | None = None,
        split: Split = "test",
        extractor: str | None = None,
        data: Path | None = None,
        batch_size: int | None = None,
        progress: Progress = silent,
        splits: Splits | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.processes = processes
        self.dataset = dataset or model.config.dataset.name
        self.split, self.seed, self.progress = split, seed, progress
        values = model.image.channels * model.image.height * model.image.width
        self.batch_size = max(1, _VALUES // values) if batch_size is None else batch_size
        check_batch_size(self.batch_size)
        spec = find_extractor(self.dataset, extractor)
        self.spec, self.extractor = spec, load_extractor(spec, model.device)
        splits = splits or open_splits(model.config, dataset, split, data)
        self.training, self.reference_set = splits
        self.samples = self._count(samples, at_most)
        # Real images in the order of one shuffle: any number of them is a fair draw of the set,
        # which itself may be sorted by class.
        self.order = shuffled(len(self.training), seed)
        self.reference_order = shuffled(len(self.reference_set), seed)
        self.knows_classes = self.dataset in spec.datasets
        self.reference = self._look(self.reference_set, self.reference_order, f"{split} images")
        self.floor = self._look(self.training, self.order[: self.samples], "training images")
        self.floor_fids = self._floor_fids()

    def _count(self, samples: int | None, at_most: bool) -> int:
        most = len(self.training)
        if samples is None or at_most:
            return min(samples or SAMPLES, most)
        if not isinstance(samples, int) or not NEIGHBOURS < samples <= most:
            raise UnsupportedError(
                f"cannot evaluate {samples} samples: {self.dataset} has {most} training images, "
                "and the floor is measured on as many.",
                hint=f"Ask for {NEIGHBOURS + 1} to {most} samples.",
            )
        return samples

    def _floor_fids(self) -> list[float]:
        """Return the FID of each draw of the floor: one alone would hang on a few odd images."""
        draws = max(1, min(FLOOR_DRAWS, len(self.training) // self.samples))
        sight, fids = self.floor, []
        for draw in range(draws):
            if draw:  # one at a time: their features together could be more than memory holds
                rows = self.order[draw * self.samples : (draw + 1) * self.samples]
                sight = self._look(self.training, rows, f"draw {draw + 1} of {draws}")
            self.progress("metrics of the floor", draw, draws)
            fids.append(self.fid(sight))
            self.progress("metrics of the floor", draw + 1, draws)
        return fids

    @property
    def floor_fid(self) -> float:
        """The FID of as many real training images as samples, the mean over all draws."""
        return sum(self.floor_fids) / len(self.floor_fids)

    @property
    def floor_spread(self) -> float | None:
        """The standard deviation of the draws' FID; None where one draw is all that the set has."""
        if len(self.floor_fids) < 2:
            return None
        return float(torch.tensor(self.floor_fids).std(correction=0))

    def _look(self, dataset: ImageDataset, rows: Sequence[int], stage: str) -> Sight:
        def batches(mine: range) -> Iterator[LabelledImages]:
            return real(dataset, rows[mine.start : mine.stop], self.batch_size)

        return self._see(batches, len(rows), stage)

    def _see(
        self, batches: Callable[[range], Iterator[LabelledImages]], total: int, stage: str
    ) -> Sight:
        """Look at this process's share of `total` images; return what all processes see."""
        mine = self.processes.share(total, self.batch_size)
        told = self._stage(stage)
        seen = None
        if mine:
            seen = Sight.of(
                batches(mine), self.extractor, self.spec, total, MEMORIZATION, told, mine.start
            )
        found = self.processes.gather(seen)
        return Sight.joined([part for part in found if part is not None])

    def _stage(self, name: str) -> Callable[[int, int], None]:
        return lambda done, total: self.progress(name, done, total)

    def fid(self, sight: Sight) -> float:
        """Return the FID of what was seen against the reference."""
        return metrics.fid(self.reference.features, sight.features)

    def ratio(self, fid: float) -> float | None:
        """Return FID over its floor; None where the floor says nothing."""
        # Against the training split, the floor's images are their own reference: only rounding is
        # left. So it is where a plugin's set has equal splits.
        return fid / self.floor_fid if self.split == "test" and self.floor_fid > 0 else None

    def thumbnails_of_training(self) -> Tensor:
        """Return all training images, uint8 (N, C, h, w), of 32 pixels a side at most."""
        return thumbnails(self.training, self.batch_size, self._stage("all training images"))

    def look_at(self, model: Model) -> Sight:
        """Return what the extractor sees in `samples` images that the model draws."""
        # As many of each class as there are among the floor's images, so that the frequencies of
        # classes are no part of the comparison.
        labels = self.floor.labels if model.classes else None

        def batches(mine: range) -> Iterator[LabelledImages]:
            return generated(model, self.samples, self.seed, labels, self.batch_size, mine)

        return self._see(batches, self.samples, "samples")

    def floor_figures(self, classes: int | None) -> tuple[dict[str, float], dict[str, Any]]:
        """Return the figures of as many real training images as samples, and of each class."""
        return self._compare(self.floor, self.floor_fid, classes)

    def figures(self, sight: Sight, classes: int | None) -> tuple[dict[str, float], dict[str, Any]]:
        """Return the figures of what was seen, and those of each class."""
        fid = self.fid(sight)
        figures, by_class = self._compare(sight, fid, classes)
        ratio = self.ratio(fid)
        if ratio is not None:
            figures = {"fid": fid, "fid_ratio": ratio} | figures
        return figures, by_class

    def _compare(
        self, sight: Sight, fid: float, classes: int | None
    ) -> tuple[dict[str, float], dict[str, Any]]:
        real_features = self.reference.features
        figures = {
            "fid": fid,
            "kid": metrics.kid(real_features, sight.features, self.seed),
            **metrics.prdc(real_features, sight.features),
        }
        by_class: dict[str, Any] = {}
        count = self.spec.image.classes if self.spec.image else None
        if not self.knows_classes or count is None or sight.predicted is None:
            return figures, by_class
        assert self.reference.predicted is not None
        if classes is None:
            figures["class_balance"] = metrics.class_balance(
                self.reference.predicted, sight.predicted, count
            )
            by_class["class_share"] = metrics.class_shares(sight.predicted, count).tolist()
        elif classes == count and sight.labels is not None:
            figures["label_agreement"], by_class["label_agreement"] = metrics.label_agreement(
                sight.predicted, sight.labels, count
            )
        return figures, by_class

    def protocol(self, model: Model) -> dict[str, Any]:
        """Return how the figures come about, as plain values."""
        return {
            "samples": self.samples,
            "seed": self.seed,
            "labels": "as frequent as among the floor's images" if model.classes else "none",
            "quantization": "uint8",
            "dataset": self.dataset,
            "split": self.split,
            "reference_images": len(self.reference.features),
            "training_images": len(self.training),
            "extractor": self.spec.name,
            "extractor_sha256": self.extractor.sha256,
            "features": self.extractor.num_features,
            "floor_draws": len(self.floor_fids),
            "floor_spread": self.floor_spread,
            "neighbours": NEIGHBOURS,
            "kid_subsets": KID_SUBSETS,
            "kid_subset_size": min(KID_SUBSET_SIZE, self.samples, len(self.reference.features)),
            "memorization_images": min(MEMORIZATION, self.samples, len(self.reference.thumbnails)),
            "weights_sha256": model.sha256,
            "dtype": str(model.dtype).removeprefix("torch."),
            "device": model.device.type,
            "genzoo": __version__,
            "torch": torch.__version__,
            **({"set": model.changed_settings()} if model.changes else {}),
        }
