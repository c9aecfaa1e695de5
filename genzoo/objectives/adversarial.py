"""Generative adversarial networks: a generator and a discriminator trained against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genzoo.noise import NoiseSource
from genzoo.objectives.augmentation import augment
from genzoo.objectives.base import Answer, Batch, Objective, Phase
from genzoo.objectives.common import at_least_float32, prior_latents
from genzoo.objectives.configs import AdversarialConfig
from genzoo.objectives.penalties import (
    penalty_factor,
    wgan_gp,
    zero_centred_gradient_penalty,
    zero_centred_gradient_penalty_in_float32,
)

__all__ = ["Adversarial", "AdversarialLoss", "losses"]


class AdversarialLoss(NamedTuple):
    """Two functions of (real_logits (B,), fake_logits (B,)), each to a scalar to minimize.

    `paired`: the generator's looks at the real logits too.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    paired: bool = False


def _logistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log s(D(x))] - E[log(1 - s(D(G(z))))], s the sigmoid (Goodfellow et al. 2014, eq. 1)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def _non_saturating_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log s(D(G(z)))] (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake).mean()


def _minimax_generator(real: Tensor, fake: Tensor) -> Tensor:
    """E[log(1 - s(D(G(z))))] (Goodfellow et al. 2014, eq. 1)."""
    return -F.softplus(fake).mean()


def _least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E[(D(x) - 1)^2] + 1/2 E[D(G(z))^2] (Mao et al. 2017, eq. 9)."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def _least_squares_generator(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E[(D(G(z)) - 1)^2] (Mao et al. 2017, eq. 9)."""
    return (fake - 1).square().mean() / 2


def _hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))] (Miyato et al. 2018, eq. 16)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def _wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E[D(G(z))] - E[D(x)], with D kept Lipschitz by a penalty (Arjovsky et al. 2017, eq. 2)."""
    return fake.mean() - real.mean()


def _linear_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-E[D(G(z))] (Arjovsky et al. 2017, eq. 2; Miyato et al. 2018, eq. 17)."""
    return -fake.mean()


def _relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log s(D(x) - D(G(z)))] over pairs (Huang et al. 2024, eq. 2, D high on real ones)."""
    return F.softplus(fake - real).mean()


def _relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log s(D(G(z)) - D(x))] over pairs (Huang et al. 2024, eq. 2, likewise)."""
    return F.softplus(real - fake).mean()


losses: Mapping[str, AdversarialLoss] = MappingProxyType(
    {
        "non-saturating": AdversarialLoss(_logistic_discriminator, _non_saturating_generator),
        "minimax": AdversarialLoss(_logistic_discriminator, _minimax_generator),
        "least-squares": AdversarialLoss(_least_squares_discriminator, _least_squares_generator),
        "hinge": AdversarialLoss(_hinge_discriminator, _linear_generator),
        "wasserstein": AdversarialLoss(_wasserstein_discriminator, _linear_generator),
        "relativistic": AdversarialLoss(
            _relativistic_discriminator, _relativistic_generator, paired=True
        ),
    }
)


class Adversarial(Objective):
    """A generator learns to make what a discriminator takes for real (Goodfellow et al. 2014).

    `generator(z (B, Z), labels) -> images`, with an int attribute `latent_dim`;
    `discriminator(images, labels) -> logits (B,)`, high on real ones. Fakes get the batch's labels.
    """

    roles: frozenset[str] = frozenset({"generator", "discriminator"})
    sampling_roles: frozenset[str] = frozenset({"generator"})

    def __init__(self, config: AdversarialConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The discriminator's, then the generator's on every `discriminator_steps`-th step."""
        return (
            Phase("discriminator", frozenset({"discriminator"})),
            Phase("generator", frozenset({"generator"}), every=self.config.discriminator_steps),
        )

    def loss(
        self, phase: str, networks: nn.ModuleDict, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar loss of `phase`, and detached scalars to log.

        Discriminator: `loss` with and `adversarial` without penalties, mean `real_logits` and
        `fake_logits`, and on the steps that have them the penalties `r1`, `r2` and `wgan_gp`, not
        yet weighted. Generator: `loss`.
        """
        if phase == "discriminator":
            return self._discriminator_loss(networks, batch, step)
        return self._generator_loss(networks, batch)

    def _discriminator_loss(
        self, networks: nn.ModuleDict, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        generator, discriminator = networks["generator"], networks["discriminator"]
        weights = self._penalty_weights(step)
        # In float32 the penalties differentiate the logits that the loss is made of, which saves
        # two of four forwards. Under autocast those are too coarse to be differentiated twice.
        autocast = torch.is_autocast_enabled(batch.images.device.type)
        with torch.no_grad():
            fake = generator(prior_latents(generator, batch.noise), batch.labels)
            fake = augment(fake, self.config.augmentation, batch.noise)
            real = augment(batch.images, self.config.augmentation, batch.noise)
        real = real.detach()  # the batch is not ours to change
        real.requires_grad_("r1" in weights and not autocast)
        fake.requires_grad_("r2" in weights and not autocast)

        # Never as one batch: BatchNorm in a discriminator would mix the two.
        real_logits = at_least_float32(discriminator(real, batch.labels))
        fake_logits = at_least_float32(discriminator(fake, batch.labels))
        adversarial = losses[self.config.loss].discriminator(real_logits, fake_logits)

        def zero_centred(logits: Tensor, images: Tensor) -> Tensor:
            if autocast:
                return zero_centred_gradient_penalty_in_float32(discriminator, images, batch.labels)
            return zero_centred_gradient_penalty(logits, images)

        penalties: dict[str, Tensor] = {}
        if "r1" in weights:
            penalties["r1"] = zero_centred(real_logits, real)
        if "r2" in weights:
            penalties["r2"] = zero_centred(fake_logits, fake)
        if "wgan_gp" in weights:
            penalties["wgan_gp"] = wgan_gp(discriminator, real, fake, batch.labels, batch.noise)
        loss = adversarial
        for name, penalty in penalties.items():
            loss = loss + weights[name] * penalty
        logs = {
            "loss": loss,
            "adversarial": adversarial,
            "real_logits": real_logits.mean(),
            "fake_logits": fake_logits.mean(),
            **penalties,
        }
        return loss, {name: value.detach() for name, value in logs.items()}

    def _penalty_weights(self, step: int) -> dict[str, float]:
        """Return the penalties that apply at `step`, and their weights there."""
        config = self.config.penalties
        factor = penalty_factor(config, step)
        weights = {"r1": config.r1, "r2": config.r2, "wgan_gp": config.wgan_gp}
        return {name: factor * weight for name, weight in weights.items() if factor * weight > 0}

    def _generator_loss(
        self, networks: nn.ModuleDict, batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        generator, discriminator = networks["generator"], networks["discriminator"]
        fake = generator(prior_latents(generator, batch.noise), batch.labels)
        fake = augment(fake, self.config.augmentation, batch.noise)
        fake_logits = at_least_float32(discriminator(fake, batch.labels))
        adversarial = losses[self.config.loss]
        if adversarial.paired:
            with torch.no_grad():
                real = augment(batch.images, self.config.augmentation, batch.noise)
                real_logits = at_least_float32(discriminator(real, batch.labels))
        else:  # saves a forward; a loss that looks at them without saying so shows at once
            real_logits = torch.full_like(fake_logits, torch.nan)
        loss = adversarial.generator(real_logits, fake_logits)
        return loss, {"loss": loss.detach()}

    @torch.no_grad()
    def latents(self, networks: nn.ModuleDict, noise: NoiseSource) -> Tensor:
        """Return latents (N, Z) drawn from the prior N(0, I), one for each row of `noise`."""
        return prior_latents(networks["generator"], noise)

    @torch.no_grad()
    def decode(self, networks: nn.ModuleDict, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1] of latents (N, Z)."""
        images: Tensor = networks["generator"](latents, labels)
        return images

    @torch.no_grad()
    def sample(self, networks: nn.ModuleDict, noise: NoiseSource, labels: Tensor | None) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1], one for each row of `noise`."""
        return self.decode(networks, self.latents(networks, noise), labels)

    def answers(self, role: str, networks: nn.ModuleDict, batch: Batch) -> Iterator[Answer]:
        """Yield the generator's images in [-1, 1], or the discriminator's logits (B,)."""
        network, shape = networks[role], tuple(batch.images.shape)
        if role == "generator":
            images = network(prior_latents(network, batch.noise), batch.labels)
            yield Answer("images", images, shape, within=(-1.0, 1.0))
        else:
            yield Answer("logits", network(batch.images, batch.labels), shape[:1])
