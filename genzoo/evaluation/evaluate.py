"""From a model to its figures, each beside its floor."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genzoo.data.fitting import Split
from genzoo.devices import tf32
from genzoo.errors import UnsupportedError
from genzoo.evaluation import metrics
from genzoo.evaluation.protocol import IMPORTANCE_SAMPLES, LIKELIHOOD_IMAGES
from genzoo.evaluation.ruler import Progress, Ruler, silent
from genzoo.evaluation.sources import Sight, real
from genzoo.loading import load
from genzoo.model import Model
from genzoo.objectives.base import HasLogLikelihood, KnowsSupport
from genzoo.processes import ALONE, Processes

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """What a model is worth: each figure, the floor beside it, and how both were measured."""

    model: str
    figures: Mapping[str, float]
    floor: Mapping[str, float]
    """The same figures for as many real training images; only those that they have."""
    by_class: Mapping[str, list[float | None]]
    """Figures of each class, in label order."""
    floor_by_class: Mapping[str, list[float | None]]
    """The same for the real training images."""
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
            "floor_by_class": dict(self.floor_by_class),
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
    importance_samples: int = IMPORTANCE_SAMPLES,
    likelihood_images: int | None = LIKELIHOOD_IMAGES,
    data: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
    batch_size: int | None = None,
    progress: Progress = silent,
    processes: Processes = ALONE,
) -> Evaluation:
    """Return the figures of a model, each beside those of real training images: its floor.

    `name_or_path` is what `genzoo.load` takes, or a Model. `samples` None draws 10,000, or as many
    as the dataset has training images; `dataset` and `extractor` None take the model's own and the
    one made for it. For a model that gives test images a probability, `likelihood_images` of them,
    None for all, are bounded by `importance_samples` draws each. `batch_size` None takes as many
    images at a time as keep within memory, and `device` is for a model that is loaded here. Of
    several `processes`, which `genzoo.processes.join` gives, each looks at a share of the images,
    and all return the same. Raises
    UnknownNameError, UnsupportedError, DataError, or what `load` raises.
    """
    counts = [importance_samples, *([] if likelihood_images is None else [likelihood_images])]
    if not all(isinstance(count, int) and count >= 1 for count in counts):
        raise UnsupportedError(
            "a likelihood needs at least one image and one importance sample.",
            hint="Ask for 1 or more of each.",
        )
    if isinstance(name_or_path, Model):
        model = name_or_path
        if device is not None:
            raise UnsupportedError(
                f"a model is evaluated where it is, on {model.device}.",
                hint="Move it there with its own `to`, and leave `device` out.",
            )
    else:
        model = load(name_or_path, device)
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
        processes=processes,
    )
    training = model.training
    try:
        sight = ruler.look_at(model.eval())
        return _measure(model, ruler, sight, importance_samples, likelihood_images)
    finally:
        model.train(training)


def _measure(
    model: Model, ruler: Ruler, sight: Sight, importance_samples: int, images: int | None
) -> Evaluation:
    """Return what `evaluate` does, of samples that were seen."""
    ruler.progress("metrics", 0, 3)
    figures, by_class = ruler.figures(sight, model.classes)
    ruler.progress("metrics", 1, 3)
    floor, floor_by_class = ruler.floor_figures(model.classes)
    ruler.progress("metrics", 2, 3)
    memorized, real_memorized, neighbours = _memorization(ruler, sight)
    ruler.progress("metrics", 3, 3)
    likelihood, counts, notes = _likelihood(model, ruler, importance_samples, images)
    return Evaluation(
        model=model.name,
        figures=figures | memorized | likelihood,
        floor=floor | real_memorized,
        by_class=by_class,
        floor_by_class=floor_by_class,
        protocol=ruler.protocol(model) | counts,
        notes=notes,
        pictures={
            "real": ruler.reference.by_class(),
            "generated": sight.by_class(),
            "neighbours": neighbours,
        },
    )


def _memorization(ruler: Ruler, sight: Sight) -> tuple[dict[str, float], dict[str, float], Tensor]:
    """Return figures of samples, those of test images, and samples beside their neighbours."""
    training = ruler.thumbnails_of_training()
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
        for image, near in zip(sight.images, indices[:10], strict=False)
    ]
    return mine, others, torch.cat(rows)


@tf32(False)
def _likelihood(
    model: Model, ruler: Ruler, importance_samples: int, most: int | None
) -> tuple[dict[str, float], dict[str, Any], tuple[str, ...]]:
    """Return the figures of a likelihood that the model has of test images, and its protocol.

    Or nothing, and a note why not where there could be one.
    """
    if not isinstance(model.objective, HasLogLikelihood):
        return {}, {}, ()
    if not isinstance(model.objective, KnowsSupport):
        return {}, {}, ("no nll: the objective does not say what its likelihood is of",)
    rows = ruler.reference_order[:most]
    parts = ruler.processes.gather(_nats(model, ruler, rows, importance_samples))
    if any(part is None for part in parts):
        return {}, {}, ("no nll: the model's likelihood is not a probability of 8-bit images",)
    nll = torch.cat([part for part in parts if part is not None]).double()
    image = model.image
    mean, pixels = float(nll.mean()), image.channels * image.height * image.width
    error = float(nll.std(correction=0) / math.sqrt(len(nll)))
    figures = {"nll": mean, "nll_error": error, "bits_per_dim": mean / math.log(2) / pixels}
    exact = model.objective.likelihood_is_exact
    protocol = {
        "likelihood_of": "images given their labels" if model.classes else "images",
        **({"likelihood": "exact"} if exact else {"importance_samples": importance_samples}),
        "likelihood_images": len(nll),
    }
    return figures, protocol, ()


def _nats(model: Model, ruler: Ruler, rows: Sequence[int], samples: int) -> Tensor | None:
    """Return -log p of this process's share of the reference's rows, on the CPU, in nats (N,).

    None where it is not that of a probability.
    """
    mine = ruler.processes.share(len(rows), ruler.batch_size)
    done, nats = mine.start, [torch.empty(0)]
    for images, labels in real(ruler.reference_set, rows[done : mine.stop], ruler.batch_size):
        given = labels if model.classes else None
        if not model.is_probability(images, given):
            return None
        nats.append(
            -model.log_likelihood(
                images, given, samples, ruler.seed, ruler.batch_size, start=done
            ).cpu()
        )
        done += len(images)
        ruler.progress("likelihood", done, len(rows))
    return torch.cat(nats)
