import math
from typing import Any

import pytest
import torch

from genzoo.errors import PluginError, UnknownNameError
from genzoo.objectives.likelihoods import (
    MIN_LOG_SCALE,
    DiscretizedLogistic,
    PixelGaussian,
    image_distribution,
    parameters_per_channel,
)


@pytest.mark.parametrize("log_scale", [-20.0, -7.0, 0.0, 2.0])
@pytest.mark.parametrize("name", ["gaussian", "discretized-logistic"])
def test_a_learned_scale_has_a_smooth_floor(name: str, log_scale: float) -> None:
    scale = torch.tensor(log_scale, dtype=torch.float64, requires_grad=True)
    effective = MIN_LOG_SCALE + math.log1p(math.exp(log_scale - MIN_LOG_SCALE))
    images = torch.full((1, 1, 1, 1), 0.2, dtype=torch.float64)
    means = torch.full((1, 1, 1, 1), 0.7, dtype=torch.float64)
    distribution = image_distribution(name, means, 1, 256, scale)
    kind: Any = PixelGaussian if name == "gaussian" else DiscretizedLogistic
    reference = kind(means, torch.tensor(effective, dtype=torch.float64))
    log_prob = distribution.log_prob(images)
    assert log_prob.item() == pytest.approx(reference.log_prob(images).item())
    torch.autograd.backward(log_prob.sum())
    assert scale.grad is not None
    assert scale.grad.item() != 0


@pytest.mark.parametrize(
    ("name", "bins", "count"),
    [
        ("bernoulli", 256, 1),
        ("gaussian", 256, 1),
        ("discretized-logistic", 256, 1),
        ("categorical", 256, 256),
        ("categorical", 4, 4),
    ],
)
def test_parameters_per_channel(name: str, bins: int, count: int) -> None:
    assert parameters_per_channel(name, bins) == count


def test_categorical_parameters_hold_all_channels_of_a_level_together() -> None:
    channels, bins = 3, 4
    parameters = torch.zeros(1, bins * channels, 1, 1)
    parameters[0, 2 * channels + 1] = 100.0  # level 2 of channel 1
    mean = image_distribution("categorical", parameters, channels, bins).mean.flatten()
    assert mean.tolist() == pytest.approx([0.0, 2 * 2 / 3 - 1, 0.0], abs=1e-6)


def test_an_unknown_likelihood_names_the_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="bernouli") as caught:
        parameters_per_channel("bernouli")
    assert "'bernoulli'" in caught.value.hint


def test_the_wrong_number_of_maps_is_an_error() -> None:
    with pytest.raises(PluginError, match="needs 24 maps, but the decoder gives 3"):
        image_distribution("categorical", torch.zeros(1, 3, 2, 2), 3, 8)


@pytest.mark.parametrize("name", ["gaussian", "discretized-logistic"])
def test_a_missing_log_scale_is_an_error(name: str) -> None:
    with pytest.raises(PluginError, match="log_scale"):
        image_distribution(name, torch.zeros(1, 3, 2, 2), 3)
