"""Draws of pixels by given noise: `quantile` of each likelihood, and `samples: drawn`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

import genzoo
from genzoo.errors import PluginError
from genzoo.noise import Noise
from genzoo.objectives.configs import VariationalConfig
from genzoo.objectives.likelihoods import LIKELIHOODS, image_distribution, parameters_per_channel
from genzoo.objectives.variational import Variational

BINS = 8


def make(name: str, channels: int = 2, side: int = 2) -> Distribution:
    generator = torch.Generator().manual_seed(1)
    maps = channels * parameters_per_channel(name, BINS)
    parameters = 0.3 * torch.randn(3, maps, side, side, generator=generator)
    return image_distribution(name, parameters, channels, BINS, torch.full((channels, 1, 1), -1.0))


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_quantile_rises_with_its_noise(name: str) -> None:
    likelihood = make(name)
    ways = torch.linspace(0, 1 - 1e-6, 200).view(-1, 1, 1, 1, 1).expand(200, 3, 2, 2, 2)
    images = likelihood.quantile(ways)  # type: ignore[attr-defined]
    steps = images.diff(dim=0)
    assert (steps.max() <= 0) if name == "bernoulli" else (steps.min() >= 0)
    assert images.isfinite().all() or name == "gaussian"


@pytest.mark.parametrize("name", ["bernoulli", "categorical", "discretized-logistic"])
def test_draws_are_as_frequent_as_their_probability(name: str) -> None:
    likelihood = make(name, channels=1, side=1)  # of one pixel, so that log_prob is a pixel's
    ways = (torch.arange(20_000) + 0.5) / 20_000
    images = likelihood.quantile(ways.view(-1, 1, 1, 1, 1).expand(-1, 3, 1, 1, 1))  # type: ignore[attr-defined]
    levels = 2 if name == "bernoulli" else BINS
    for level in range(levels):
        value = torch.full((3, 1, 1, 1), 2 * level / (levels - 1) - 1)
        frequency = torch.isclose(images, value, atol=1e-5).float().mean(0).flatten()
        torch.testing.assert_close(frequency, likelihood.log_prob(value).exp(), rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("bernoulli", torch.tensor([-1.0, 1.0]), torch.tensor([-1.0, 0.2])),
        ("categorical", torch.tensor([-1.0, 5 / 7]), torch.tensor([-1.0, 0.2])),
        ("discretized-logistic", torch.tensor([-1.0, 5 / 7]), torch.tensor([-1.0, 0.2])),
    ],
)
def test_the_support_of_a_probability_is_its_levels(
    name: str, inside: Tensor, outside: Tensor
) -> None:
    support = make(name).support
    assert support is not None
    assert support.is_discrete
    assert support.check(inside).all()
    assert not support.check(outside).all()


def test_a_density_has_no_discrete_support() -> None:
    support = make("gaussian").support
    assert support is not None
    assert not support.is_discrete


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_drawn_samples_depend_on_seed_and_index_alone(name: str) -> None:
    model = genzoo.create("vae", (1, 8, 8), latent_dim=4, channels=16, likelihood=name)
    model.objective = Variational(VariationalConfig(samples="drawn"))
    expected = model.objective.decode(
        model.networks, model.objective.latents(model.networks, Noise(3, range(6))), None
    )
    many, few = model.sample(6, seed=3), model.sample(6, seed=3, batch_size=2)
    torch.testing.assert_close(many, few, rtol=0, atol=1e-5)
    assert not torch.allclose(many, (expected + 1) / 2, atol=0.05)
    if name == "bernoulli":
        assert set(many.unique().tolist()) == {0.0, 1.0}


def test_a_likelihood_without_quantile_cannot_be_drawn_from() -> None:
    class Decoder(nn.Module):
        latent_dim = 2

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, z: Tensor, labels: Tensor | None) -> Distribution:
            mean = (self.scale * z).view(-1, 1, 1, 2)
            return Independent(Normal(mean, torch.ones_like(mean)), 3)

    networks = nn.ModuleDict({"decoder": Decoder()})
    objective = Variational(VariationalConfig(samples="drawn"))
    with pytest.raises(PluginError, match="cannot be drawn from"):
        objective.sample(networks, Noise(0, range(2)), None)
