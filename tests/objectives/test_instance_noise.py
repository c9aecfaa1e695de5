"""Instance noise (Sønderby et al. 2017; Arjovsky and Bottou 2017) on all that is judged."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genzoo.noise import StepNoise
from genzoo.objectives.adversarial import Adversarial
from genzoo.objectives.base import Batch
from genzoo.objectives.configs import AdversarialConfig
from genzoo.registry.schema import validate

LATENT, SIDE = 3, 4


def objective(**config: Any) -> Adversarial:
    return Adversarial(validate(AdversarialConfig, config, source="test"))


class Watcher(nn.Module):
    """A discriminator that keeps what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(SIDE * SIDE, 1)
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        self.seen.append(images.detach())
        logits: Tensor = self.linear(images.flatten(1))
        return logits[:, 0]


class Grey(nn.Module):
    """A generator of grey images."""

    latent_dim = LATENT

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.25))

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        return self.level.expand(len(latents), 1, SIDE, SIDE)


def watched(
    phase: str, count: int = 2000, step: int = 0, rows: slice = slice(None), **config: Any
) -> list[Tensor]:
    """Return what the discriminator sees of grey images: of -0.5 real ones, of 0.25 generated."""
    watcher = Watcher()
    networks = nn.ModuleDict({"generator": Grey(), "discriminator": watcher})
    noise = StepNoise(0, step, stream="test", batch_size=count, rows=rows)
    images = torch.full((len(noise), 1, SIDE, SIDE), -0.5)
    loss, _ = objective(**config).loss(phase, networks, Batch(images, None, noise), step)
    torch.autograd.backward(loss)
    return watcher.seen


@pytest.mark.parametrize("phase", ["discriminator", "generator"])
def test_all_that_the_discriminator_sees_has_gaussian_noise_of_its_own(phase: str) -> None:
    seen = watched(phase, loss="relativistic", instance_noise=0.2)
    real, fake = sorted(seen, key=lambda images: images.mean().item())
    noises = torch.stack([real + 0.5, fake - 0.25]).flatten(1) / 0.2
    moments = torch.stack([noises.pow(k).mean(1) for k in (1, 2, 3, 4)], dim=1)
    for found in moments.tolist():
        assert found == pytest.approx([0, 1, 0, 3], abs=0.15)  # those of N(0, 1)
    # Independent: of the two kinds of images, of images and of pixels.
    assert torch.corrcoef(noises)[0, 1].item() == pytest.approx(0, abs=0.03)
    images = noises[0].view(-1, SIDE * SIDE)
    between_images = torch.corrcoef(torch.stack([images[:-1].flatten(), images[1:].flatten()]))
    assert between_images[0, 1].item() == pytest.approx(0, abs=0.03)
    between_pixels = torch.corrcoef(images.T) - torch.eye(SIDE * SIDE)
    assert between_pixels.abs().max() < 0.12


@pytest.mark.parametrize(
    ("settings", "step", "scale"),
    [
        ({}, 10**6, 0.5),
        ({"instance_noise_steps": 100}, 0, 0.5),
        ({"instance_noise_steps": 100}, 25, 0.375),
        ({"instance_noise_steps": 100}, 99, 0.005),
        ({"instance_noise_steps": 100}, 100, 0.0),
        ({"instance_noise_steps": 100}, 500, 0.0),
    ],
)
def test_instance_noise_falls_linearly_to_nothing(
    settings: dict[str, int], step: int, scale: float
) -> None:
    for images in watched("discriminator", step=step, instance_noise=0.5, **settings):
        assert images.std().item() == pytest.approx(scale, rel=0.02)


def test_each_process_sees_its_rows_of_the_same_noise() -> None:
    whole = watched("discriminator", 8, instance_noise=0.5)
    halves = (slice(0, 4), slice(4, 8))
    parts = [watched("discriminator", 8, rows=rows, instance_noise=0.5) for rows in halves]
    for images, first, second in zip(whole, *parts, strict=True):
        assert torch.equal(images, torch.cat([first, second]))


@pytest.mark.parametrize("phase", ["discriminator", "generator"])
def test_once_it_is_gone_noise_is_not_drawn_and_changes_no_bit(phase: str) -> None:
    plain = {"loss": "relativistic", "penalties": {"wgan_gp": 1.0}}  # which draws after it
    gone = objective(**plain, instance_noise=0.5, instance_noise_steps=7)
    networks = nn.ModuleDict({"generator": Grey(), "discriminator": Watcher()})

    def loss(adversarial: Adversarial) -> Tensor:
        noise = StepNoise(0, 7, stream="test", batch_size=4, rows=slice(None))
        images = torch.linspace(-1, 1, 4 * SIDE * SIDE).view(4, 1, SIDE, SIDE)
        return adversarial.loss(phase, networks, Batch(images, None, noise), 7)[0]

    one, other = loss(gone), loss(objective(**plain))
    assert torch.equal(one, other)
