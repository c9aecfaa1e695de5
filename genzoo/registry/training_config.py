"""The part of a zoo config that says how networks are trained."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from genzoo.registry.schema import Config

__all__ = [
    "AdamConfig",
    "AdamWConfig",
    "EMAConfig",
    "PauseConfig",
    "RMSpropConfig",
    "ResetConfig",
    "SGDConfig",
    "ScheduleConfig",
    "TrainingConfig",
]

_Beta = Annotated[float, Field(ge=0, lt=1)]
_NotNegative = Annotated[float, Field(ge=0)]


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

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        return self


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


class PauseConfig(Config):
    """A span of steps in which a phase rests, as a discriminator that is frozen for a while."""

    phase: str
    """The phase that rests: its networks stay as they are, the other phases go on."""
    start: int = Field(ge=0)
    """The first step without it, counted from 0."""
    stop: int = Field(ge=1)
    """The first step with it again."""

    @model_validator(mode="after")
    def _stops_after_it_starts(self) -> Self:
        if self.stop <= self.start:
            raise ValueError(f"stop must come after start, which is {self.start}")
        return self


class ResetConfig(Config):
    """A network that starts anew every so often, so that it does not settle on what it saw first
    (the primacy bias, Nikishin et al. 2022, arXiv:2205.07802), or its optimizer alone."""

    role: str
    """The network's role."""
    every: int = Field(ge=1)
    """Steps between two resets."""
    what: Literal["network", "optimizer"] = "network"
    """`network` draws weights anew and forgets what optimizers know of them; `optimizer` forgets
    that alone (Asadi et al. 2023, arXiv:2306.17833)."""


class TrainingConfig(Config):
    """How networks are trained."""

    steps: int = Field(ge=1)
    """Global batches to train on."""
    batch_size: int = Field(default=64, ge=1, le=2**20)
    """Images in one global batch, over all processes together."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Decides the first weights, the order of the images, and all noise."""
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    """bf16 and fp16 run forwards in 16 bits by autocast, fp16 with scaled losses; weights, losses
    and penalties stay fp32. tf32 cuts the factors of products to 10 bits, on GPUs that can."""
    compile: bool = False
    """Let torch.compile translate the networks, but for those that a penalty differentiates
    twice, which it cannot. It needs a C++ compiler, and minutes at the start."""
    channels_last: bool = False
    """Keep images and convolutions with the channels of a pixel side by side in memory, which some
    machines are faster with."""
    accumulate: int = Field(default=1, ge=1)
    """Parts that a batch is worked through in, one after the other, to need less memory. Their
    gradients add up to those of the whole; BatchNorm and free bits see a part at a time."""
    optimizer: OptimizerConfig = AdamConfig()
    """The optimizer of every phase that `optimizers` does not name."""
    optimizers: dict[str, OptimizerConfig] = Field(default_factory=dict)
    """Optimizers by phase."""
    schedule: ScheduleConfig = ScheduleConfig()
    clip_norm: float | None = Field(default=None, gt=0)
    """The largest norm of each phase's gradient (Pascanu et al. 2013, algorithm 1)."""
    clip_value: float | None = Field(default=None, gt=0)
    """The largest absolute value in a gradient."""
    pauses: tuple[PauseConfig, ...] = ()
    """Spans of steps in which a phase rests."""
    resets: tuple[ResetConfig, ...] = ()
    """Networks, or optimizers, that start anew every so often."""
    ema: EMAConfig | None = EMAConfig()
    """The moving average of the weights that sample; null samples from the last weights."""
    log_every: int = Field(default=50, ge=1)
    """Steps between two lines of figures."""
    preview_every: int = Field(default=500, ge=1)
    """Steps between two preview grids."""
    checkpoint_every: int = Field(default=1000, ge=1)
    """Steps between two checkpoints."""
    keep: int = Field(default=2, ge=1)
    """How many of the newest checkpoints stay, and beside them the one of the best FID."""
    workers: int = Field(default=0, ge=0)
    """Processes that decode images; for folders only."""
