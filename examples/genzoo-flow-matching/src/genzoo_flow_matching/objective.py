"""Flow matching: a network learns the velocity that carries noise to images along straight ways."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from genzoo import GenzooError
from genzoo.noise import NoiseSource
from genzoo.objectives.base import Answer, Batch, Objective, Phase
from genzoo_flow_matching.config import FlowMatchingConfig

__all__ = ["NO_LABEL", "FlowMatching"]

NO_LABEL = -1
"""Stands for the label of an image that is learned, or drawn, without it."""


class FlowMatching(Objective):
    """Conditional flow matching with optimal-transport paths (Lipman et al. 2023).

    `velocity(x (B, C, H, W), t (B,), labels) -> (B, C, H, W)`, with an attribute `image_shape`, (C,
    H, W): where x goes at time t, from noise at 0 to an image in [-1, 1] at 1. Labels are int64
    (B,), NO_LABEL among them, or None for a model without classes.
    """

    roles: frozenset[str] = frozenset({"velocity"})
    sampling_roles: frozenset[str] = roles

    def __init__(self, config: FlowMatchingConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One phase."""
        return (Phase("velocity", self.roles),)

    def loss(
        self, phase: str, networks: nn.ModuleDict, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean squared error of the velocity (eq. 23), and it as `loss` to log."""
        x, t, labels, target = self._on_the_way(batch)
        loss = (networks["velocity"](x, t, labels).float() - target).square().mean()
        return loss, {"loss": loss.detach()}

    def _on_the_way(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """Return places x (B, C, H, W) at times t (B,), labels, and the velocities there."""
        images, noise = batch.images, batch.noise.normal(*batch.images.shape[1:])
        t = batch.noise.uniform()
        kept = 1 - self.config.sigma_min
        way = t.view(-1, 1, 1, 1)
        x = (1 - kept * way) * noise + way * images  # eq. 22
        return x, t, self._dropped(batch), images - kept * noise

    def _dropped(self, batch: Batch) -> Tensor | None:
        """Return the labels, some of them NO_LABEL (Ho & Salimans 2022, arXiv:2207.12598)."""
        if batch.labels is None:
            return None
        dropped = batch.noise.uniform() < self.config.label_dropout
        return batch.labels.masked_fill(dropped, NO_LABEL)

    @torch.no_grad()
    def latents(self, networks: nn.ModuleDict, noise: NoiseSource) -> Tensor:
        """Return where ways begin: N(0, I), flat (N, C * H * W)."""
        network = networks["velocity"]
        dtype = next(network.parameters()).dtype
        return noise.normal(*_shape(network)).to(dtype).flatten(1)

    @torch.no_grad()
    def decode(self, networks: nn.ModuleDict, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Return the images (N, C, H, W) in [-1, 1] where the ways from latents (N, Z) end."""
        for image in self.path(networks, latents, labels):
            end = image
        return end.clamp(-1, 1)

    @torch.no_grad()
    def sample(self, networks: nn.ModuleDict, noise: NoiseSource, labels: Tensor | None) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1], one for each row of `noise`."""
        return self.decode(networks, self.latents(networks, noise), labels)

    @torch.no_grad()
    def path(
        self, networks: nn.ModuleDict, latents: Tensor, labels: Tensor | None
    ) -> Iterator[Tensor]:
        """Yield the places (N, C, H, W) on the way from latents (N, Z), both ends included."""
        x = latents.view(len(latents), *_shape(networks["velocity"]))
        yield x
        times = torch.linspace(0, 1, self.config.steps + 1, device=x.device).tolist()
        for now, then in pairwise(times):
            slope = self._velocity(networks, x, now, labels)
            if self.config.solver == "heun":
                ahead = self._velocity(networks, x + (then - now) * slope, then, labels)
                slope = (slope + ahead) / 2
            x = x + (then - now) * slope
            yield x

    def _velocity(
        self, networks: nn.ModuleDict, x: Tensor, time: float, labels: Tensor | None
    ) -> Tensor:
        """Return the velocity at x (N, C, H, W), guided: v_0 + w (v_y - v_0)."""
        network, weight = networks["velocity"], self.config.guidance
        t = torch.full((len(x),), time, dtype=x.dtype, device=x.device)
        if labels is None or weight == 1:
            guided: Tensor = network(x, t, labels)
            return guided
        without: Tensor = network(x, t, torch.full_like(labels, NO_LABEL))
        if weight == 0:
            return without
        return torch.lerp(without, network(x, t, labels), weight)

    def answers(self, role: str, networks: nn.ModuleDict, batch: Batch) -> Iterator[Answer]:
        """Yield the velocities (B, C, H, W) at the places where training looks."""
        x, t, _, _ = self._on_the_way(batch)
        velocities = networks[role](x, t, batch.labels)
        yield Answer("velocities", velocities, tuple(batch.images.shape))


def _shape(network: nn.Module) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of the images that a network makes."""
    shape = getattr(network, "image_shape", None)
    if not (isinstance(shape, tuple) and len(shape) == 3):
        raise GenzooError(
            f"{type(network).__name__} does not say which images it makes.",
            hint="Give the network of the role `velocity` an attribute `image_shape`, (C, H, W).",
        )
    return shape
