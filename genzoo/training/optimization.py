"""Optimizers and the learning rate, from the zoo config."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from genzoo.errors import ConfigError, TrainingError
from genzoo.objectives.base import Phase
from genzoo.registry.training_config import ScheduleConfig, TrainingConfig

__all__ = [
    "build_optimizer",
    "check_names",
    "clip",
    "is_due",
    "learning_rate_factor",
    "set_learning_rate",
]

_CLASSES: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
_FUSED = {"adam", "adamw", "sgd"}  # one kernel for all parameters, on the CPU too; RMSprop has none


def check_names(config: TrainingConfig, phases: Sequence[Phase]) -> None:
    """Raise ConfigError where training names a phase, or a role, that the objective has not."""
    names = [phase.name for phase in phases]
    roles = sorted(frozenset().union(*(phase.trains for phase in phases)))
    asked = [(f"optimizers.{name}", name, "phase", names) for name in sorted(config.optimizers)]
    asked += [
        (f"pauses.{place}.phase: {pause.phase}", pause.phase, "phase", names)
        for place, pause in enumerate(config.pauses)
    ]
    asked += [
        (f"resets.{place}.role: {reset.role}", reset.role, "role", roles)
        for place, reset in enumerate(config.resets)
    ]
    for path, name, kind, known in asked:
        if name not in known:
            raise ConfigError(
                f"training.{path}: the objective has no such {kind}.",
                hint=f"Its {kind}s: {', '.join(known)}.",
            )


def is_due(config: TrainingConfig, phase: Phase, step: int) -> bool:
    """Return whether a phase runs at `step`, counted from 0."""
    rests = any(p.phase == phase.name and p.start <= step < p.stop for p in config.pauses)
    return (step + 1) % phase.every == 0 and not rests


def clip(config: TrainingConfig, parameters: Sequence[nn.Parameter]) -> None:
    """Clip the gradients of parameters, each value and then their norm, where it is asked for."""
    if config.clip_value is not None:
        nn.utils.clip_grad_value_(parameters, config.clip_value)
    if config.clip_norm is not None:
        nn.utils.clip_grad_norm_(parameters, config.clip_norm)


def build_optimizer(
    config: TrainingConfig, phase: Phase, parameters: Sequence[nn.Parameter]
) -> torch.optim.Optimizer:
    """Return the optimizer of a phase; its learning rate is set step by step.

    Raises TrainingError where there is no parameter for it to train.
    """
    if not parameters:
        raise TrainingError(
            f"phase {phase.name!r} has nothing to train: all parameters of "
            f"{', '.join(sorted(phase.trains))} are frozen, or there are none.",
            hint="Let some have requires_grad=True, or use an objective without that phase.",
        )
    chosen = config.optimizers.get(phase.name, config.optimizer)
    options = chosen.model_dump(exclude={"name"})
    # Where the first step of all overflows, and is not to be taken, the fused SGD would leave the
    # momentum as it found the memory.
    if chosen.name in _FUSED and (chosen.name, config.precision) != ("sgd", "fp16"):
        options["fused"] = True
    optimizer = _CLASSES[chosen.name](parameters, **options)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def learning_rate_factor(config: ScheduleConfig, step: int, steps: int) -> float:
    """Return what multiplies the learning rate at `step` of `steps`, counted from 0.

    A linear rise over `warmup_steps`, then `constant`, or half a cosine from 1 to `final`
    (Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5 without restarts).
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.name == "constant":
        return 1.0
    progress = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    return config.final + (1 - config.final) * (1 + math.cos(math.pi * min(1.0, progress))) / 2


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to its initial one times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
