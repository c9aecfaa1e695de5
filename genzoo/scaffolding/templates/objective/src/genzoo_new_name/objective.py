"""`new-name`: a generator alone, whose images are to have the moments of real ones.

Generative moment matching networks (Li, Swersky & Zemel 2015, arXiv:1502.02761).
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genzoo.noise import NoiseSource
from genzoo.objectives.base import Answer, Batch, Objective, Phase
from genzoo.objectives.common import prior_latents

from .config import NewNameConfig


class NewNameObjective(Objective):
    """Minimize the maximum mean discrepancy between generated and real images."""

    roles = frozenset({"generator"})  # needed to train
    sampling_roles = frozenset({"generator"})  # needed to draw: the weights that are shipped

    def __init__(self, config: NewNameConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of a step, each with an optimizer of its own."""
        return (Phase("generator", trains=frozenset({"generator"})),)

    def loss(
        self, phase: str, networks: nn.ModuleDict, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar to minimize, and detached scalars to log."""
        fake = _features(self._draw(networks, batch.noise, batch.labels), batch.labels)
        real = _features(batch.images, batch.labels)
        loss = self._discrepancy(fake, real)
        return loss, {"loss": loss.detach()}

    def _discrepancy(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return the squared maximum mean discrepancy of rows (B, D), biased (eq. 2)."""
        both = torch.cat([fake, real])
        squares = both.square().sum(1)
        distances = (squares[:, None] + squares[None] - 2 * both @ both.T).clamp(min=0)
        scale = distances.detach().mean()
        kernel = sum((-distances / (b * scale)).exp() for b in self.config.bandwidths)
        sign = torch.ones_like(squares)
        sign[len(fake) :] = -1
        return (sign[:, None] * sign[None] * kernel).sum() / len(fake) ** 2

    @torch.no_grad()
    def sample(self, networks: nn.ModuleDict, noise: NoiseSource, labels: Tensor | None) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1], one for each row of `noise`."""
        return self._draw(networks, noise, labels)

    def answers(self, role: str, networks: nn.ModuleDict, batch: Batch) -> Iterator[Answer]:
        """Yield what a role gives beside what it promises, for `genzoo check`."""
        images = self._draw(networks, batch.noise, batch.labels)
        yield Answer("images", images, tuple(batch.images.shape), within=(-1.0, 1.0))

    def _draw(self, networks: nn.ModuleDict, noise: NoiseSource, labels: Tensor | None) -> Tensor:
        generator = networks["generator"]
        images: Tensor = generator(prior_latents(generator, noise), labels)
        return images


def _features(images: Tensor, labels: Tensor | None) -> Tensor:
    """Return pixels (B, D), and beside them the class, far from each other's."""
    pixels = images.flatten(1)
    if labels is None:
        return pixels
    classes = F.one_hot(labels, int(labels.max()) + 1).to(pixels.dtype)
    return torch.cat([pixels, pixels.shape[1] ** 0.5 * classes], dim=1)
