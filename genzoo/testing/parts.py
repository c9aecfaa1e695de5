"""Checks of what else a plugin can bring: objectives, datasets, callbacks, extractors."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from genzoo.building import check_roles
from genzoo.data.fitting import ImageDataset, Split
from genzoo.data.load import load_named
from genzoo.errors import ConfigError, DataError, UnsupportedError, WeightsError
from genzoo.evaluation.features import load_extractor
from genzoo.noise import Noise
from genzoo.objectives.base import Phase
from genzoo.registry import specs
from genzoo.registry.discovery import registry
from genzoo.registry.specs import ImageSpec
from genzoo.testing.bench import stir
from genzoo.testing.checks import Failed, Skipped, Suite
from genzoo.testing.models import check_samples, trained
from genzoo.testing.specimens import Specimen, recipe
from genzoo.training.callbacks import Callback, Run
from genzoo.training.watching import Watchers

__all__ = ["CALLBACKS", "DATASETS", "EXTRACTORS", "OBJECTIVES", "ObjectiveBench"]

_LOOKED_AT = 100
_IMAGES = (ImageSpec(1, 28, 28), ImageSpec(3, 32, 32, 10))


@dataclass(frozen=True)
class ObjectiveBench:
    """An objective, and networks of some installed architecture that it can train."""

    spec: specs.Objective

    def specimens(self) -> list[Specimen]:
        """Return one without classes and one with; Skipped where no architecture goes with it."""
        return _specimens(self.spec.name)


OBJECTIVES: Suite[ObjectiveBench] = Suite()


@OBJECTIVES.check(
    "phases",
    "it has phases, of different names, each of which trains roles that the objective names",
    mend="Let `phases` return one Phase or more whose `trains` are among `roles`.",
)
def _phases(bench: ObjectiveBench) -> None:
    objective = bench.specimens()[0].objective
    phases = objective.phases
    if not phases or len({phase.name for phase in phases}) < len(phases):
        raise Failed(f"its phases are {[phase.name for phase in phases]}")
    for phase in phases:
        if strange := sorted(phase.trains - objective.roles):
            raise Failed(f"phase {phase.name!r} trains {strange[0]!r}, which is not in its roles")
        if not phase.trains or phase.every < 1:
            raise Failed(f"phase {phase.name!r} trains nothing, or never")
    trained_roles = frozenset[str]().union(*(phase.trains for phase in phases))
    if idle := sorted(objective.roles - trained_roles):
        raise Failed(f"no phase trains {idle[0]!r}")
    if lost := sorted(objective.sampling_roles - objective.roles):
        raise Failed(f"it samples by {lost[0]!r}, which is not in its roles")


@OBJECTIVES.check(
    "losses",
    "each loss is one finite number that can be differentiated, and what it logs is detached",
    mend="Return the mean over the batch, and `.detach()` whatever is logged.",
    needs=("phases",),
)
def _losses(bench: ObjectiveBench) -> None:
    for specimen in bench.specimens():
        for phase, (loss, logged) in _each_loss(specimen):
            if loss.ndim or not loss.isfinite() or not loss.requires_grad:
                raise Failed(
                    f"the loss of phase {phase.name!r} for {specimen} has shape "
                    f"{tuple(loss.shape)}, is not finite or has no gradient"
                )
            for name, value in logged.items():
                if not isinstance(value, Tensor) or value.numel() != 1 or value.requires_grad:
                    raise Failed(f"{phase.name}/{name}, which it logs, is no detached scalar")


@OBJECTIVES.check(
    "noise",
    "a loss depends on the batch, its noise and the step alone",
    mend="Draw from `batch.noise` instead of torch's, NumPy's or Python's generators.",
    needs=("losses",),
)
def _noise(bench: ObjectiveBench) -> None:
    for specimen in bench.specimens():
        # In eval mode, for networks may draw in training, as dropout does: from torch, whose seed
        # the trainer sets at each step.
        stir(0)
        first = [loss for _, (loss, _) in _each_loss(specimen, training=False)]
        stir(1)
        again = _each_loss(specimen, training=False)
        for (phase, (loss, _)), before in zip(again, first, strict=True):
            if not torch.equal(loss, before):
                raise Failed(f"the loss of phase {phase.name!r} is another when asked again")


@OBJECTIVES.check(
    "samples",
    "images of the shape promised are drawn, in [-1, 1], a row for each row of the noise",
    mend="Let the objective's `sample` return (N, C, H, W) in [-1, 1], N = len(noise).",
    needs=("phases",),
)
def _samples(bench: ObjectiveBench) -> None:
    for specimen in bench.specimens():
        batch = specimen.batch()
        images = specimen.objective.sample(specimen.networks(), batch.noise, batch.labels)
        check_samples(specimen, images)


DATASETS: Suite[specs.Dataset] = Suite()


@DATASETS.check(
    "licence",
    "it states the licence of its images",
    mend="Set `licence` in its Dataset, as an SPDX identifier or in words.",
)
def _dataset_licence(spec: specs.Dataset) -> None:
    if not spec.licence.strip():
        raise Failed("its licence is empty")


@DATASETS.check(
    "images",
    "both splits give the same uint8 images, and labels, each time, of the size asked for",
    mend="Build it by genzoo.data.fitting.fit_tensors, which sees to all of this.",
)
def _images(spec: specs.Dataset) -> None:
    own = spec.image or ImageSpec(1, 28, 28)
    classes = _split(spec, "train", own).image.classes
    for image in (own, replace(own, classes=classes), ImageSpec(3, 20, 24)):
        for split in ("train", "test"):
            dataset, again = _split(spec, split, image), _split(spec, split, image)
            expected = (image.channels, image.height, image.width)
            for index in range(min(len(dataset), _LOOKED_AT)):
                pixels, label = dataset[index]
                other, other_label = again[index]
                if label != other_label or not torch.equal(pixels, other):
                    raise Failed(f"the {split} split gives another image {index} when loaded again")
                if tuple(pixels.shape) != expected or pixels.dtype != torch.uint8:
                    raise Failed(
                        f"the {split} split gives {pixels.dtype} images of shape "
                        f"{tuple(pixels.shape)}, not torch.uint8 of {expected}"
                    )
                if image.classes is None:
                    fits = label is None
                else:
                    fits = label is not None and 0 <= label < image.classes
                if not fits:
                    raise Failed(f"the {split} split gives the label {label} for {image}")


def _split(spec: specs.Dataset, split: Split, image: ImageSpec) -> ImageDataset:
    try:
        return load_named(spec.name, split, None, image)
    except (ConfigError, DataError) as error:
        raise Skipped(f"it cannot be read without more: {error.message}") from None


CALLBACKS: Suite[specs.Callback] = Suite()


@CALLBACKS.check(
    "run",
    "it watches a short run, and its resumption, without an error, and changes nothing of it",
    mend="See the line that is named. What it needs, it makes in on_start; networks it leaves be.",
)
def _run(spec: specs.Callback) -> None:
    owner = registry().owner("callbacks", spec.name).distribution
    specimen = _specimens(owner=owner)[0]
    with tempfile.TemporaryDirectory() as folder:
        for steps in (1, 2):
            # Required, so that its errors are raised.
            watchers = Watchers([replace(spec, required=True)], [_Evaluated()])
            watched = trained(specimen, Path(folder), steps=steps, resume=True, watchers=watchers)
    with tempfile.TemporaryDirectory() as folder:
        alone = trained(specimen, Path(folder), steps=2)
    for name, tensor in alone.items():
        if not torch.equal(watched[name], tensor):
            raise Failed(f"what it watches is trained to another {name!r} than without it")


class _Evaluated(Callback):
    """Tells all callbacks of an evaluation after each step, as `--evaluate-every` does."""

    def on_step(self, run: Run) -> None:
        figures = {"fid": 1.0, "fid_ratio": 1.0, "coverage": 1.0, "samples": 2}
        run.announce("on_evaluation", figures)


EXTRACTORS: Suite[specs.Extractor] = Suite()


@EXTRACTORS.check(
    "licence",
    "it states the licence of its weights",
    mend="Set `licence` in its Extractor.",
)
def _extractor_licence(spec: specs.Extractor) -> None:
    if not spec.licence.strip():
        raise Failed("its licence is empty")


@EXTRACTORS.check(
    "features",
    "features and logits are finite, of the shape promised, the same for an image in any batch",
    mend="Return (features (B, num_features), logits (B, classes) or None), in eval mode alone.",
)
def _features(spec: specs.Extractor) -> None:
    image = spec.image or ImageSpec(1, 28, 28)
    try:
        extractor = load_extractor(spec, torch.device("cpu"))
    except (ConfigError, UnsupportedError, WeightsError) as error:
        if spec.weights:
            raise
        raise Skipped(f"it cannot be had here: {error.message}") from None
    shape = (4, image.channels, image.height, image.width)
    pixels = Noise(0, range(4)).uniform(*shape[1:]).mul(256).to(torch.uint8)
    with torch.no_grad():
        features, logits = extractor(pixels)
        one, _ = extractor(pixels[:1])
    if tuple(features.shape) != (4, extractor.num_features):
        raise Failed(f"features have shape {tuple(features.shape)}, not (4, num_features)")
    classes = image.classes
    if logits is not None and (len(logits) != 4 or (classes and logits.shape[1] != classes)):
        raise Failed(f"logits have shape {tuple(logits.shape)}, not (4, {classes})")
    if not bool(features.isfinite().all()):
        raise Failed("features are not finite")
    if not torch.allclose(one, features[:1], rtol=1e-4, atol=1e-4):
        raise Failed("an image's features change with the batch it is in")


def _specimens(objective: str = "", owner: str = "") -> list[Specimen]:
    """Return networks of the first architecture that goes with an objective, or with its own.

    One without classes and one with, of the distribution `owner` if it has any. Raises Skipped
    where there is none.
    """
    known = registry()

    def distance(spec: specs.Architecture) -> tuple[bool, bool, str]:
        by = known.owner("architectures", spec.name).distribution
        return by != owner, spec.objective != objective, spec.name

    for each in sorted(known.architectures.values(), key=distance):
        configs = [recipe(each.name, objective or each.objective, image) for image in _IMAGES]
        try:
            found = [Specimen(config) for config in configs]
            for specimen in found:
                check_roles(specimen.config, dict(specimen.networks()), specimen.objective)
        except Exception:  # other roles, other sizes, or a fault of that architecture's
            continue
        return found
    raise Skipped("no installed architecture builds the networks that it needs")


def _each_loss(
    specimen: Specimen, training: bool = True
) -> Iterator[tuple[Phase, tuple[Tensor, dict[str, Tensor]]]]:
    networks, objective = specimen.networks(training=training), specimen.objective
    for phase in objective.phases:
        yield phase, objective.loss(phase.name, networks, specimen.batch(), 0)
