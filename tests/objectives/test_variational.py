"""Against a linear-Gaussian model: x = W z + b + noise, whose likelihood and posterior are known.

W has orthogonal columns, so that the true posterior is a diagonal Gaussian.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from genzoo.errors import UnsupportedError
from genzoo.noise import Noise, StepNoise
from genzoo.objectives.base import (
    Batch,
    CanEncode,
    CanInterpolate,
    CanReconstruct,
    HasLogLikelihood,
)
from genzoo.objectives.configs import VariationalConfig
from genzoo.objectives.likelihoods import PixelGaussian
from genzoo.objectives.variational import Variational

W = torch.tensor([[0.5, 0.8], [0.5, -0.8], [0.5, 0.8], [0.5, -0.8]], dtype=torch.float64)
OFFSETS = torch.tensor([[0.1, 0.0, -0.2, 0.3], [-0.4, 0.2, 0.0, 0.1]], dtype=torch.float64)
SIGMA = 0.3
BATCH = 64


class Decoder(nn.Module):
    latent_dim = 2

    def __init__(self, *, summed: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(W.clone())
        self.offsets = nn.Parameter(OFFSETS.clone())
        self.log_scale = nn.Parameter(torch.tensor(math.log(SIGMA), dtype=torch.float64))
        self.summed = summed

    def forward(self, latents: Tensor, labels: Tensor | None) -> Distribution:
        offset = self.offsets[0] if labels is None else self.offsets[labels]
        mean = (latents @ self.weight.T + offset).reshape(-1, 1, 2, 2)
        if self.summed:
            return PixelGaussian(mean, self.log_scale)
        return Normal(mean, self.log_scale.exp())


class Encoder(nn.Module):
    """The true posterior, or a wider and shifted one."""

    def __init__(self, *, widen: float = 1.0, shift: float = 0.0, independent: bool = True) -> None:
        super().__init__()
        precision = 1 + W.square().sum(0) / SIGMA**2
        self.gain = nn.Parameter(W / SIGMA**2 / precision)
        self.log_stddev = nn.Parameter((widen / precision.sqrt()).log())
        self.shift = shift
        self.independent = independent

    def forward(self, images: Tensor, labels: Tensor | None) -> Distribution:
        offset = OFFSETS[0] if labels is None else OFFSETS[labels]
        mean = (images.flatten(1) - offset.to(images.dtype)) @ self.gain + self.shift
        normal = Normal(mean, self.log_stddev.exp().expand_as(mean))
        return Independent(normal, 1) if self.independent else normal


def make_networks(
    encoder: nn.Module | None = None, decoder: nn.Module | None = None
) -> nn.ModuleDict:
    return nn.ModuleDict({"encoder": encoder or Encoder(), "decoder": decoder or Decoder()})


def make_noise(batch: int = BATCH, seed: int = 0) -> StepNoise:
    return StepNoise(seed, 0, stream="elbo", batch_size=batch, rows=slice(0, batch))


def draw_images(batch: int = BATCH, labels: Tensor | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(batch, 2, generator=generator, dtype=torch.float64)
    noise = SIGMA * torch.randn(batch, 4, generator=generator, dtype=torch.float64)
    offset = OFFSETS[0] if labels is None else OFFSETS[labels]
    return (z @ W.T + offset + noise).reshape(batch, 1, 2, 2)


def truth(images: Tensor, labels: Tensor | None = None) -> Tensor:
    """log p(x) = log N(x; b, W W^T + sigma^2 I)."""
    offset = OFFSETS[0] if labels is None else OFFSETS[labels]
    covariance = W @ W.T + SIGMA**2 * torch.eye(4, dtype=torch.float64)
    marginal: Distribution = MultivariateNormal(offset, covariance)
    return marginal.log_prob(images.flatten(1))


def loss_of(
    networks: nn.ModuleDict, batch: int = BATCH, step: int = 0, **config: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    objective = Variational(VariationalConfig.model_validate(config))
    return objective.loss(
        "elbo", networks, Batch(draw_images(batch), None, make_noise(batch)), step
    )


def objective() -> Variational:
    return Variational(VariationalConfig())


def test_elbo_of_one_draw_by_hand() -> None:
    networks, images = make_networks(Encoder(widen=1.5, shift=0.3)), draw_images()
    posterior = networks["encoder"](images, None).base_dist
    mean, stddev = posterior.mean.detach(), posterior.stddev.detach()
    z = mean + stddev * make_noise().normal(2).double()
    residual = images.flatten(1) - z @ W.T - OFFSETS[0]
    log_p = -residual.square() / (2 * SIGMA**2) - math.log(SIGMA) - math.log(2 * math.pi) / 2
    kl = (mean.square() + stddev.square() - 1) / 2 - stddev.log()
    loss, logs = loss_of(networks)
    assert logs["nll"].item() == pytest.approx(-log_p.sum(1).mean().item())
    assert logs["kl"].item() == pytest.approx(kl.sum(1).mean().item())
    assert logs["elbo"].item() == pytest.approx((log_p.sum(1) - kl.sum(1)).mean().item())
    assert loss.item() == pytest.approx(-logs["elbo"].item())


def test_elbo_of_the_true_posterior_is_the_log_likelihood() -> None:
    networks, images = make_networks(), draw_images()
    draws = [
        objective().loss("elbo", networks, Batch(images, None, make_noise(seed=seed)), 0)[1]["elbo"]
        for seed in range(200)
    ]
    expected = truth(images).mean().item()
    assert torch.stack(draws).mean().item() == pytest.approx(expected, abs=0.05)


def test_elbo_of_another_posterior_is_lower() -> None:
    _, exact = loss_of(make_networks())
    _, other = loss_of(make_networks(Encoder(widen=2.0, shift=0.5)))
    assert other["elbo"] < exact["elbo"] - 1


@pytest.mark.parametrize("samples", [1, 7])
@pytest.mark.parametrize("conditional", [False, True])
def test_log_likelihood_with_the_true_posterior_is_exact(samples: int, conditional: bool) -> None:
    labels = torch.arange(BATCH) % 2 if conditional else None
    images = draw_images(labels=labels)
    found = objective().log_likelihood(make_networks(), images, labels, make_noise(), samples)
    assert found.shape == (BATCH,)
    assert found.tolist() == pytest.approx(truth(images, labels).tolist(), abs=1e-9)


def test_log_likelihood_bound_rises_to_the_truth_with_more_samples() -> None:
    networks, images = make_networks(Encoder(widen=1.6, shift=0.15)), draw_images()
    one, ten, many = (
        objective().log_likelihood(networks, images, None, make_noise(), k).mean().item()
        for k in (1, 10, 1000)
    )
    expected = truth(images).mean().item()
    assert one < ten < many
    assert one < expected - 0.3
    assert many == pytest.approx(expected, abs=0.02)


def test_log_likelihood_is_the_log_of_the_mean_importance_weight() -> None:
    networks, images, samples = make_networks(Encoder(widen=1.6, shift=0.15)), draw_images(3), 4
    posterior = networks["encoder"](images, None)
    noise, weights = make_noise(3), []
    for _ in range(samples):
        z = posterior.mean + posterior.stddev * noise.normal(2).double()
        log_p = networks["decoder"](z, None).log_prob(images)
        log_prior = (-z.square() - math.log(2 * math.pi)).sum(1) / 2
        weights.append((log_p + log_prior - posterior.log_prob(z)).exp())
    expected = torch.stack(weights).mean(0).log().tolist()
    found = objective().log_likelihood(networks, images, None, make_noise(3), samples)
    assert found.tolist() == pytest.approx(expected)


def test_log_likelihood_is_finite_where_the_weights_underflow() -> None:
    images = draw_images(2) + 40
    found = objective().log_likelihood(make_networks(), images, None, make_noise(2), 3)
    assert found.tolist() == pytest.approx(truth(images).tolist(), rel=1e-9)
    assert (found < -1000).all()


@pytest.mark.parametrize("samples", [0, -1])
def test_log_likelihood_needs_a_sample(samples: int) -> None:
    with pytest.raises(UnsupportedError, match="at least one sample"):
        objective().log_likelihood(make_networks(), draw_images(), None, make_noise(), samples)


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_distributions_may_have_a_batch_shape_of_all_dimensions(name: str) -> None:
    other = (
        make_networks(encoder=Encoder(independent=False))
        if name == "encoder"
        else make_networks(decoder=Decoder(summed=False))
    )
    assert loss_of(other)[0].item() == pytest.approx(loss_of(make_networks())[0].item())
    images = draw_images(2)
    found = objective().log_likelihood(other, images, None, make_noise(2), 1)
    assert found.tolist() == pytest.approx(truth(images).tolist())


def test_the_one_phase_gives_gradients_to_both_networks() -> None:
    networks = make_networks(Encoder(widen=1.5))
    loss, logs = loss_of(networks)
    torch.autograd.backward(loss)
    used = dict(networks.named_parameters())
    assert used.pop("decoder.offsets").grad is not None  # unconditional: one row of it has none
    assert all(p.grad is not None and bool(p.grad.all()) for p in used.values())
    assert loss.ndim == 0
    assert all(log.ndim == 0 and not log.requires_grad for log in logs.values())
    (phase,) = objective().phases
    assert (phase.name, phase.trains, phase.every) == ("elbo", Variational.roles, 1)
    assert Variational.roles == Variational.sampling_roles == {"encoder", "decoder"}


def test_the_loss_draws_from_the_noise_of_the_batch_alone() -> None:
    torch.manual_seed(0)
    first = loss_of(make_networks())[0]
    torch.manual_seed(1)
    assert loss_of(make_networks())[0].item() == first.item()
    images = draw_images()
    other = objective().loss("elbo", make_networks(), Batch(images, None, make_noise(seed=1)), 0)[0]
    assert other.item() != first.item()


def test_labels_reach_both_networks() -> None:
    labels = torch.arange(BATCH) % 2
    images = draw_images(labels=labels)
    right = objective().loss("elbo", make_networks(), Batch(images, labels, make_noise()), 0)[0]
    wrong = objective().loss("elbo", make_networks(), Batch(images, 1 - labels, make_noise()), 0)[0]
    assert right < wrong


def test_sampling_encoding_and_reconstructing() -> None:
    networks, variational = make_networks(), objective()
    for protocol in (CanEncode, CanReconstruct, CanInterpolate, HasLogLikelihood):
        assert isinstance(variational, protocol)
    labels = torch.tensor([1, 0, 1])
    latents = variational.latents(networks, Noise(0, range(3)))
    assert torch.equal(latents, Noise(0, range(3)).normal(2).double())
    expected = (latents @ W.T + OFFSETS[labels]).clamp(-1, 1).reshape(3, 1, 2, 2)
    assert torch.allclose(variational.decode(networks, latents, labels), expected)
    sample = variational.sample(networks, Noise(0, range(3)), labels)
    assert torch.allclose(sample, expected)
    assert not sample.requires_grad

    images = draw_images(3, labels)
    precision = 1 + W.square().sum(0) / SIGMA**2
    means = (images.flatten(1) - OFFSETS[labels]) @ W / SIGMA**2 / precision
    assert torch.allclose(variational.encode(networks, images, labels), means)
    reconstruction = variational.reconstruct(networks, images, labels)
    assert torch.allclose(reconstruction, variational.decode(networks, means, labels))


def test_the_loss_is_float32_under_autocast() -> None:
    networks = make_networks().float()
    images = draw_images().float()
    exact, _ = objective().loss("elbo", networks, Batch(images, None, make_noise()), 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, logs = objective().loss("elbo", networks, Batch(images, None, make_noise()), 0)
    assert loss.dtype == logs["kl"].dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.1)
    assert loss.item() != exact.item()  # so autocast was on
