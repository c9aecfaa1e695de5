"""From a model to its figures, each beside its floor."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genzoo.data.fitting import Split
from genzoo.errors import UnsupportedError
from genzoo.evaluation import metrics
from genzoo.evaluation.ruler import Progress, Ruler, silent
from genzoo.evaluation.sources import Sight, real, thumbnails
from genzoo.loading import load
from genzoo.model import Model
from genzoo.objectives.base import HasLogLikelihood

__all__ = ["Evaluation", "evaluate"]


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
    progress: Progress = silent,
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
    floor["fid"] = ruler.floor_fid
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
