"""Variational autoencoders: an encoder and a decoder trained to raise a bound on the likelihood."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from genzoo.errors import PluginError, UnsupportedError
from genzoo.noise import NoiseSource
from genzoo.objectives.base import Answer, Batch, Objective, Phase
from genzoo.objectives.common import at_least_float32, prior_latents
from genzoo.objectives.configs import VariationalConfig
from genzoo.processes import global_mean

__all__ = ["FlowPrior", "Variational", "kl_from_standard_normal"]


@runtime_checkable
class FlowPrior(Protocol):
    """What the role `prior` is: an invertible map between latents and N(0, I), given the class."""

    def __call__(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return base (B, Z) and log_det (B,): log p(z | labels) = log N(base; 0, I) + log_det."""

    def inverse(self, base: Tensor, labels: Tensor | None) -> Tensor:
        """Return the latents z (B, Z) that are mapped to base (B, Z)."""


class Variational(Objective):
    """Auto-encoding variational Bayes (Kingma & Welling 2014).

    `encoder(images, labels) -> Normal` over z (B, Z), in `Independent` or not: z is its mean plus
    its stddev times the batch's own noise, so it must be a diagonal Gaussian.
    `decoder(z (B, Z), labels) -> Distribution` over images in [-1, 1], with an int attribute
    `latent_dim`, Z.

    The prior is N(0, I), or learned: then there is a third role, `prior`, a FlowPrior (Chen et al.
    2017, arXiv:1611.02731), and what the methods below call latents are its base coordinates, where
    it is N(0, I), so that draws and walks are made as without it.
    """

    roles: frozenset[str] = frozenset({"encoder", "decoder"})
    sampling_roles: frozenset[str] = roles

    def __init__(self, config: VariationalConfig) -> None:
        super().__init__()
        self.config = config
        self.learns_prior = config.prior == "learned"
        if self.learns_prior:
            self.roles = self.sampling_roles = self.roles | {"prior"}

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One phase that trains all networks."""
        return (Phase("elbo", self.roles),)

    def loss(
        self, phase: str, networks: nn.ModuleDict, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the batch mean of nll + kl_weight * kl, and detached scalars to log.

        They are `loss`, `nll` (of one draw of z), `kl`, `elbo` = -(nll + kl) in nats per image, and
        `kl_weight`. Free bits change the loss, not the logged `kl`; they take the mean over all
        processes. With a learned prior the KL is of that one draw as well, and has no parts
        that belong to a dimension: free bits hold for the latent as a whole, free_bits * Z nats.
        """
        posterior = _posterior(networks, batch.images, batch.labels)
        noise_z = _noise_like(posterior, batch.noise)
        z = posterior.mean + posterior.stddev * noise_z
        nll = -_log_prob(networks, batch.images, z, batch.labels).mean()

        if self.learns_prior:
            kl_parts = -self._log_ratio(networks, posterior, noise_z, z, batch.labels).mean(0, True)
            free = self.config.free_bits * z.shape[1]
        else:
            kl_parts = kl_from_standard_normal(posterior).mean(0)  # (Z,)
            free = self.config.free_bits
        kl = kl_parts.sum()
        # Kingma et al. 2016, appendix C.8: below `free` a part of the KL has no gradient.
        penalized = global_mean(kl_parts).clamp(min=free).sum()
        kl_weight = self._kl_weight(step)
        loss = nll + kl_weight * penalized

        logs = {"loss": loss, "nll": nll, "kl": kl, "elbo": -(nll + kl)}
        detached = {name: value.detach() for name, value in logs.items()}
        return loss, {**detached, "kl_weight": torch.full_like(detached["kl"], kl_weight)}

    def _kl_weight(self, step: int) -> float:
        """Return the weight at `step`, which counts from 0: linear from 0 to beta, then beta."""
        warmup = self.config.warmup_steps
        return self.config.beta * (min(step / warmup, 1.0) if warmup else 1.0)

    def _log_ratio(
        self,
        networks: nn.ModuleDict,
        posterior: Normal,
        noise_z: Tensor,
        z: Tensor,
        labels: Tensor | None,
    ) -> Tensor:
        """Return log p(z | labels) - log q(z | x) (B,) of z = mean + stddev * noise_z (B, Z)."""
        base, log_det = z, torch.zeros_like(z[:, 0])
        if self.learns_prior:
            base, log_det = _flow(networks)(z, labels)
        # log q by the noise itself: recovered from z it would lose its digits where the posterior
        # is narrow.
        return ((noise_z.square() - base.square()) / 2 + posterior.stddev.log()).sum(1) + log_det

    @torch.no_grad()
    def latents(self, networks: nn.ModuleDict, noise: NoiseSource) -> Tensor:
        """Return latents (N, Z) drawn from the prior, one for each row of `noise`."""
        return prior_latents(networks["decoder"], noise)

    @torch.no_grad()
    def decode(self, networks: nn.ModuleDict, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Return the expected images (N, C, H, W) in [-1, 1] of latents (N, Z)."""
        return self._likelihood(networks, latents, labels).mean

    def _likelihood(
        self, networks: nn.ModuleDict, latents: Tensor, labels: Tensor | None
    ) -> Distribution:
        z = _flow(networks).inverse(latents, labels) if self.learns_prior else latents
        likelihood: Distribution = networks["decoder"](z, labels)
        return likelihood

    @torch.no_grad()
    def sample(self, networks: nn.ModuleDict, noise: NoiseSource, labels: Tensor | None) -> Tensor:
        """Return the images (N, C, H, W) in [-1, 1] of draws from the prior: expected, or drawn.

        Raises PluginError where they are to be drawn from a likelihood without `quantile`.
        """
        latents = self.latents(networks, noise)
        if self.config.samples == "expected":
            return self.decode(networks, latents, labels)
        likelihood = self._likelihood(networks, latents, labels)
        if not hasattr(likelihood, "quantile"):
            raise PluginError(
                f"The decoder's {type(likelihood).__name__} cannot be drawn from by noise.",
                hint="Use a likelihood of genzoo.objectives.likelihoods, or samples: expected.",
            )
        uniform = noise.uniform(likelihood.event_shape.numel())
        images: Tensor = likelihood.quantile(uniform.view(-1, *likelihood.event_shape))
        return images.clamp(-1, 1)

    @torch.no_grad()
    def encode(self, networks: nn.ModuleDict, images: Tensor, labels: Tensor | None) -> Tensor:
        """Return the latents (B, Z) of the posterior means of images (B, C, H, W) in [-1, 1]."""
        z = _posterior(networks, images, labels).mean
        return _flow(networks)(z, labels)[0] if self.learns_prior else z

    @torch.no_grad()
    def reconstruct(self, networks: nn.ModuleDict, images: Tensor, labels: Tensor | None) -> Tensor:
        """Return the expected images (B, C, H, W) in [-1, 1] of the posterior means."""
        # As `decode` of `encode`, without the rounding of a prior's way there and back.
        return _expected_images(networks, _posterior(networks, images, labels).mean, labels)

    @torch.no_grad()
    def is_probability(
        self, networks: nn.ModuleDict, images: Tensor, labels: Tensor | None
    ) -> bool:
        """Return whether p(image | z) is a probability of such images (B, C, H, W) in [-1, 1]."""
        z = _posterior(networks, images, labels).mean
        support = networks["decoder"](z, labels).support
        return bool(support.is_discrete) and bool(support.check(images).all())

    @torch.no_grad()
    def log_likelihood(
        self,
        networks: nn.ModuleDict,
        images: Tensor,
        labels: Tensor | None,
        noise: NoiseSource,
        samples: int,
    ) -> Tensor:
        """Return a lower bound on log p(image) in nats per image (B,), tighter with more `samples`.

        The importance-weighted bound of Burda et al. 2016, eq. 8; of a density or of a probability,
        as the decoder's likelihood is. Raises UnsupportedError for fewer than one sample.
        """
        if samples < 1:
            raise UnsupportedError(
                f"A log-likelihood needs at least one sample, not {samples}.",
                hint="Ask for 1 or more; 100 give a fair bound.",
            )
        posterior = _posterior(networks, images, labels)
        total = torch.full_like(posterior.mean[:, 0], -torch.inf)
        for _ in range(samples):  # one draw at a time, so that memory does not grow with `samples`
            noise_z = _noise_like(posterior, noise)
            z = posterior.mean + posterior.stddev * noise_z
            log_ratio = self._log_ratio(networks, posterior, noise_z, z, labels)
            total = torch.logaddexp(total, _log_prob(networks, images, z, labels) + log_ratio)
        return total - torch.log(torch.full_like(total, samples))

    def answers(self, role: str, networks: nn.ModuleDict, batch: Batch) -> Iterator[Answer]:
        """Yield the means and deviations of z (B, Z), what images are expected, or the flow's base.

        Of an encoder, a decoder, a prior; and of each the log-density (B,) that it gives.
        """
        shape = tuple(batch.images.shape)
        z = prior_latents(networks["decoder"], batch.noise)
        if role == "encoder":
            posterior = _posterior(networks, batch.images, batch.labels)
            yield Answer("means of z", posterior.mean, tuple(z.shape))
            yield Answer("deviations of z", posterior.stddev, tuple(z.shape), (0.0, torch.inf))
        elif role == "decoder":
            images = _expected_images(networks, z, batch.labels)
            yield Answer("expected images", images, shape, (-1.0, 1.0))
            log_probs = _log_prob(networks, batch.images, z, batch.labels)
            yield Answer("log-probabilities of images", log_probs, shape[:1])
        else:
            base, log_det = _flow(networks)(z, batch.labels)
            yield Answer("base coordinates", base, tuple(z.shape))
            yield Answer("log-determinants", log_det, shape[:1])
            with torch.no_grad():  # as it is drawn: nothing is learned through the inverse
                back = _flow(networks).inverse(base, batch.labels)
            yield Answer("errors of the inverse", back - z, tuple(z.shape), (-1e-2, 1e-2))


def _posterior(networks: nn.ModuleDict, images: Tensor, labels: Tensor | None) -> Normal:
    """Return q(z | x) with batch shape (B, Z), in float32 at least."""
    posterior: Distribution = networks["encoder"](images, labels)
    while isinstance(posterior, Independent):
        posterior = posterior.base_dist
    if not isinstance(posterior, Normal):
        raise PluginError(
            f"The encoder gives a {type(posterior).__name__} over z.",
            hint="The variational objective needs a Normal of shape (B, Z), in Independent or not.",
        )
    mean, stddev = at_least_float32(posterior.mean), at_least_float32(posterior.stddev)
    return Normal(mean, stddev, validate_args=False)  # validation would wait for the device


def _flow(networks: nn.ModuleDict) -> FlowPrior:
    prior = networks["prior"]
    if not isinstance(prior, FlowPrior):
        raise PluginError(
            f"The prior, a {type(prior).__name__}, has no method `inverse`.",
            hint="A learned prior is a flow: prior(z, labels) -> (base, log_det), and "
            "prior.inverse(base, labels) -> z.",
        )
    return prior


def kl_from_standard_normal(posterior: Normal) -> Tensor:
    """Return KL(N(mean, stddev^2) || N(0, 1)) (B, Z), in nats.

    In the order of `torch.distributions.kl_divergence`, to the same bits, but without a second
    Normal to subtract and to divide by: of a small step, that is a part that can be told.
    """
    variance = posterior.stddev.pow(2)
    return 0.5 * (variance + posterior.mean.pow(2) - 1 - variance.log())


def _noise_like(posterior: Normal, noise: NoiseSource) -> Tensor:
    return noise.normal(posterior.mean.shape[1]).to(posterior.mean.dtype)


def _expected_images(networks: nn.ModuleDict, z: Tensor, labels: Tensor | None) -> Tensor:
    likelihood: Distribution = networks["decoder"](z, labels)
    return likelihood.mean


def _log_prob(networks: nn.ModuleDict, images: Tensor, z: Tensor, labels: Tensor | None) -> Tensor:
    """Return log p(x | z) in nats per image (B,)."""
    likelihood: Distribution = networks["decoder"](z, labels)
    log_probs = at_least_float32(likelihood.log_prob(images))
    return log_probs.flatten(1).sum(1) if log_probs.ndim > 1 else log_probs
