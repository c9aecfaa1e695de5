from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from genzoo.errors import ConfigError, TrainingError
from genzoo.objectives.base import Phase
from genzoo.registry.schema import validate
from genzoo.registry.training_config import ScheduleConfig, TrainingConfig
from genzoo.training.optimization import (
    build_optimizer,
    check_names,
    learning_rate_factor,
    set_learning_rate,
)

PHASES = (Phase("first", frozenset({"a"})), Phase("second", frozenset({"b"})))


@pytest.mark.parametrize(
    ("schedule", "step", "factor"),
    [
        ({}, 0, 1.0),
        ({}, 999, 1.0),
        ({"warmup_steps": 4}, 0, 0.25),
        ({"warmup_steps": 4}, 2, 0.75),
        ({"warmup_steps": 4}, 3, 1.0),
        ({"warmup_steps": 4}, 4, 1.0),
        ({"name": "cosine"}, 0, 1.0),
        ({"name": "cosine"}, 250, (1 + math.sqrt(0.5)) / 2),
        ({"name": "cosine"}, 500, 0.5),
        ({"name": "cosine"}, 750, (1 - math.sqrt(0.5)) / 2),
        ({"name": "cosine"}, 1000, 0.0),
        ({"name": "cosine", "final": 0.2}, 500, 0.6),
        ({"name": "cosine", "final": 0.2}, 1000, 0.2),
        ({"name": "cosine", "warmup_steps": 200}, 99, 0.5),
        ({"name": "cosine", "warmup_steps": 200}, 200, 1.0),
        ({"name": "cosine", "warmup_steps": 200}, 600, 0.5),
        ({"name": "cosine", "warmup_steps": 2000}, 999, 0.5),
    ],
)
def test_the_learning_rate_factor(schedule: dict[str, Any], step: int, factor: float) -> None:
    assert learning_rate_factor(ScheduleConfig(**schedule), step, 1000) == pytest.approx(factor)


def training(**settings: Any) -> TrainingConfig:
    return validate(TrainingConfig, {"steps": 10, **settings}, source="test")


def test_the_rate_is_always_a_factor_of_the_initial_one() -> None:
    config = training(optimizer={"name": "sgd", "lr": 0.5})
    optimizer = build_optimizer(config, PHASES[0], [nn.Parameter(torch.zeros(1))])
    for factor in (0.1, 0.2, 1.0):
        set_learning_rate(optimizer, factor)
        assert [group["lr"] for group in optimizer.param_groups] == [0.5 * factor]


# Each with the weight that it makes of 1 in one step with the gradient 2.
OPTIMIZERS: list[tuple[dict[str, Any], type[torch.optim.Optimizer], float]] = [
    ({"name": "adam", "lr": 0.1}, torch.optim.Adam, 1 - 0.1),
    ({"name": "adam", "lr": 0.1, "weight_decay": 3.0}, torch.optim.Adam, 1 - 0.1),
    ({"name": "adamw", "lr": 0.1, "weight_decay": 3.0}, torch.optim.AdamW, 0.7 - 0.1),
    ({"name": "rmsprop", "lr": 0.1, "alpha": 0.75}, torch.optim.RMSprop, 1 - 0.1 * 2),
    ({"name": "sgd", "lr": 0.1}, torch.optim.SGD, 1 - 0.1 * 2),
    ({"name": "sgd", "lr": 0.1, "weight_decay": 3.0}, torch.optim.SGD, 1 - 0.1 * (2 + 3)),
    ({"name": "sgd", "lr": 0.1, "momentum": 0.5, "nesterov": True}, torch.optim.SGD, 1 - 0.3),
]


@pytest.mark.parametrize(("settings", "kind", "expected"), OPTIMIZERS)
def test_optimizers_take_their_settings(
    settings: dict[str, Any], kind: type[torch.optim.Optimizer], expected: float
) -> None:
    parameter = nn.Parameter(torch.ones(1))
    optimizer = build_optimizer(training(optimizer=settings), PHASES[0], [parameter])
    assert type(optimizer) is kind
    parameter.grad = torch.tensor([2.0])
    optimizer.step()
    assert parameter.item() == pytest.approx(expected, rel=1e-5)


def test_a_phase_can_have_an_optimizer_of_its_own() -> None:
    config = training(
        optimizer={"name": "sgd", "lr": 0.5}, optimizers={"second": {"name": "adam", "lr": 0.25}}
    )
    built = [build_optimizer(config, phase, [nn.Parameter(torch.zeros(1))]) for phase in PHASES]
    assert [type(optimizer) for optimizer in built] == [torch.optim.SGD, torch.optim.Adam]
    assert [optimizer.param_groups[0]["lr"] for optimizer in built] == [0.5, 0.25]


def test_an_optimizer_for_no_phase_is_refused() -> None:
    config = training(optimizers={"third": {"name": "adam"}})
    with pytest.raises(ConfigError, match=r"training\.optimizers\.third") as raised:
        check_names(config, PHASES)
    assert "first, second" in raised.value.hint


def test_a_phase_without_anything_to_train_is_named() -> None:
    with pytest.raises(TrainingError, match="phase 'first' has nothing to train"):
        build_optimizer(training(), PHASES[0], [])
