"""Models that draw what a test plants, and the digits to plant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genzoo.data.fitting import TensorImages
from genzoo.data.load import load_named
from genzoo.model import Model
from genzoo.objectives.base import Objective
from genzoo.registry.config import zoo_config

Draw = Callable[[Tensor, Tensor | None], Tensor]
Planted = Callable[..., Model]


class Plant(Objective):
    """Draws image `draw(indices (N,), labels)`, uint8 (N, C, H, W)."""

    roles: frozenset[str] = frozenset()
    sampling_roles: frozenset[str] = frozenset()

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.draw = draw
        self.anchor = nn.Parameter(torch.zeros(()))  # a model is where its parameters are

    def sample(self, networks: nn.ModuleDict, noise: Any, labels: Tensor | None) -> Tensor:
        return self.draw(torch.tensor(list(noise.indices)), labels) / 127.5 - 1


def make_planted(
    draw: Draw,
    classes: int | None = None,
    image: tuple[int, int, int] = (1, 8, 8),
    dataset: str = "digits",
) -> Model:
    """Return a model whose image i is `draw` of i and of the label asked for."""
    data = {
        "name": "planted",
        "image": dict(zip(("channels", "height", "width"), image, strict=True)),
        "classes": classes,
        "architecture": {"name": "mlp-gan"},
        "objective": {"name": "adversarial"},
        "dataset": {"name": dataset},
        "training": {"steps": 1},
        "card": {
            "summary": "planted",
            "licence": "none",
            "dataset_licence": "none",
            "intended_use": "tests",
        },
    }
    return Model(zoo_config(data, source="test"), nn.ModuleDict(), Plant(draw)).eval()


@pytest.fixture(scope="session")
def planted() -> Planted:
    return make_planted


@pytest.fixture(scope="session")
def drawing() -> Callable[[Tensor], Model]:
    """Return a function that makes an unconditional model whose image i is image i of a tensor."""

    def make(images: Tensor) -> Model:
        return make_planted(lambda indices, labels: images[indices % len(images)].float())

    return make


def split_of_digits(split: Any) -> TensorImages:
    dataset = load_named("digits", split)
    assert isinstance(dataset, TensorImages)
    return dataset


@pytest.fixture(scope="session")
def training() -> TensorImages:
    return split_of_digits("train")


@pytest.fixture(scope="session")
def test_split() -> TensorImages:
    return split_of_digits("test")
