from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from genzoo.registry.training_config import EMAConfig
from genzoo.training.ema import averaged, decay_at


@pytest.mark.parametrize(
    ("decay", "rampup", "updates", "expected"),
    [
        (0.999, True, 0, 0.1),
        (0.999, True, 1, 2 / 11),
        (0.999, True, 90, 0.91),
        (0.999, True, 10**6, 0.999),
        (0.9, True, 80, 0.9),
        (0.9, True, 81, 0.9),
        (0.999, False, 0, 0.999),
        (0.0, True, 5, 0.0),
    ],
)
def test_the_decay(decay: float, rampup: bool, updates: int, expected: float) -> None:
    config = EMAConfig(decay=decay, rampup=rampup)
    assert decay_at(config, updates) == pytest.approx(expected, rel=1e-12)


class Network(nn.Module):
    """A weight, BatchNorm's buffers, and a mask such as attention has."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3))
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]), persistent=False)


def change(networks: nn.ModuleDict, generator: torch.Generator) -> None:
    """Move the weights, and show BatchNorm a batch, as a step of training does."""
    network = networks["generator"]
    assert isinstance(network, Network)
    with torch.no_grad():
        network.weight.add_(torch.randn(3, generator=generator))
        network.norm(torch.randn(5, 3, generator=generator))


def averages_of(values: list[Tensor], decay: float, rampup: bool) -> Tensor:
    """Return a_1 = w_1, a_{t+1} = b a_t + (1 - b) w_{t+1}, in float64."""
    average = values[0].double()
    for t, value in enumerate(values[1:], start=1):
        b = min(decay, (1 + t) / (10 + t)) if rampup else decay
        average = b * average + (1 - b) * value.double()
    return average


@pytest.mark.parametrize("rampup", [True, False])
def test_weights_and_batch_norm_follow_the_formula(rampup: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    networks = nn.ModuleDict({"generator": Network()})
    average = averaged(networks, EMAConfig(decay=0.6, rampup=rampup))
    seen: dict[str, list[Tensor]] = {}
    for _ in range(12):
        change(networks, generator)
        average.update_parameters(networks)
        for name, tensor in networks.state_dict().items():
            seen.setdefault(name, []).append(tensor.clone())
    state = average.module.state_dict()
    assert int(state["generator.norm.num_batches_tracked"]) == 12
    names = ["weight", "norm.running_mean", "norm.running_var"]
    for name in (f"generator.{name}" for name in names):
        expected = averages_of(seen[name], 0.6, rampup)
        torch.testing.assert_close(state[name].double(), expected, rtol=1e-5, atol=1e-6)


def test_an_infinite_mask_stays_as_it_is() -> None:
    networks = nn.ModuleDict({"generator": Network()})
    average = averaged(networks, EMAConfig())
    for _ in range(3):
        average.update_parameters(networks)
    mask = dict(average.module.named_buffers())["generator.mask"]
    assert mask.tolist() == [0.0, -torch.inf]


def parametrized(layer: nn.Module) -> nn.Module:
    return parametrizations.spectral_norm(layer)


def hooked(layer: nn.Module) -> nn.Module:
    return torch.nn.utils.spectral_norm(layer)


@pytest.mark.parametrize("normalized", [parametrized, hooked])
@pytest.mark.parametrize("layer", [functools.partial(nn.Linear, bias=False), nn.Embedding])
def test_a_spectral_norm_is_that_of_the_averaged_weight(
    normalized: Callable[[nn.Module], nn.Module], layer: Callable[[int, int], nn.Module]
) -> None:
    """The mean of unit vectors is shorter than one: by it, a weight would be divided by too little.

    Or by another matrix's: the trained weight's own vectors do not fit the averaged one.
    """
    networks = nn.ModuleDict({"generator": normalized(layer(12, 16))}).train()
    average = averaged(networks, EMAConfig(decay=0.99))
    inputs = torch.arange(12) if layer is nn.Embedding else torch.eye(12)
    (weight,) = networks.parameters()
    for step in range(300):
        angle = torch.tensor(step / 100)
        turned = torch.stack((angle.cos(), angle.sin()))
        with torch.no_grad():  # of rank one, so that one step of power iteration finds its vectors
            weight.zero_()[:2, :2] = torch.outer(turned, turned)
            networks["generator"](inputs)
        average.update_parameters(networks)
        if step >= 100 and step % 20 == 0:
            effective = average.module["generator"](inputs)  # type: ignore[index]
            assert torch.linalg.matrix_norm(effective, ord=2).item() == pytest.approx(1, abs=0.02)


def test_an_average_goes_on_where_it_was_saved() -> None:
    def run(steps: int) -> tuple[nn.ModuleDict, nn.Module, torch.Generator]:
        torch.manual_seed(0)
        networks = nn.ModuleDict({"generator": Network()})
        average = averaged(networks, EMAConfig())
        generator = torch.Generator().manual_seed(0)
        for _ in range(steps):
            change(networks, generator)
            average.update_parameters(networks)
        return networks, average, generator

    _, straight, _ = run(9)
    networks, average, generator = run(4)
    resumed = averaged(networks, EMAConfig())
    resumed.load_state_dict(average.state_dict())
    for _ in range(5):
        change(networks, generator)
        resumed.update_parameters(networks)
    for name, tensor in straight.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name


def test_the_copy_is_in_eval_mode_without_gradients_and_apart() -> None:
    networks = nn.ModuleDict({"generator": Network()}).train()
    average = averaged(networks, EMAConfig())
    assert not any(module.training for module in average.modules())
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert networks.training
    assert all(parameter.requires_grad for parameter in networks.parameters())
    before = average.module.state_dict()["generator.weight"].clone()
    change(networks, torch.Generator())
    assert torch.equal(average.module.state_dict()["generator.weight"], before)
