"""The objective, held against what can be worked out: images whose pixels are all normal.

Where noise is N(0, 1) and a pixel is N(m, s^2), the place at time t is normal, and the velocity
that training looks for is E[image - noise | place], linear in the place. Its ways are known, too:
the place at time t is t m + sqrt((1 - t)^2 + t^2 s^2) times where it began.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genzoo import GenzooError, ImageSpec, UnsupportedError
from genzoo.noise import Noise
from genzoo.objectives.base import Batch
from genzoo_flow_matching.config import FlowMatchingConfig, FlowUNetConfig
from genzoo_flow_matching.networks import build
from genzoo_flow_matching.objective import NO_LABEL, FlowMatching

MEAN, DEVIATION = 0.2, 0.15
SHAPE = (1, 4, 4)


class Exact(nn.Module):
    """The velocity of normal pixels, exactly; it keeps the labels that it was asked for."""

    image_shape = SHAPE

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.asked: list[Tensor | None] = []

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        self.asked.append(labels)
        t = t.view(-1, 1, 1, 1)
        variance = (1 - t) ** 2 + (t * DEVIATION) ** 2
        covariance = t * DEVIATION**2 - (1 - t)
        return MEAN + covariance / variance * (x - t * MEAN)


def exact(**config: Any) -> tuple[FlowMatching, nn.ModuleDict]:
    return FlowMatching(FlowMatchingConfig(**config)), nn.ModuleDict({"velocity": Exact()})


def drawn(**config: Any) -> tuple[Tensor, Tensor]:
    """Return where ways begin and where they end, before any clamping, in float64."""
    objective, networks = exact(**config)
    start = objective.latents(networks, Noise(0, range(50))).double()
    *_, end = objective.path(networks, start, None)
    return start.view(-1, *SHAPE), end


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_a_way_ends_where_it_should_to_the_order_of_its_solver(solver: str, order: int) -> None:
    errors = []
    for steps in (32, 64):
        start, end = drawn(solver=solver, steps=steps)
        errors.append((end - (MEAN + DEVIATION * start)).abs().max().item())
    assert errors[1] < 0.05
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.25)


def test_the_loss_of_the_exact_velocity_is_what_cannot_be_known() -> None:
    objective, networks = exact(label_dropout=0.0)
    count = 20_000
    images = MEAN + DEVIATION * Noise(1, range(count)).normal(*SHAPE)
    batch = Batch(images, None, Noise(0, range(count)))
    loss, logged = objective.loss("velocity", networks, batch, 0)
    # Var(image - noise | place) = Var(image - noise) - cov^2 / var, averaged over the times.
    t = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    variance = (1 - t) ** 2 + (t * DEVIATION) ** 2
    covariance = t * DEVIATION**2 - (1 - t)
    expected = (1 + DEVIATION**2 - covariance**2 / variance).mean().item()
    assert loss.item() == pytest.approx(expected, rel=0.02)
    assert logged["loss"].item() == loss.item()


def test_sigma_min_leaves_that_much_noise_at_the_images_end() -> None:
    objective, _ = exact(sigma_min=0.3)
    images = torch.rand(64, *SHAPE)
    x, t, _, velocity = objective._on_the_way(Batch(images, None, Noise(0, range(64))))
    left = (1 - t).view(-1, 1, 1, 1)
    noise = Noise(0, range(64)).normal(*SHAPE)
    torch.testing.assert_close(x + left * velocity, images + 0.3 * noise)
    torch.testing.assert_close(x - t.view(-1, 1, 1, 1) * velocity, noise)


def test_labels_are_dropped_as_often_as_the_config_says() -> None:
    objective, networks = exact(label_dropout=0.25)
    labels = torch.arange(4000) % 10
    batch = Batch(torch.zeros(4000, *SHAPE), labels, Noise(0, range(4000)))
    objective.loss("velocity", networks, batch, 0)
    network = networks["velocity"]
    assert isinstance(network, Exact)
    (asked,) = network.asked
    assert asked is not None
    dropped = asked == NO_LABEL
    assert dropped.double().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(asked[~dropped], labels[~dropped])
    assert torch.equal(labels, torch.arange(4000) % 10)


class ByLabel(nn.Module):
    """A velocity that is the label itself, and 1 / 10 without any."""

    image_shape = SHAPE

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(()))
        self.calls = 0

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        self.calls += 1
        speed = torch.where(labels == NO_LABEL, 0.1, labels.float())
        return speed.view(-1, 1, 1, 1).expand_as(x)


@pytest.mark.parametrize(
    ("guidance", "speed", "calls"), [(0.0, 0.1, 1), (0.5, 1.55, 2), (1.0, 3.0, 1), (2.0, 5.9, 2)]
)
def test_guidance_goes_from_without_a_label_to_with_it_and_beyond(
    guidance: float, speed: float, calls: int
) -> None:
    objective = FlowMatching(FlowMatchingConfig(guidance=guidance, solver="euler", steps=1))
    network = ByLabel()
    networks = nn.ModuleDict({"velocity": network})
    start = torch.zeros(2, 16)
    *_, end = objective.path(networks, start, torch.tensor([3, 3]))
    torch.testing.assert_close(end, torch.full((2, *SHAPE), speed))
    assert network.calls == calls


def test_images_stay_in_range() -> None:
    objective, networks = exact(steps=4)
    images = objective.decode(networks, 100 * torch.ones(2, 16, dtype=torch.float64), None)
    assert images.abs().max() == 1


def test_a_network_that_does_not_say_its_shape_is_named() -> None:
    objective = FlowMatching(FlowMatchingConfig())
    with pytest.raises(GenzooError, match="image_shape"):
        objective.latents(nn.ModuleDict({"velocity": nn.Linear(1, 1)}), Noise(0, range(2)))


def test_the_network_begins_as_a_standstill_and_tells_no_label_from_labels() -> None:
    torch.manual_seed(0)
    network = build(ImageSpec(1, 28, 28, 10), FlowUNetConfig(channels=8))["velocity"]
    x, t = torch.randn(3, 1, 28, 28), torch.rand(3)
    assert not network(x, t, torch.tensor([0, 1, 2])).any()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    with_nothing = network(x, t, torch.full((3,), NO_LABEL))
    for label in range(10):
        assert not torch.allclose(network(x, t, torch.full((3,), label)), with_nothing)


@pytest.mark.parametrize("size", [(27, 28), (30, 30)])
def test_a_size_that_does_not_halve_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UnsupportedError, match=f"{size[0]}x{size[1]}") as caught:
        build(ImageSpec(1, *size), FlowUNetConfig())
    assert "multiples of 4" in caught.value.hint


def test_guidance_that_was_never_learned_is_refused() -> None:
    with pytest.raises(ValueError, match="label_dropout above 0"):
        FlowMatchingConfig(guidance=2.0, label_dropout=0.0)
    FlowMatchingConfig(guidance=1.0, label_dropout=0.0)
