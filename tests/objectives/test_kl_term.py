from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Independent,
    Laplace,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from genzoo.errors import PluginError
from genzoo.noise import StepNoise
from genzoo.objectives.base import Batch
from genzoo.objectives.configs import VariationalConfig
from genzoo.objectives.likelihoods import PixelGaussian
from genzoo.objectives.variational import Variational, kl_from_standard_normal

MEANS = [[0.0, 0.2], [2.0, 0.2]]
"""KL of dimension 0: 0 and 2, mean 1; of dimension 1: 0.02 and 0.02."""


class Decoder(nn.Module):
    """An image of one pixel for each latent."""

    latent_dim = 2

    def forward(self, latents: Tensor, labels: Tensor | None) -> Distribution:
        return PixelGaussian(latents.reshape(-1, 1, 1, 2), torch.zeros(()))


class TableEncoder(nn.Module):
    """Posteriors of stddev 1 and given means, so that the KL of a dimension is mean^2 / 2."""

    def __init__(self, means: list[list[float]]) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.tensor(means, dtype=torch.float64))

    def forward(self, images: Tensor, labels: Tensor | None) -> Distribution:
        return Independent(Normal(self.means, torch.ones_like(self.means)), 1)


class GivenEncoder(nn.Module):
    def __init__(self, posterior: Distribution) -> None:
        super().__init__()
        self.posterior = posterior

    def forward(self, images: Tensor, labels: Tensor | None) -> Distribution:
        return self.posterior


def loss_of(encoder: nn.Module, step: int = 0, **config: Any) -> tuple[Tensor, dict[str, Tensor]]:
    networks = nn.ModuleDict({"encoder": encoder, "decoder": Decoder()})
    noise = StepNoise(0, 0, stream="elbo", batch_size=2, rows=slice(0, 2))
    batch = Batch(torch.zeros(2, 1, 1, 2, dtype=torch.float64), None, noise)
    return Variational(VariationalConfig.model_validate(config)).loss("elbo", networks, batch, step)


def test_the_kl_term_and_its_gradient_are_torchs_own_to_the_last_bit() -> None:
    """So that a model that was trained by torch's is trained to the same weights."""
    generator = torch.Generator().manual_seed(0)
    loc, log_scale = torch.randn(2, 2, 2, generator=generator, dtype=torch.float64)
    loc, log_scale = (3 * loc).requires_grad_(), (3 * log_scale).requires_grad_()
    posterior = Normal(loc, log_scale.exp())
    _, logs = loss_of(GivenEncoder(posterior))
    prior = Normal(torch.zeros_like(loc), torch.ones_like(loc))
    assert torch.equal(logs["kl"], kl_divergence(posterior, prior).mean(0).sum())
    found, expected = (
        torch.autograd.grad(kl.mean(0).sum(), (loc, log_scale), retain_graph=True)
        for kl in (kl_from_standard_normal(posterior), kl_divergence(posterior, prior))
    )
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize(
    ("free_bits", "expected"), [(0.0, 1.0 + 0.02), (0.3, 1.0 + 0.3), (1.5, 1.5 + 1.5)]
)
def test_free_bits_are_a_floor_under_the_batch_mean_of_each_dimension(
    free_bits: float, expected: float
) -> None:
    encoder = TableEncoder(MEANS)
    loss, logs = loss_of(encoder, free_bits=free_bits, beta=2.0)
    assert ((loss - logs["nll"]) / 2).item() == pytest.approx(expected)
    assert logs["kl"].item() == pytest.approx(1.02)
    assert logs["elbo"].item() == pytest.approx(-(logs["nll"].item() + 1.02))


def test_a_dimension_under_its_free_bits_gets_no_gradient_from_the_kl() -> None:
    encoder = TableEncoder(MEANS)
    kl = loss_of(encoder, free_bits=0.3)[0] - loss_of(encoder, beta=0.0)[0]
    (gradient,) = torch.autograd.grad(kl, encoder.means)
    assert gradient.tolist() == [pytest.approx([0.0, 0.0]), pytest.approx([1.0, 0.0])]


@pytest.mark.parametrize(
    ("warmup", "step", "weight"),
    [
        (0, 0, 4.0),
        (0, 99, 4.0),
        (10, 0, 0.0),
        (10, 1, 0.4),
        (10, 5, 2.0),
        (10, 10, 4.0),
        (10, 99, 4.0),
    ],
)
def test_the_kl_warms_up_to_beta(warmup: int, step: int, weight: float) -> None:
    loss, logs = loss_of(TableEncoder(MEANS), step=step, beta=4.0, warmup_steps=warmup)
    assert logs["kl_weight"].item() == pytest.approx(weight)
    assert loss.item() == pytest.approx((logs["nll"] + weight * logs["kl"]).item())


@pytest.mark.parametrize(
    "posterior",
    [
        Independent(Laplace(torch.zeros(2, 2), torch.ones(2, 2)), 1),
        MultivariateNormal(torch.zeros(2, 2), torch.eye(2)),
    ],
    ids=["Laplace", "MultivariateNormal"],
)
def test_a_posterior_that_is_no_diagonal_gaussian_is_refused(posterior: Distribution) -> None:
    with pytest.raises(PluginError, match="over z") as caught:
        loss_of(GivenEncoder(posterior))
    assert "Normal" in caught.value.hint
