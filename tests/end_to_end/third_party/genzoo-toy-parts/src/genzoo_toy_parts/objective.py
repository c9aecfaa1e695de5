"""`toy-moments`: an objective of one phase, which needs nothing but a generator."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from genzoo.noise import NoiseSource
from genzoo.objectives.base import Batch, Objective, Phase

from .configs import MomentsConfig


class Moments(Objective):
    """Match the mean and the standard deviation of every pixel over the batch."""

    roles: ClassVar[frozenset[str]] = frozenset({"generator"})
    sampling_roles: ClassVar[frozenset[str]] = frozenset({"generator"})

    def __init__(self, config: MomentsConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One, which trains the generator."""
        return (Phase("generator", frozenset({"generator"})),)

    def loss(
        self, phase: str, networks: nn.ModuleDict, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the squared distance of the moments, and each term to log."""
        real, fake = batch.images, self._draw(networks, batch.noise, batch.labels)
        mean = (fake.mean(0) - real.mean(0)).square().mean()
        deviation = (fake.std(0) - real.std(0)).square().mean()
        figures = {"mean": mean.detach(), "deviation": deviation.detach()}
        return mean + self.config.deviation * deviation, figures

    @torch.no_grad()
    def sample(self, networks: nn.ModuleDict, noise: NoiseSource, labels: Tensor | None) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1]."""
        return self._draw(networks, noise, labels)

    def _draw(self, networks: nn.ModuleDict, noise: NoiseSource, labels: Tensor | None) -> Tensor:
        generator = networks["generator"]
        images: Tensor = generator(noise.normal(generator.latent_dim), labels)
        return images
