"""One-sided label smoothing does what Salimans et al. 2016, section 3.4, say of it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genzoo.errors import ConfigError
from genzoo.noise import StepNoise
from genzoo.objectives.adversarial import Adversarial
from genzoo.objectives.base import Batch
from genzoo.objectives.configs import AdversarialConfig
from genzoo.objectives.losses import losses
from genzoo.registry.schema import validate

ATOMS = 3
REAL = [0, 0, 0, 0, 0, 1, 1, 1, 2, 2]  # p_data = 0.5, 0.3, 0.2
FAKE = [0, 1, 1, 1, 2, 2, 2, 2, 2, 2]  # p_model = 0.1, 0.3, 0.6
WITH_TARGETS = ["non-saturating", "minimax", "least-squares"]


def objective(**config: Any) -> Adversarial:
    return Adversarial(validate(AdversarialConfig, config, source="test"))


class Table(nn.Module):
    """A discriminator of three images, which are one pixel of 0, 1 or 2, with a logit for each."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits, dtype=torch.float64))

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        return self.logits[images.flatten().long()]


class Model(nn.Module):
    """A generator whose batch has each of the three images as often as p_model says."""

    latent_dim = 1

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        return torch.tensor(FAKE, dtype=torch.float64).view(-1, 1, 1, 1)


def table_loss(phase: str, logits: list[float], **config: Any) -> tuple[Tensor, Table]:
    networks = nn.ModuleDict({"generator": Model(), "discriminator": Table(logits)})
    images = torch.tensor(REAL, dtype=torch.float64).view(-1, 1, 1, 1)
    noise = StepNoise(0, 0, stream="test", batch_size=len(REAL), rows=slice(None))
    loss, _ = objective(**config).loss(phase, networks, Batch(images, None, noise), 0)
    table = networks["discriminator"]
    assert isinstance(table, Table)
    return loss, table


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("name", WITH_TARGETS)
def test_smoothed_labels_make_the_papers_discriminator_the_best_one(
    name: str, smoothing: float
) -> None:
    """D(x) = alpha p_data(x) / (p_data(x) + p_model(x)), alpha = 1 - smoothing the real target."""
    pairs = [(REAL.count(atom), FAKE.count(atom)) for atom in range(ATOMS)]
    best = [(1 - smoothing) * real / (real + fake) for real, fake in pairs]
    # The output of least squares is D itself, that of the logistic losses its logit.
    outputs = best if name == "least-squares" else [math.log(p / (1 - p)) for p in best]
    loss, table = table_loss("discriminator", outputs, loss=name, label_smoothing=smoothing)
    (gradient,) = torch.autograd.grad(loss, table.logits, retain_graph=True)
    assert gradient.tolist() == pytest.approx([0, 0, 0], abs=1e-12)
    for atom in range(ATOMS):
        for change in (-0.1, 0.1):
            moved = [value + change * (i == atom) for i, value in enumerate(outputs)]
            other, _ = table_loss("discriminator", moved, loss=name, label_smoothing=smoothing)
            assert other > loss


@pytest.mark.parametrize("name", WITH_TARGETS)
def test_smoothed_labels_are_the_targets_of_real_images_alone(name: str) -> None:
    outputs = [0.4, -0.7, 1.3]
    loss, table = table_loss("discriminator", outputs, loss=name, label_smoothing=0.1)
    real, fake = table.logits[REAL], table.logits[FAKE]
    zeros, targets = torch.zeros_like(fake), torch.full_like(real, 0.9)
    if name == "least-squares":
        expected = (F.mse_loss(real, targets) + F.mse_loss(fake, zeros)) / 2
    else:
        expected = F.binary_cross_entropy_with_logits(real, targets)
        expected = expected + F.binary_cross_entropy_with_logits(fake, zeros)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    smoothed, _ = table_loss("generator", outputs, loss=name, label_smoothing=0.1)
    plain, _ = table_loss("generator", outputs, loss=name)
    assert torch.equal(smoothed, plain)


@pytest.mark.parametrize("name", sorted(losses))
def test_a_loss_without_targets_refuses_to_smooth_them(name: str) -> None:
    assert (losses[name].smoothed is not None) == (name in WITH_TARGETS)
    if name in WITH_TARGETS:
        assert objective(loss=name, label_smoothing=0.1).config.label_smoothing == 0.1
        return
    with pytest.raises(ConfigError) as caught:
        objective(loss=name, label_smoothing=0.1)
    assert "non-saturating, minimax, least-squares" in caught.value.message
    assert f"{name} has none" in caught.value.message


def test_a_target_that_is_meant_where_the_smoothing_stands_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"label_smoothing: found 0\.9"):
        objective(label_smoothing=0.9)
