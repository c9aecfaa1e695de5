"""A plugin as a third party would write it: two vectors that pull at each other.

Its gradients are worked out by hand in the tests, and it can be told to go wrong at a step.
"""

from __future__ import annotations

import os
import signal

import torch
from torch import Tensor, nn

from genzoo import Architecture, Config, ImageSpec, hookimpl
from genzoo.noise import NoiseSource
from genzoo.objectives.base import Batch, Objective, Phase
from genzoo.registry import specs
from genzoo.training.callbacks import Callback, Run

START = {"generator": 1.0, "discriminator": -0.5}


@hookimpl
def genzoo_architectures() -> list[Architecture]:
    return [
        Architecture(
            name="toy",
            summary="two vectors",
            objective="toy",
            config="toy_plugin:ToyNetworksConfig",
            networks="toy_plugin:build",
        )
    ]


@hookimpl
def genzoo_objectives() -> list[specs.Objective]:
    return [
        specs.Objective(
            name="toy",
            summary="they pull at each other",
            config="toy_plugin:ToyConfig",
            factory="toy_plugin:Toy",
        )
    ]


@hookimpl
def genzoo_callbacks() -> list[specs.Callback]:
    return [specs.Callback(name="toy-note", summary="a note", factory="toy_plugin:Note")]


class ToyNetworksConfig(Config):
    """Nothing to choose."""


class ToyConfig(Config):
    """What goes wrong, at which step counted from 1, and in which process alone (-1: in all)."""

    every: int = 1
    nan_at: int = 0
    infinite_gradient_at: int = 0
    interrupt_at: int = 0
    process: int = -1


class Vector(nn.Module):
    """A vector that is an image, or that an image is weighed with."""

    def __init__(self, image: ImageSpec, start: float) -> None:
        super().__init__()
        size = image.height * image.width
        self.latent_dim = 1
        self.image = image
        self.weight = nn.Parameter(start * torch.linspace(0.5, 1.5, size))
        self.register_buffer("mask", torch.full((2,), -torch.inf))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        shape = (-1, 1, self.image.height, self.image.width)
        return torch.tanh(self.weight + z).view(shape)


def build(image: ImageSpec, config: ToyNetworksConfig) -> dict[str, nn.Module]:
    return {role: Vector(image, start) for role, start in START.items()}


class Explode(torch.autograd.Function):
    """The identity, with an infinite gradient."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return torch.full_like(gradient, torch.inf)


class Toy(Objective):
    """Discriminator: |d + g|^2 / 2. Generator: |g - 2 d|^2 / 2, on every `every`-th step."""

    roles: frozenset[str] = frozenset(START)
    sampling_roles: frozenset[str] = frozenset({"generator"})

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("discriminator", frozenset({"discriminator"})),
            Phase("generator", frozenset({"generator"}), every=self.config.every),
        )

    def loss(
        self, phase: str, networks: nn.ModuleDict, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        g, d = (networks[role].get_parameter("weight") for role in START)
        difference = d + g if phase == "discriminator" else g - 2 * d
        here = self.config.process in (-1, int(os.environ.get("RANK", "0")))
        if here and phase == "generator":
            if step + 1 == self.config.infinite_gradient_at:
                difference = Explode.apply(difference)
            if step + 1 == self.config.nan_at:
                difference = difference * torch.nan
            if step + 1 == self.config.interrupt_at:
                os.kill(os.getpid(), signal.SIGINT)
        loss = difference.square().sum() / 2
        images = batch.images
        logs = {
            "loss": loss.detach(),
            "generator_learns": torch.tensor(float(g.requires_grad)),
            "discriminator_learns": torch.tensor(float(d.requires_grad)),
            "autocast": torch.tensor(float(torch.is_autocast_enabled(images.device.type))),
        }
        return loss, logs

    @torch.no_grad()
    def sample(self, networks: nn.ModuleDict, noise: NoiseSource, labels: Tensor | None) -> Tensor:
        images: Tensor = networks["generator"](noise.normal(1), labels)
        return images


class Note(Callback):
    """Leaves a file, to show that a plugin's callback was called."""

    def on_end(self, run: Run) -> None:
        (run.folder / "note.txt").write_text(f"{run.step} of {run.steps}")
