"""The schema of a zoo config: one YAML file that fully determines a model."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr

from genzoo.errors import ConfigError
from genzoo.registry import yamlfile
from genzoo.registry.schema import Config, validate
from genzoo.registry.specs import ImageSpec

__all__ = [
    "TrainedConfig",
    "TrainingConfig",
    "WeightsConfig",
    "ZooConfig",
    "apply_overrides",
    "parse_overrides",
    "read_config",
    "zoo_config",
]

_Beta = Annotated[float, Field(ge=0, lt=1)]
_NotNegative = Annotated[float, Field(ge=0)]
_NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"


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


class AdamConfig(Config):
    """Adam (Kingma and Ba 2015, arXiv:1412.6980)."""

    name: Literal["adam"] = "adam"
    lr: float = Field(default=2e-4, gt=0)
    """Learning rate."""
    betas: tuple[_Beta, _Beta] = (0.9, 0.999)
    """Decay of the averages of the gradient and of its square."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the denominator."""
    weight_decay: _NotNegative = 0.0
    """L2 penalty on the weights, added to the gradient."""


class AdamWConfig(Config):
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    name: Literal["adamw"] = "adamw"
    lr: float = Field(default=2e-4, gt=0)
    """Learning rate."""
    betas: tuple[_Beta, _Beta] = (0.9, 0.999)
    """Decay of the averages of the gradient and of its square."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the denominator."""
    weight_decay: _NotNegative = 0.01
    """Decay of the weights, apart from the gradient."""


class RMSpropConfig(Config):
    """RMSprop (Hinton 2012)."""

    name: Literal["rmsprop"] = "rmsprop"
    lr: float = Field(default=1e-4, gt=0)
    """Learning rate."""
    alpha: _Beta = 0.99
    """Decay of the average of the squared gradient."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the denominator."""
    momentum: _Beta = 0.0
    """Share of the last update in the next."""
    weight_decay: _NotNegative = 0.0
    """L2 penalty on the weights, added to the gradient."""


class SGDConfig(Config):
    """Stochastic gradient descent, with momentum where it is given."""

    name: Literal["sgd"] = "sgd"
    lr: float = Field(default=1e-2, gt=0)
    """Learning rate."""
    momentum: _Beta = 0.0
    """Share of the last update in the next."""
    nesterov: bool = False
    """Nesterov's momentum, which needs a momentum above 0."""
    weight_decay: _NotNegative = 0.0
    """L2 penalty on the weights, added to the gradient."""


OptimizerConfig = Annotated[
    AdamConfig | AdamWConfig | RMSpropConfig | SGDConfig, Field(discriminator="name")
]


class ScheduleConfig(Config):
    """The learning rate over training, as a factor on each optimizer's `lr`."""

    name: Literal["constant", "cosine"] = "constant"
    """`cosine` falls along half a cosine to `final` at the last step."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps of the linear rise from 0 at the start."""
    final: float = Field(default=0.0, ge=0, le=1)
    """The factor that `cosine` ends at."""


class EMAConfig(Config):
    """The exponential moving average of the weights that sample."""

    decay: float = Field(default=0.999, ge=0, lt=1)
    """Share of the average that stays at each step."""
    rampup: bool = True
    """Start with min(decay, (1 + t) / (10 + t)) after t updates: the first weights fade soon."""


class TrainingConfig(Config):
    """How networks are trained."""

    steps: int = Field(ge=1)
    """Global batches to train on."""
    batch_size: int = Field(default=64, ge=1)
    """Images in one global batch, over all processes together."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Decides the first weights, the order of the images, and all noise."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 runs forwards in bfloat16 by autocast; weights, losses and penalties stay fp32."""
    optimizer: OptimizerConfig = AdamConfig()
    """The optimizer of every phase that `optimizers` does not name."""
    optimizers: dict[str, OptimizerConfig] = Field(default_factory=dict)
    """Optimizers by phase."""
    schedule: ScheduleConfig = ScheduleConfig()
    clip_norm: float | None = Field(default=None, gt=0)
    """The largest norm of each phase's gradient."""
    ema: EMAConfig | None = EMAConfig()
    """The moving average of the weights that sample; null samples from the last weights."""
    log_every: int = Field(default=50, ge=1)
    """Steps between two lines of figures."""
    preview_every: int = Field(default=500, ge=1)
    """Steps between two preview grids."""
    checkpoint_every: int = Field(default=1000, ge=1)
    """Steps between two checkpoints."""
    keep: int = Field(default=2, ge=1)
    """How many of the newest checkpoints stay."""
    workers: int = Field(default=0, ge=0)
    """Processes that decode images; for folders only."""


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
    metrics: dict[str, float] = Field(default_factory=dict)
    """Measured figures; never typed by hand."""


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
    trained: TrainedConfig | None = None
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

    def recipe(self) -> dict[str, Any]:
        """Return the plain values of what makes the model: all but `weights` and `trained`."""
        return self.model_dump(mode="json", exclude={"weights", "trained"})


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
