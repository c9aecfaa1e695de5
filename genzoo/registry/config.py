"""The schema of a zoo config: one YAML file that fully determines a model."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr

from genzoo.errors import ConfigError
from genzoo.registry import yamlfile
from genzoo.registry.schema import Config, validate
from genzoo.registry.specs import NAME, ImageSpec
from genzoo.registry.training_config import TrainingConfig

__all__ = [
    "EvaluatedConfig",
    "TrainedConfig",
    "WeightsConfig",
    "ZooConfig",
    "apply_overrides",
    "parse_overrides",
    "read_config",
    "zoo_config",
]

_NAME = f"^{NAME}$"


class ImageConfig(Config):
    """The shape of the images."""

    channels: Literal[1, 3]
    """1 is greyscale, 3 is RGB."""
    height: int = Field(ge=1, le=4096)
    """Pixels."""
    width: int = Field(ge=1, le=4096)
    """Pixels."""


class PartConfig(Config):
    """Something that a plugin brings, by name, and the config that it takes."""

    name: str = Field(pattern=_NAME)
    """Its name, as `genzoo list --architectures`, `--objectives` or `--datasets` shows it."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Its settings; see below for what it takes."""


class WeightsConfig(Config):
    """Where the trained weights are. `genzoo publish` writes this."""

    uri: str = Field(pattern=r"^((pkg|https)://[^/]+/.+|hf://[^/]+/[^/]+/.+|file://.+|[^:]+)$")
    """pkg://package/path, https://…, hf://owner/repo/path[@revision], or a path beside the YAML
    file."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the whole file; checked on every load."""
    size: int = Field(ge=1)
    """Bytes."""
    parameters: int = Field(ge=0)
    """Parameters of the networks that sample."""


class TrainedConfig(Config):
    """How the weights came to be. `genzoo publish` writes this."""

    steps: int
    """Steps done."""
    images: int
    """Images seen, repeats counted."""
    seconds: float
    """Wall-clock time, over all sessions."""
    machine: str
    """What it ran on."""
    processes: int
    """How many processes trained together."""
    date: str
    """The day it ended."""
    genzoo: str
    """The version of genzoo."""
    torch: str
    """The version of PyTorch."""
    fid_ratio_by_step: dict[int, float] = Field(default_factory=dict)
    """FID over its floor on the way, as `--evaluate-every` measures it: no card's figures."""


class CardConfig(Config):
    """What a person must know before using a model."""

    summary: str
    """One sentence."""
    licence: str
    """The licence of the weights (SPDX)."""
    dataset_licence: str
    """The licence of the images that it was trained on."""
    paper: str = ""
    """The paper of the architecture, as in arXiv:1406.2661."""
    intended_use: str
    """What it is for, and what not."""
    limitations: str = ""
    """What it does badly."""


class EvaluatedConfig(Config):
    """What the weights are worth. `genzoo evaluate --write-card` writes this."""

    figures: dict[str, float]
    """What was measured on the model's samples; docs/evaluation.md says what each figure means."""
    floor: dict[str, float]
    """The same, measured on as many real training images: what a perfect model would get."""
    by_class: dict[str, list[float | None]] = Field(default_factory=dict)
    """Figures of each class, in label order."""
    floor_by_class: dict[str, list[float | None]] = Field(default_factory=dict)
    """The same for the real training images."""
    protocol: dict[str, str | int | float | None]
    """How they were measured: counts, seed, split, extractor."""
    notes: tuple[str, ...] = ()
    """What could not be measured, and why."""
    weights_sha256: str
    """The weights that they belong to."""
    date: str
    """The day."""


class ZooConfig(Config):
    """One model, wholly: what it draws, how it is built, trained, found and described."""

    name: str = Field(pattern=_NAME)
    """Lower-case letters, digits and single hyphens."""
    requires: tuple[str, ...] = ()
    """The distributions that bring its parts, as `pip install` takes them."""
    aliases: tuple[str, ...] = ()
    """Other names it answers to."""
    image: ImageConfig
    classes: int | None = Field(ge=1, le=100_000)
    """The number of classes, null for an unconditional model."""
    architecture: PartConfig
    objective: PartConfig
    dataset: PartConfig
    training: TrainingConfig
    card: CardConfig
    weights: WeightsConfig | None = None
    """The trained weights; null until `genzoo publish` writes them here."""
    trained: TrainedConfig | None = None
    """How the weights came to be; null until `genzoo publish` writes it here."""
    evaluated: EvaluatedConfig | None = None
    """What the weights are worth; null until `genzoo evaluate --write-card` writes it here."""
    _source: str = PrivateAttr(default="")

    @property
    def source(self) -> str:
        """Where this config was read from, for errors to name; the model's name if nowhere."""
        return self._source or self.name

    @property
    def image_spec(self) -> ImageSpec:
        """The images that the networks are built for."""
        image = self.image
        return ImageSpec(image.channels, image.height, image.width, self.classes)

    @property
    def measured(self) -> EvaluatedConfig | None:
        """What the weights are worth, None where it was measured on other weights than these."""
        if self.evaluated is None or self.weights is None:
            return None
        same = self.evaluated.weights_sha256 == self.weights.sha256
        return self.evaluated if same else None

    def recipe(self) -> dict[str, Any]:
        """Return the plain values of what makes the model, not of what came out of it."""
        return self.model_dump(mode="json", exclude={"weights", "trained", "evaluated"})


def read_config(path: Path, overrides: Mapping[str, Any] | None = None) -> ZooConfig:
    """Return the zoo config in a YAML file, with values at dotted paths replaced."""
    data = apply_overrides(yamlfile.read(path), overrides or {}, source=str(path))
    return zoo_config(data, source=str(path))


def zoo_config(data: Mapping[str, Any], *, source: str) -> ZooConfig:
    """Return `data` as a zoo config whose errors, later ones too, name `source`."""
    config = validate(ZooConfig, data, source=source)
    config._source = source
    return config


def parse_overrides(assignments: Iterable[str]) -> dict[str, Any]:
    """Return `["training.steps=100"]` as `{"training.steps": 100}`; values are read as YAML."""
    overrides = {}
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not equals or not all(part.strip() for part in path.split(".")):
            raise ConfigError(
                f"--set {assignment}: not a path and a value.",
                hint="Write it as --set training.steps=100.",
            )
        overrides[path.strip()] = yamlfile.parse(value, source=f"--set {assignment}")
    return overrides


def apply_overrides(
    data: Mapping[str, Any], overrides: Mapping[str, Any], *, source: str
) -> dict[str, Any]:
    """Return a copy of `data` with each dotted path set; refusing unknown keys is validation's."""
    result = copy.deepcopy(dict(data))
    for path, value in overrides.items():
        *parents, last = path.split(".")
        here = result
        for depth, part in enumerate(parents):
            inner = here.setdefault(part, {})
            if inner is None:
                inner = here[part] = {}
            if not isinstance(inner, dict):
                where = ".".join(parents[: depth + 1])
                raise ConfigError(
                    f"{source}: cannot set {path}: {where} is {inner!r}, not a map.",
                    hint=f"Set {where} itself.",
                )
            here = inner
        here[last] = copy.deepcopy(value)
    return result
