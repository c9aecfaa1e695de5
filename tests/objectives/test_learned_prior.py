"""Against a linear-Gaussian model with an affine prior: x = W z + noise, z = m + s u, u ~ N(0, I).

m belongs to the class. W has orthogonal columns, so that the posterior is a diagonal Gaussian.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from genzoo.errors import PluginError
from genzoo.noise import Noise, StepNoise
from genzoo.objectives.base import Batch
from genzoo.objectives.configs import VariationalConfig
from genzoo.objectives.likelihoods import PixelGaussian
from genzoo.objectives.variational import Variational

W = torch.tensor([[0.5, 0.8], [0.5, -0.8], [0.5, 0.8], [0.5, -0.8]], dtype=torch.float64)
MEANS = torch.tensor([[0.2, -0.3], [-0.5, 0.4]], dtype=torch.float64)
SCALE = torch.tensor([0.6, 1.7], dtype=torch.float64)
SIGMA = 0.3
PRECISION = 1 / SCALE**2 + W.square().sum(0) / SIGMA**2
LABELS = torch.arange(64) % 2


class Decoder(nn.Module):
    latent_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(W.clone())

    def forward(self, z: Tensor, labels: Tensor | None) -> Distribution:
        mean = (z @ self.weight.T).reshape(-1, 1, 2, 2)
        return PixelGaussian(mean, torch.tensor(math.log(SIGMA), dtype=torch.float64))


class Encoder(nn.Module):
    """The true posterior, or a wider one."""

    def __init__(self, widen: float = 1.0) -> None:
        super().__init__()
        self.stddev = nn.Parameter(widen / PRECISION.sqrt())

    def forward(self, images: Tensor, labels: Tensor) -> Distribution:
        mean = (MEANS[labels] / SCALE**2 + images.flatten(1) @ W / SIGMA**2) / PRECISION
        return Independent(Normal(mean, self.stddev.expand_as(mean)), 1)


class AffinePrior(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.means = nn.Parameter(MEANS.clone())
        self.log_scale = nn.Parameter(SCALE.log())

    def forward(self, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        base = (z - self.means[labels]) * torch.exp(-self.log_scale)
        return base, -self.log_scale.sum().expand(len(z))

    def inverse(self, base: Tensor, labels: Tensor) -> Tensor:
        return self.means[labels] + base * self.log_scale.exp()


def make_networks(widen: float = 1.0) -> nn.ModuleDict:
    return nn.ModuleDict({"encoder": Encoder(widen), "decoder": Decoder(), "prior": AffinePrior()})


def objective(**config: Any) -> Variational:
    return Variational(VariationalConfig.model_validate({"prior": "learned", **config}))


def draw_images() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    z = MEANS[LABELS] + SCALE * torch.randn(64, 2, generator=generator, dtype=torch.float64)
    noise = SIGMA * torch.randn(64, 4, generator=generator, dtype=torch.float64)
    return (z @ W.T + noise).reshape(64, 1, 2, 2)


def truth(images: Tensor) -> Tensor:
    """log p(x | class) = log N(x; W m, W diag(s^2) W^T + sigma^2 I)."""
    covariance = (W * SCALE**2) @ W.T + SIGMA**2 * torch.eye(4, dtype=torch.float64)
    marginal: Distribution = MultivariateNormal(MEANS[LABELS] @ W.T, covariance)
    return marginal.log_prob(images.flatten(1))


def make_noise(seed: int = 0) -> StepNoise:
    return StepNoise(seed, 0, stream="elbo", batch_size=64, rows=slice(0, 64))


def loss_of(networks: nn.ModuleDict, **config: Any) -> tuple[Tensor, dict[str, Tensor]]:
    batch = Batch(draw_images(), LABELS, make_noise())
    return objective(**config).loss("elbo", networks, batch, 0)


def test_a_learned_prior_is_a_role_that_is_trained_and_shipped() -> None:
    learned, normal = objective(), Variational(VariationalConfig())
    assert learned.roles == learned.sampling_roles == {"encoder", "decoder", "prior"}
    assert normal.roles == normal.sampling_roles == {"encoder", "decoder"}
    for variational in (learned, normal):
        assert [phase.trains for phase in variational.phases] == [variational.roles]


def test_elbo_of_the_true_posterior_is_the_log_likelihood_by_any_draw() -> None:
    loss, logs = loss_of(make_networks())
    assert set(logs) == {"loss", "nll", "kl", "elbo", "kl_weight"}
    assert all(log.ndim == 0 and not log.requires_grad for log in logs.values())
    expected = truth(draw_images()).mean().item()
    assert logs["elbo"].item() == pytest.approx(expected, abs=1e-9)
    assert loss.item() == pytest.approx(-expected, abs=1e-9)


def test_the_kl_is_that_of_the_posterior_from_the_prior_on_average() -> None:
    networks, images = make_networks(widen=1.5), draw_images()
    posterior = networks["encoder"](images, LABELS).base_dist
    prior = Normal(MEANS[LABELS], SCALE.expand(64, 2))
    expected = torch.distributions.kl_divergence(posterior, prior).sum(1).mean().item()
    draws = [
        objective().loss("elbo", networks, Batch(images, LABELS, make_noise(seed)), 0)[1]["kl"]
        for seed in range(200)
    ]
    assert torch.stack(draws).mean().item() == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("samples", [1, 7])
def test_log_likelihood_of_the_true_posterior_is_exact(samples: int) -> None:
    images = draw_images()
    found = objective().log_likelihood(make_networks(), images, LABELS, make_noise(), samples)
    assert found.tolist() == pytest.approx(truth(images).tolist(), abs=1e-9)


def test_log_likelihood_bound_rises_to_the_truth_with_more_samples() -> None:
    networks, images = make_networks(widen=1.6), draw_images()
    one, many = (
        objective().log_likelihood(networks, images, LABELS, make_noise(), k).mean().item()
        for k in (1, 1000)
    )
    expected = truth(images).mean().item()
    assert one < expected - 0.2
    assert many == pytest.approx(expected, abs=0.02)


def test_all_three_networks_get_gradients() -> None:
    networks = make_networks(widen=1.5)
    torch.autograd.backward(loss_of(networks)[0])
    assert all(p.grad is not None and bool(p.grad.all()) for p in networks.parameters())


def test_free_bits_hold_for_the_latent_as_a_whole() -> None:
    _, logs = loss_of(make_networks())
    half = logs["kl"].item() / 2  # a dimension's share of it
    below, _ = loss_of(make_networks(), free_bits=0.9 * half)
    assert below.item() == pytest.approx(-logs["elbo"].item())
    networks = make_networks()
    above, same = loss_of(networks, free_bits=1.5 * half)
    assert above.item() == pytest.approx(logs["nll"].item() + 2 * 1.5 * half)
    assert same["kl"].item() == logs["kl"].item()
    torch.autograd.backward(above)
    assert not any(p.grad.any() for p in networks["prior"].parameters() if p.grad is not None)


def test_latents_are_base_coordinates_wherever_they_are_met() -> None:
    networks, variational, labels = make_networks(), objective(), LABELS[:3]
    latents = variational.latents(networks, Noise(0, range(3)))
    assert torch.equal(latents, Noise(0, range(3)).normal(2).double())
    z = MEANS[labels] + SCALE * latents
    expected = (z @ W.T).clamp(-1, 1).reshape(3, 1, 2, 2)
    assert torch.allclose(variational.decode(networks, latents, labels), expected)
    sample = variational.sample(networks, Noise(0, range(3)), labels)
    assert torch.allclose(sample, expected)
    assert not sample.requires_grad

    images = draw_images()[:3]
    mean = networks["encoder"](images, labels).mean
    codes = variational.encode(networks, images, labels)
    assert torch.allclose(codes, (mean - MEANS[labels]) / SCALE)
    decoded = variational.decode(networks, codes, labels)
    assert torch.allclose(variational.reconstruct(networks, images, labels), decoded)


def test_a_prior_that_cannot_be_inverted_is_refused() -> None:
    networks = make_networks()
    networks["prior"] = nn.Linear(2, 2)
    with pytest.raises(PluginError, match="Linear, has no method `inverse`") as caught:
        loss_of(networks)
    assert "(base, log_det)" in caught.value.hint
