"""Generative adversarial networks: a generator and a discriminator trained against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from genzoo.devices import is_exact
from genzoo.noise import NoiseSource
from genzoo.objectives.augmentation import add_instance_noise, augment, instance_noise_scale
from genzoo.objectives.base import Answer, Batch, Objective, Phase
from genzoo.objectives.common import at_least_float32, prior_latents
from genzoo.objectives.configs import AdversarialConfig
from genzoo.objectives.losses import losses
from genzoo.objectives.penalties import (
    penalty_factor,
    wgan_gp,
    zero_centred_gradient_penalty,
    zero_centred_gradient_penalty_in_float32,
)
from genzoo.objectives.stabilizing import (
    Members,
    accuracy,
    focused_mean,
    members,
    normalize_spectrally,
    summed,
)

__all__ = ["Adversarial"]

_NORMALIZED = {
    "none": (),
    "discriminator": ("discriminator",),
    "both": ("discriminator", "generator"),
}


class Adversarial(Objective):
    """A generator learns to make what a discriminator takes for real (Goodfellow et al. 2014).

    `generator(z (B, Z), labels) -> images`, with an int attribute `latent_dim`;
    `discriminator(images, labels) -> logits (B,)`, high on real ones. Fakes get the batch's labels.
    Of several discriminators, each learns as if alone (Durugkar et al. 2017, arXiv:1611.01673).
    """

    roles: frozenset[str] = frozenset({"generator", "discriminator"})
    sampling_roles: frozenset[str] = frozenset({"generator"})

    def __init__(self, config: AdversarialConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def twice_differentiated(self) -> frozenset[str]:
        """The discriminator, where it has a gradient penalty."""
        weights = self.config.penalties
        penalized = weights.r1 > 0 or weights.r2 > 0 or weights.wgan_gp > 0
        return frozenset({"discriminator"} if penalized else ())

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The discriminator's, then the generator's on every `discriminator_steps`-th step."""
        return (
            Phase("discriminator", frozenset({"discriminator"})),
            Phase("generator", frozenset({"generator"}), every=self.config.discriminator_steps),
        )

    def assemble(self, build: Callable[[], dict[str, nn.Module]]) -> dict[str, nn.Module]:
        """Return the architecture's networks, as many discriminators as asked for, normalized."""
        networks = build()
        if self.config.discriminators > 1 and "discriminator" in networks:
            others = (build()["discriminator"] for _ in range(self.config.discriminators - 1))
            networks["discriminator"] = Members([networks["discriminator"], *others])
        for role in _NORMALIZED[self.config.spectral_norm]:
            if role in networks:
                normalize_spectrally(networks[role], role)
        return networks

    def loss(
        self, phase: str, networks: nn.ModuleDict, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar loss of `phase`, and detached scalars to log.

        Discriminator: `loss` with and `adversarial` without penalties, the `accuracy` on pairs of a
        real and a generated image, mean `real_logits` and `fake_logits`, and on the steps that have
        them the penalties `r1`, `r2` and `wgan_gp`, not yet weighted; of several discriminators,
        the means, while the loss is their sum. Generator: `loss`.
        """
        if phase == "discriminator":
            return self._discriminator_loss(networks, batch, step)
        return self._generator_loss(networks, batch, step)

    def _discriminator_loss(
        self, networks: nn.ModuleDict, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        generator, weights = networks["generator"], self._penalty_weights(step)
        with torch.no_grad():
            fake = generator(prior_latents(generator, batch.noise), batch.labels)
            fake = self._seen(fake, batch, step)
            real = self._seen(batch.images, batch, step)
        real = real.detach()  # the batch is not ours to change
        return summed(
            self._member_loss(member, real, fake, batch, weights)
            for member in members(networks["discriminator"])
        )

    def _member_loss(
        self,
        discriminator: nn.Module,
        real: Tensor,
        fake: Tensor,
        batch: Batch,
        weights: Mapping[str, float],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of one discriminator, with penalties of such weights, and scalars."""
        # In float32 the penalties differentiate the logits that the loss is made of, which saves
        # two of four forwards. Those of fewer digits are too coarse to be differentiated twice.
        exact = is_exact(batch.images.device)
        real.requires_grad_("r1" in weights and exact)
        fake.requires_grad_("r2" in weights and exact)

        # Never as one batch: BatchNorm in a discriminator would mix the two.
        real_logits = at_least_float32(discriminator(real, batch.labels))
        fake_logits = at_least_float32(discriminator(fake, batch.labels))
        adversarial = self._adversarial(real_logits, fake_logits)

        def zero_centred(logits: Tensor, images: Tensor) -> Tensor:
            if exact:
                return zero_centred_gradient_penalty(logits, images)
            return zero_centred_gradient_penalty_in_float32(discriminator, images, batch.labels)

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
            "accuracy": accuracy(real_logits, fake_logits),
            "real_logits": real_logits.mean(),
            "fake_logits": fake_logits.mean(),
            **penalties,
        }
        return loss, {name: value.detach() for name, value in logs.items()}

    def _adversarial(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return a discriminator's loss without penalties."""
        chosen, smoothing = losses[self.config.loss], self.config.label_smoothing
        if chosen.smoothed is not None and smoothing:
            return chosen.smoothed(real_logits, fake_logits, smoothing)
        return chosen.discriminator(real_logits, fake_logits)

    def _penalty_weights(self, step: int) -> dict[str, float]:
        """Return the penalties that apply at `step`, and their weights there."""
        config = self.config.penalties
        factor = penalty_factor(config, step)
        weights = {"r1": config.r1, "r2": config.r2, "wgan_gp": config.wgan_gp}
        return {name: factor * weight for name, weight in weights.items() if factor * weight > 0}

    def _generator_loss(
        self, networks: nn.ModuleDict, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        generator, chosen = networks["generator"], losses[self.config.loss]
        fake = generator(prior_latents(generator, batch.noise), batch.labels)
        fake = self._seen(fake, batch, step)
        real = self._seen(batch.images, batch, step) if chosen.paired else None

        def against(discriminator: nn.Module) -> Tensor:
            fake_logits = at_least_float32(discriminator(fake, batch.labels))
            if real is None:
                # Saves a forward; a loss that looks at them without saying so shows at once.
                return chosen.generator(torch.full_like(fake_logits, torch.nan), fake_logits)
            with torch.no_grad():
                real_logits = at_least_float32(discriminator(real, batch.labels))
            return chosen.generator(real_logits, fake_logits)

        found = [against(member) for member in members(networks["discriminator"])]
        loss = focused_mean(found, self.config.discriminator_focus)
        return loss, {"loss": loss.detach()}

    def _seen(self, images: Tensor, batch: Batch, step: int) -> Tensor:
        """Return what a discriminator sees of images (B, C, H, W), real or generated."""
        images = augment(images, self.config.augmentation, batch.noise)
        return add_instance_noise(images, instance_noise_scale(self.config, step), batch.noise)

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
            for member in members(network):
                yield Answer("logits", member(batch.images, batch.labels), shape[:1])
