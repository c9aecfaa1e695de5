"""The protocol: which images are compared with which, by what, and what comes out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genzoo._version import __version__
from genzoo.data.fitting import Split
from genzoo.errors import UnsupportedError
from genzoo.evaluation import metrics
from genzoo.evaluation.features import find_extractor, load_extractor
from genzoo.evaluation.sources import Sight, generated, open_split, real, shuffled, thumbnails
from genzoo.loading import load
from genzoo.model import Model
from genzoo.objectives.base import HasLogLikelihood

__all__ = ["Evaluation", "Progress", "Ruler", "evaluate"]

SAMPLES = 10_000
NEIGHBOURS = 5
MEMORIZATION = 2_000
"""Images whose nearest training images are looked up."""

Progress = Callable[[str, int, int], None]
"""Told (what is done, how many are done, of how many)."""


def _silent(stage: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Evaluation:
    """What a model is worth: each figure, the floor beside it, and how both were measured."""

    model: str
    figures: Mapping[str, float]
    floor: Mapping[str, float]
    """The same figures for as many real training images; only those that they have."""
    by_class: Mapping[str, list[float | None]]
    protocol: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    pictures: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    """uint8 (N, C, H, W), for `genzoo.evaluation.report`."""

    def to_dict(self) -> dict[str, Any]:
        """Return all but the pictures, as plain values."""
        return {
            "model": self.model,
            "figures": dict(self.figures),
            "floor": dict(self.floor),
            "by_class": dict(self.by_class),
            "protocol": dict(self.protocol),
            "notes": list(self.notes),
        }


class Ruler:
    """A dataset's test split and as many training images as samples, seen by one extractor.

    It is read once and can measure any number of models that draw such images. `samples` None is
    10,000; where the set has fewer training images, that or `at_most` takes all of them, and any
    other number raises UnsupportedError.
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
        batch_size: int = 500,
        progress: Progress = _silent,
    ) -> None:
        self.dataset = dataset or model.config.dataset.name
        self.split, self.seed, self.batch_size, self.progress = split, seed, batch_size, progress
        spec = find_extractor(self.dataset, extractor)
        self.spec, self.extractor = spec, load_extractor(spec, model.device)
        self.training = open_split(model.config, dataset, "train", data)
        self.reference_set = open_split(model.config, dataset, split, data)
        self.samples = self._count(samples, at_most)
        # Real images in the order of one shuffle: any number of them is a fair draw of the set.
        self.order = shuffled(len(self.training), seed)
        self.knows_classes = self.dataset in spec.datasets
        rows = range(len(self.reference_set))
        self.reference = self._look(self.reference_set, rows, f"{split} images")
        self.floor = self._look(self.training, self.order[: self.samples], "training images")

    def _count(self, samples: int | None, at_most: bool) -> int:
        most = len(self.training)
        if samples is None or at_most:
            return min(samples or SAMPLES, most)
        if not NEIGHBOURS < samples <= most:
            raise UnsupportedError(
                f"cannot evaluate {samples} samples: {self.dataset} has {most} training images, "
                "and the floor is measured on as many.",
                hint=f"Ask for {NEIGHBOURS + 1} to {most} samples.",
            )
        return samples

    def _look(self, dataset: Any, rows: Any, stage: str) -> Sight:
        batches = real(dataset, rows, self.batch_size)
        return Sight.of(
            batches, self.extractor, self.spec, len(rows), MEMORIZATION, self._stage(stage)
        )

    def _stage(self, name: str) -> Callable[[int, int], None]:
        return lambda done, total: self.progress(name, done, total)

    def fid(self, sight: Sight) -> float:
        """Return the FID of what was seen against the reference."""
        return metrics.fid(self.reference.features, sight.features)

    def look_at(self, model: Model) -> Sight:
        """Return what the extractor sees in `samples` images that the model draws."""
        # As many of each class as there are among the floor's images, so that the frequencies of
        # classes are no part of the comparison.
        labels = self.floor.labels if model.classes else None
        batches = generated(model, self.samples, self.seed, labels, self.batch_size)
        return Sight.of(
            batches, self.extractor, self.spec, self.samples, MEMORIZATION, self._stage("samples")
        )

    def compare(self, sight: Sight, classes: int | None) -> tuple[dict[str, float], dict[str, Any]]:
        """Return the figures of what was seen, and those of each class."""
        real_features = self.reference.features
        figures = {
            "fid": self.fid(sight),
            "kid": metrics.kid(real_features, sight.features, self.seed),
            **metrics.prdc(real_features, sight.features, NEIGHBOURS),
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
            "labels": "as frequent as in the training split" if model.classes else "none",
            "quantization": "uint8",
            "dataset": self.dataset,
            "split": self.split,
            "reference_images": len(self.reference.features),
            "training_images": len(self.training),
            "extractor": self.spec.name,
            "extractor_sha256": self.extractor.sha256,
            "features": self.extractor.num_features,
            "neighbours": NEIGHBOURS,
            "kid_subsets": metrics.KID_SUBSETS,
            "kid_subset_size": min(
                metrics.KID_SUBSET_SIZE, self.samples, len(self.reference.features)
            ),
            "memorization_images": min(MEMORIZATION, self.samples, len(self.reference.thumbnails)),
            "weights_sha256": model.sha256,
            "genzoo": __version__,
            "torch": torch.__version__,
        }


def evaluate(
    name_or_path: str | os.PathLike[str] | Model,
    *,
    samples: int | None = None,
    seed: int = 0,
    dataset: str | None = None,
    split: Split = "test",
    extractor: str | None = None,
    importance_samples: int = 100,
    likelihood_images: int = 1000,
    data: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
    batch_size: int = 500,
    progress: Progress = _silent,
) -> Evaluation:
    """Return the figures of a model, each beside those of real training images: its floor.

    `name_or_path` is what `genzoo.load` takes, or a Model. `samples` None draws 10,000, or as many
    as the dataset has training images; `dataset` and `extractor` None take the model's own and the
    one made for it. For a model that gives test images a probability, the first
    `likelihood_images` are bounded by `importance_samples` draws each. Raises UnknownNameError,
    UnsupportedError, DataError, or what `load` raises.
    """
    if likelihood_images < 1 or importance_samples < 1:
        raise UnsupportedError(
            "a likelihood needs at least one image and one importance sample.",
            hint="Ask for 1 or more of each.",
        )
    model = name_or_path if isinstance(name_or_path, Model) else load(name_or_path, device)
    model = model.eval()
    ruler = Ruler(
        model,
        samples=samples,
        seed=seed,
        dataset=dataset,
        split=split,
        extractor=extractor,
        data=None if data is None else Path(data),
        batch_size=batch_size,
        progress=progress,
    )
    sight = ruler.look_at(model)
    progress("metrics", 0, 3)
    figures, by_class = ruler.compare(sight, model.classes)
    progress("metrics", 1, 3)
    floor, _ = ruler.compare(ruler.floor, model.classes)
    progress("metrics", 2, 3)
    # Against the training split, the floor's images are their own reference: only rounding is left.
    sound = split == "test" and floor["fid"] > 0
    ratio = {"fid_ratio": figures["fid"] / floor["fid"]} if sound else {}
    figures = {"fid": figures.pop("fid"), **ratio, **figures}
    memorized, real_memorized, neighbours = _memorization(ruler, sight)
    progress("metrics", 3, 3)
    likelihood, notes = _likelihood(model, ruler, importance_samples, likelihood_images, batch_size)
    protocol = ruler.protocol(model)
    if likelihood:
        protocol["importance_samples"] = importance_samples
        protocol["likelihood_images"] = min(likelihood_images, len(ruler.reference_set))
    return Evaluation(
        model=model.name,
        figures=figures | memorized | likelihood,
        floor=floor | real_memorized,
        by_class=by_class,
        protocol=protocol,
        notes=notes,
        pictures={
            "real": ruler.reference.by_class(),
            "generated": sight.by_class(),
            "neighbours": neighbours,
        },
    )


def _memorization(ruler: Ruler, sight: Sight) -> tuple[dict[str, float], dict[str, float], Tensor]:
    """Return figures of samples, those of test images, and samples beside their neighbours."""
    training = thumbnails(ruler.training, ruler.batch_size)
    looked_up = [sight.thumbnails, ruler.reference.thumbnails]
    count, found = min(map(len, looked_up)), []
    for images in looked_up:
        distances, indices = metrics.nearest(images[:count].flatten(1), training.flatten(1), 3)
        figures = {
            "nearest_train": float(distances[:, 0].median()),
            "copied": metrics.copied(distances),
        }
        found.append((figures, indices))
    (mine, indices), (others, _) = found
    rows = [
        torch.stack([image, *(ruler.training[int(i)][0] for i in near)])
        for image, near in zip(sight.images[:10], indices[:10], strict=True)
    ]
    return mine, others, torch.cat(rows)


def _likelihood(
    model: Model, ruler: Ruler, importance_samples: int, most: int, batch_size: int
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return the figures of a likelihood that the model has of test images, else a note why not."""
    if not isinstance(model.objective, HasLogLikelihood):
        return {}, ()
    count, done, nats = min(most, len(ruler.reference_set)), 0, []
    for images, labels in real(ruler.reference_set, range(count), batch_size):
        given = labels if model.classes else None
        if not model.is_probability(images, given):
            note = "no nll: the model's likelihood is not a probability of 8-bit images"
            return {}, (note,)
        nats.append(
            -model.log_likelihood(
                images, given, importance_samples, ruler.seed, batch_size, start=done
            )
        )
        done += len(images)
        ruler.progress("likelihood", done, count)
    nll = torch.cat(nats).double()
    mean, pixels = float(nll.mean()), math.prod(images.shape[1:])
    error = float(nll.std(correction=0) / math.sqrt(count))
    figures = {"nll": mean, "nll_error": error, "bits_per_dim": mean / math.log(2) / pixels}
    return figures, ()
