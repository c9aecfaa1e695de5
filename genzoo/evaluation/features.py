"""Frozen feature extractors: images -> features, and the classes that they look like."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genzoo.errors import PluginError, UnknownNameError, WeightsError
from genzoo.registry.catalog import package_file
from genzoo.registry.discovery import registry
from genzoo.registry.specs import Extractor, resolve
from genzoo.weights import format as weights_format

__all__ = [
    "Classifier",
    "FeatureExtractor",
    "classifier",
    "find_extractor",
    "load_extractor",
    "made_for",
]


class FeatureExtractor(nn.Module):
    """Base class of what an extractor's factory builds; it is used frozen and in eval mode."""

    num_features: int
    sha256: str = ""
    """Of the weights file."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return features float (B, num_features) of uint8 images (B, C, H, W), and class logits.

        The logits are float (B, classes), None for an extractor that knows no classes. Image i's
        features depend on image i alone.
        """
        raise NotImplementedError


class Classifier(FeatureExtractor):
    """A small convolutional classifier whose pooled last layer is the features.

    `stages` lists the widths of 3x3 convolutions, each with BatchNorm and ReLU; between stages, 2x2
    max pooling; after the last, the mean over the image: features (B, num_features).
    """

    def __init__(self, channels: int, classes: int, stages: Sequence[Sequence[int]]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = channels
        for position, widths in enumerate(stages):
            layers += [nn.MaxPool2d(2)] if position else []
            for out in widths:
                layers += [
                    nn.Conv2d(width, out, 3, padding=1, bias=False),
                    nn.BatchNorm2d(out),
                    nn.ReLU(inplace=True),
                ]
                width = out
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, classes)
        self.num_features = width

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (B, num_features) and logits (B, classes) of uint8 images (B, C, H, W).

        Float images are taken as in [0, 255], which is how training passes what it has warped.
        """
        features = self.body(images.float() / 127.5 - 1).mean(dim=(2, 3))
        return features, self.head(features)


def find_extractor(dataset: str, name: str | None = None) -> Extractor:
    """Return the extractor of that name, or that made for the dataset.

    Raises UnknownNameError where there is none, or no such dataset.
    """
    known = registry()
    if name is not None:
        return known.extractor(name)
    made_for_it = [spec for spec in known.extractors.values() if dataset in spec.datasets]
    # The core's own first: a plugin that is installed must not change the figures of the zoo.
    made_for_it.sort(key=lambda spec: known.owner("extractors", spec.name).distribution != "genzoo")
    if made_for_it:
        return made_for_it[0]
    known.dataset(dataset)  # raises for one that does not exist: no extractor would help
    # Those for images of any size first: a classifier of something else is a last resort.
    others = sorted(known.extractors.values(), key=lambda spec: spec.image is not None)
    names = ", ".join(f"--extractor {spec.name}" for spec in others)
    raise UnknownNameError(
        f"no extractor is made for the dataset {dataset!r}.",
        hint=f"Choose one: {names}; or install a plugin that brings one.",
    )


def made_for(dataset: str) -> str | None:
    """Return the name of the extractor that is made for a dataset; None where none is."""
    try:
        return find_extractor(dataset).name
    except UnknownNameError:
        return None


def load_extractor(spec: Extractor, device: torch.device) -> FeatureExtractor:
    """Return the extractor that a descriptor names, frozen, in eval mode and on `device`.

    Raises PluginError where its factory builds something else, WeightsError for damaged weights.
    """
    with torch.random.fork_rng(devices=[]):  # what it draws at first, its weights replace
        extractor = resolve(spec.factory)(spec)
    if not isinstance(extractor, FeatureExtractor):
        raise PluginError(
            f"extractor {spec.name!r} built {extractor!r}.",
            hint="Its factory must return a genzoo.evaluation.features.FeatureExtractor.",
        )
    if not isinstance(getattr(extractor, "num_features", None), int):
        raise PluginError(
            f"extractor {spec.name!r} does not say how many features it has.",
            hint="What its factory returns needs `num_features`, a whole number.",
        )
    return extractor.requires_grad_(False).eval().to(device)


def classifier(spec: Extractor) -> FeatureExtractor:
    """Return the `Classifier` in the weights file that `spec` names, checked by its sha256."""
    file = package_file(spec.weights)
    if file is None:
        raise WeightsError(
            f"the package of {spec.weights} is not installed.", hint="Install what brings it."
        )
    tensors, header = weights_format.read(file, sha256=spec.sha256)
    try:
        network = Classifier(**header["network"])
        network.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{file} does not hold the classifier of extractor {spec.name!r}: {reason}",
            hint="Write it with the header that genzoo/evaluation/train_extractor.py gives it.",
        ) from None
    network.sha256 = spec.sha256
    return network
