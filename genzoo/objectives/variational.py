"""Variational autoencoders: an encoder and a decoder trained to raise a bound on the likelihood."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from genzoo.errors import PluginError, UnsupportedError
from genzoo.noise import NoiseSource
from genzoo.objectives.base import Batch, Objective, Phase
from genzoo.objectives.common import at_least_float32, prior_latents
from genzoo.objectives.configs import VariationalConfig

__all__ = ["Variational"]


class Variational(Objective):
    """Auto-encoding variational Bayes (Kingma & Welling 2014) with a prior N(0, I).

    `encoder(images, labels) -> Normal` over z (B, Z), in `Independent` or not: z is its mean plus
    its stddev times the batch's own noise, so it must be a diagonal Gaussian.
    `decoder(z (B, Z), labels) -> Distribution` over images in [-1, 1], with an int attribute
    `latent_dim`, Z.
    """

    roles: ClassVar[frozenset[str]] = frozenset({"encoder", "decoder"})
    sampling_roles: ClassVar[frozenset[str]] = frozenset({"encoder", "decoder"})

    def __init__(self, config: VariationalConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One phase that trains both networks."""
        return (Phase("elbo", frozenset({"encoder", "decoder"})),)

    def loss(
        self, phase: str, networks: nn.ModuleDict, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the batch mean of nll + kl_weight * kl, and detached scalars to log.

        They are `loss`, `nll` (of one draw of z), `kl`, `elbo` = -(nll + kl) in nats per image, and
        `kl_weight`. Free bits change the loss, not the logged `kl`; they take the mean over this
        process's rows.
        """
        posterior = _posterior(networks, batch.images, batch.labels)
        z = posterior.mean + posterior.stddev * _noise_like(posterior, batch.noise)
        nll = -_log_prob(networks, batch.images, z, batch.labels).mean()

        kl_per_dimension = kl_divergence(posterior, _prior(posterior)).mean(0)  # (Z,)
        kl = kl_per_dimension.sum()
        # Kingma et al. 2016, appendix C.8: below free_bits a dimension's KL has no gradient.
        penalized = kl_per_dimension.clamp(min=self.config.free_bits).sum()
        kl_weight = self._kl_weight(step)
        loss = nll + kl_weight * penalized

        logs = {"loss": loss, "nll": nll, "kl": kl, "elbo": -(nll + kl)}
        detached = {name: value.detach() for name, value in logs.items()}
        return loss, {**detached, "kl_weight": torch.full_like(detached["kl"], kl_weight)}

    def _kl_weight(self, step: int) -> float:
        """Return the weight at `step`, which counts from 0: linear from 0 to beta, then beta."""
        warmup = self.config.warmup_steps
        return self.config.beta * (min(step / warmup, 1.0) if warmup else 1.0)

    @torch.no_grad()
    def latents(self, networks: nn.ModuleDict, noise: NoiseSource) -> Tensor:
        """Return latents (N, Z) drawn from the prior, one for each row of `noise`."""
        return prior_latents(networks["decoder"], noise)

    @torch.no_grad()
    def decode(self, networks: nn.ModuleDict, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Return the expected images (N, C, H, W) in [-1, 1] of latents (N, Z)."""
        likelihood: Distribution = networks["decoder"](latents, labels)
        return likelihood.mean

    @torch.no_grad()
    def sample(self, networks: nn.ModuleDict, noise: NoiseSource, labels: Tensor | None) -> Tensor:
        """Return the expected images (N, C, H, W) in [-1, 1] of draws from the prior."""
        return self.decode(networks, self.latents(networks, noise), labels)

    @torch.no_grad()
    def encode(self, networks: nn.ModuleDict, images: Tensor, labels: Tensor | None) -> Tensor:
        """Return the posterior means (B, Z) of images (B, C, H, W) in [-1, 1]."""
        return _posterior(networks, images, labels).mean

    @torch.no_grad()
    def reconstruct(self, networks: nn.ModuleDict, images: Tensor, labels: Tensor | None) -> Tensor:
        """Return the expected images (B, C, H, W) in [-1, 1] of the posterior means."""
        return self.decode(networks, self.encode(networks, images, labels), labels)

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
            # log p(z) - log q(z | x) by the noise itself: recovered from z it would lose its digits
            # where the posterior is narrow.
            log_ratio = ((noise_z.square() - z.square()) / 2 + posterior.stddev.log()).sum(1)
            total = torch.logaddexp(total, _log_prob(networks, images, z, labels) + log_ratio)
        return total - torch.log(torch.full_like(total, samples))


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


def _prior(posterior: Normal) -> Normal:
    mean = torch.zeros_like(posterior.mean)
    return Normal(mean, torch.ones_like(mean), validate_args=False)


def _noise_like(posterior: Normal, noise: NoiseSource) -> Tensor:
    return noise.normal(posterior.mean.shape[1]).to(posterior.mean.dtype)


def _log_prob(networks: nn.ModuleDict, images: Tensor, z: Tensor, labels: Tensor | None) -> Tensor:
    """Return log p(x | z) in nats per image (B,)."""
    likelihood: Distribution = networks["decoder"](z, labels)
    log_probs = at_least_float32(likelihood.log_prob(images))
    return log_probs.flatten(1).sum(1) if log_probs.ndim > 1 else log_probs
