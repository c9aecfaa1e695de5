"""`toy-moments`: an objective of one phase, which needs nothing but a generator."""

import torch
from torch import Tensor, nn

from genzoo.noise import NoiseSource
from genzoo.objectives.base import Batch, Objective, Phase
from genzoo.objectives.common import prior_latents

from .configs import MomentsConfig


class Moments(Objective):
    """Match the mean and the standard deviation of every pixel over the batch."""

    roles: frozenset[str] = frozenset({"generator"})
    sampling_roles: frozenset[str] = frozenset({"generator"})

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
        """Return the squared distance of the moments, and it and its terms to log."""
        real, fake = batch.images, self._draw(networks, batch.noise, batch.labels)
        mean = (fake.mean(0) - real.mean(0)).square().mean()
        deviation = (fake.std(0) - real.std(0)).square().mean()
        loss = mean + self.config.deviation * deviation
        figures = {"loss": loss, "mean": mean, "deviation": deviation}
        return loss, {name: figure.detach() for name, figure in figures.items()}

    @torch.no_grad()
    def sample(self, networks: nn.ModuleDict, noise: NoiseSource, labels: Tensor | None) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1]."""
        return self._draw(networks, noise, labels)

    def _draw(self, networks: nn.ModuleDict, noise: NoiseSource, labels: Tensor | None) -> Tensor:
        generator = networks["generator"]
        images: Tensor = generator(prior_latents(generator, noise), labels)
        return images
