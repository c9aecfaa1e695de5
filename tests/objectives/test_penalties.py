import math

import pytest
import torch
from torch import Tensor, nn

from genzoo.noise import Noise
from genzoo.objectives.configs import PenaltiesConfig
from genzoo.objectives.penalties import (
    penalty_factor,
    wgan_gp,
    zero_centred_gradient_penalty,
    zero_centred_gradient_penalty_in_float32,
)


class Quadratic(nn.Module):
    """D(x) = w.x + a/2 ||x||^2, whose gradient is w + a x."""

    def __init__(self, weight: list[float], curvature: float) -> None:
        super().__init__()
        self.linear = nn.Linear(len(weight), 1, bias=False)
        self.linear.weight.data = torch.tensor([weight])
        self.curvature = nn.Parameter(torch.tensor(curvature))

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        flat = images.flatten(1)
        linear: Tensor = self.linear(flat)
        return linear[:, 0] + self.curvature / 2 * flat.square().sum(1)


# Three images of 2 pixels, of different norms.
IMAGES = [[0.5, -1.0], [0.0, 0.25], [-0.75, 1.0]]
WEIGHT = [1.001, -0.3007]  # neither is a bfloat16


def images() -> Tensor:
    return torch.tensor(IMAGES).reshape(3, 1, 1, 2)


def penalty(discriminator: nn.Module, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    return zero_centred_gradient_penalty(discriminator(x, None), x)


def test_zero_centred_penalty_of_a_linear_discriminator_is_half_its_squared_norm() -> None:
    discriminator = Quadratic(WEIGHT, 0.0)
    value = penalty(discriminator, images())
    assert value.item() == pytest.approx((1.001**2 + 0.3007**2) / 2, rel=1e-6)
    torch.autograd.backward(value)
    assert discriminator.linear.weight.grad is not None
    assert discriminator.linear.weight.grad[0].tolist() == pytest.approx(WEIGHT, rel=1e-6)


def test_zero_centred_penalty_is_a_mean_over_samples_of_different_gradients() -> None:
    curvature = 0.7
    expected = sum(
        sum((w + curvature * x) ** 2 for w, x in zip(WEIGHT, image, strict=True)) / 2
        for image in IMAGES
    ) / len(IMAGES)
    assert penalty(Quadratic(WEIGHT, curvature), images()).item() == pytest.approx(expected)


def test_zero_centred_penalty_of_one_sample_does_not_depend_on_the_others() -> None:
    discriminator = Quadratic(WEIGHT, 0.7)
    alone = [penalty(discriminator, images()[i : i + 1]).item() for i in range(3)]
    assert penalty(discriminator, images()).item() == pytest.approx(sum(alone) / 3)


def test_own_forward_is_exact_under_autocast() -> None:
    discriminator = Quadratic(WEIGHT, 0.7)
    exact = penalty(discriminator, images()).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coarse = penalty(discriminator, images()).item()
        value = zero_centred_gradient_penalty_in_float32(discriminator, images(), None)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact, rel=1e-6)
    assert coarse != pytest.approx(exact, rel=1e-5)  # so autocast was on


@pytest.mark.parametrize("autocast", [False, True])
def test_wgan_gp_between_real_and_fake(autocast: bool) -> None:
    curvature = 0.7
    real, fake = images(), -2 * images().flip(0)
    positions = Noise(0, range(3)).uniform(1, 1, 1).flatten().tolist()
    deviations = []
    for u, x, y in zip(positions, IMAGES, fake.flatten(1).tolist(), strict=True):
        gradient = [
            w + curvature * (u * a + (1 - u) * b) for w, a, b in zip(WEIGHT, x, y, strict=True)
        ]
        deviations.append((math.hypot(*gradient) - 1) ** 2)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        value = wgan_gp(Quadratic(WEIGHT, curvature), real, fake, None, Noise(0, range(3)))
    assert len(set(positions)) == 3
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(sum(deviations) / 3, rel=1e-5)


def test_wgan_gp_is_zero_for_a_unit_slope() -> None:
    value = wgan_gp(Quadratic([0.6, 0.8], 0.0), images(), -images(), None, Noise(0, range(3)))
    assert value.item() == pytest.approx(0, abs=1e-12)


def test_wgan_gp_has_a_finite_gradient_where_the_discriminator_is_flat() -> None:
    discriminator = Quadratic([0.0, 0.0], 0.0)
    value = wgan_gp(discriminator, images(), -images(), None, Noise(0, range(3)))
    assert value.item() == 1
    torch.autograd.backward(value)
    assert discriminator.linear.weight.grad is not None
    assert discriminator.linear.weight.grad.isfinite().all()


def test_penalties_leave_the_images_as_they_are() -> None:
    real, fake = images(), -images()
    wgan_gp(Quadratic(WEIGHT, 0.7), real, fake, None, Noise(0, range(3)))
    zero_centred_gradient_penalty_in_float32(Quadratic(WEIGHT, 0.7), real, None)
    assert not real.requires_grad
    assert not fake.requires_grad
    assert torch.equal(real, images())


@pytest.mark.parametrize(
    ("config", "step", "factor"),
    [
        ({}, 0, 1.0),
        ({}, 10**6, 1.0),
        ({"anneal_to": 0.1, "anneal_steps": 100}, 0, 1.0),
        ({"anneal_to": 0.1, "anneal_steps": 100}, 25, 0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2),
        ({"anneal_to": 0.1, "anneal_steps": 100}, 50, 0.55),
        ({"anneal_to": 0.1, "anneal_steps": 100}, 100, 0.1),
        ({"anneal_to": 0.1, "anneal_steps": 100}, 1000, 0.1),
        ({"anneal_to": 0.1}, 1000, 1.0),
        ({"every": 16}, 0, 16.0),
        ({"every": 16}, 15, 0.0),
        ({"every": 16}, 16, 16.0),
        ({"every": 4, "anneal_to": 0.5, "anneal_steps": 8}, 4, 3.0),
    ],
)
def test_factor_of_the_weights(config: dict[str, float], step: int, factor: float) -> None:
    assert penalty_factor(PenaltiesConfig.model_validate(config), step) == pytest.approx(factor)
