from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import genzoo
from genzoo.errors import (
    ConfigError,
    UnknownNameError,
    UnsupportedError,
)
from genzoo.registry.config import ZooConfig

NAMES = genzoo.list_architectures()
SIZE = (1, 16, 16)

every_name = pytest.mark.parametrize("name", NAMES)


@every_name
def test_a_created_model_has_all_its_roles(name: str, model: Any) -> None:
    created = model(name)
    assert set(created.networks) == created.objective.roles
    assert isinstance(created.config, ZooConfig)
    assert not created.training


@every_name
def test_initial_weights_come_from_the_global_generator(name: str) -> None:
    def weights(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        return genzoo.create(name, SIZE).state_dict()

    one, same, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_the_config_reaches_the_architecture() -> None:
    created = genzoo.create("mlp-gan", SIZE, latent_dim=7, generator_widths=(8, 16))
    assert created.config.architecture.config == {"latent_dim": 7, "generator_widths": [8, 16]}
    assert created.networks["generator"].latent_dim == 7


def test_an_image_spec_says_it_all() -> None:
    spec = genzoo.ImageSpec(1, 8, 8, 4)
    assert genzoo.create("mlp-gan", spec).image == spec
    assert genzoo.create("mlp-gan", spec, classes=3).classes == 3
    unconditional = genzoo.ImageSpec(1, 8, 8)
    assert genzoo.create("mlp-gan", unconditional, 5).classes == 5


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"architecture": "dcgann"}, UnknownNameError, "'dcgann' is not installed"),
        ({"image": (28, 28)}, ConfigError, r"image is \(28, 28\)"),
        ({"image": (1, 28, 28, 10)}, ConfigError, "image is"),
        ({"image": (2, 28, 28)}, ConfigError, "image.channels: found 2, must be 1 or 3"),
        ({"image": (1, 28.5, 28)}, ConfigError, "image.height: found 28.5"),
        ({"image": (1, 0, 28)}, ConfigError, "image.height: found 0"),
        ({"image": (1, 27, 28)}, UnsupportedError, "27x28"),
        ({"classes": 0}, ConfigError, "classes: found 0"),
        ({"classes": "10"}, ConfigError, "classes: found '10'"),
        ({"latent_dims": 7}, ConfigError, r"architecture\.config\.latent_dims: unknown key"),
        ({"latent_dim": "7"}, ConfigError, r"architecture\.config\.latent_dim: found '7'"),
        ({"latent_dim": torch.tensor(7)}, ConfigError, r"latent_dim: found tensor\(7\)"),
    ],
)
def test_what_cannot_be_created(
    arguments: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        genzoo.create(**{"architecture": "dcgan", **arguments})
