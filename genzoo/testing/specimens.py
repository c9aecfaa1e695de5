"""Specimens: networks of one zoo config, built anew for each look, and batches to show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from genzoo import devices
from genzoo.building import build_networks, build_objective
from genzoo.data.fitting import TensorImages
from genzoo.loading import untrained
from genzoo.model import Model
from genzoo.noise import Noise
from genzoo.objectives.base import Answer, Batch, KnowsRoles, Objective
from genzoo.registry.config import ZooConfig
from genzoo.registry.specs import ImageSpec
from genzoo.testing.checks import Skipped

__all__ = ["Answers", "Specimen", "recipe", "rows_of"]

Answers = Mapping[str, Sequence[Answer]]
"""What each role answered to one batch."""

_SPREAD = 0.05  # of what is added to weights to bring them away from their start
_LOUD = 4.0  # what weights are multiplied by, to see whether anything holds answers in their range


def recipe(architecture: str, objective: str, image: ImageSpec) -> ZooConfig:
    """Return a zoo config, all of it defaults, for networks that nobody has trained yet."""
    source = f"{architecture} for {image}"
    return untrained(architecture, objective, image, {}, source=source)


@dataclass(frozen=True)
class Specimen:
    """One zoo config under the microscope: the same weights and images at every look."""

    config: ZooConfig

    def __str__(self) -> str:
        return str(self.config.image_spec)

    @cached_property
    def objective(self) -> Objective:
        """The objective, which checks must leave as it is."""
        return build_objective(self.config)

    def networks(
        self, *, training: bool = False, seed: int = 0, spread: bool = False, loud: bool = False
    ) -> nn.ModuleDict:
        """Return freshly built networks.

        With `spread` their weights are away from where they start: some, a gate of zero say, hold
        gradients and inputs back on purpose at first. With `loud` they are larger as well, as
        training may make them.
        """
        with torch.random.fork_rng(devices=[]):
            devices.seed(seed)
            networks = nn.ModuleDict(build_networks(self.config, self.objective))
            if spread or loud:
                with torch.no_grad():
                    for parameter in networks.parameters():
                        parameter.add_(_SPREAD * torch.randn_like(parameter))
                        if loud:
                            parameter.mul_(_LOUD)
        return networks.train(training)

    def model(self, *, loud: bool = False) -> Model:
        """Return a model of networks whose weights are away from their start, in eval mode."""
        networks = self.networks(spread=True, loud=loud)
        return Model(self.config, networks, build_objective(self.config)).eval()

    def trains(self, role: str) -> bool:
        """Return whether a role has a parameter that is not frozen."""
        return any(p.requires_grad for p in self.networks()[role].parameters())

    def batch(
        self,
        rows: Sequence[int] = range(2),
        *,
        labels: Sequence[int] | None = None,
        images: int = 0,
        noise: int = 0,
    ) -> Batch:
        """Return a batch whose row i depends on rows[i] alone, and on which images and noise."""
        spec = self.config.image_spec
        shape = (spec.channels, spec.height, spec.width)
        grey = Noise(images, rows, stream="check/images").uniform(*shape).mul(256).floor()
        wanted = None
        if spec.classes is not None:
            each = rows if labels is None else labels
            wanted = torch.tensor([label % spec.classes for label in each], dtype=torch.int64)
        # The 256 levels of pixels: a likelihood of levels has none for what lies between.
        return Batch(grey / 127.5 - 1, wanted, Noise(noise, rows, stream="check/noise"))

    def dataset(self, count: int = 16) -> TensorImages:
        """Return a training set of random images."""
        batch, spec = self.batch(range(count)), self.config.image_spec
        pixels = ((batch.images + 1) * 127.5).round().to(torch.uint8)
        names = tuple(map(str, range(spec.classes or 0)))
        return TensorImages(pixels, batch.labels, spec, names)

    def ask(self, networks: nn.ModuleDict, batch: Batch) -> Answers:
        """Return what every role answers to a batch.

        Raises Skipped where the objective does not say how its roles are called.
        """
        if not isinstance(self.objective, KnowsRoles):
            name = self.config.objective.name
            raise Skipped(f"objective {name!r} does not say what its roles answer")
        return {
            role: list(self.objective.answers(role, networks, batch))
            for role in sorted(self.objective.roles)
        }


def rows_of(answers: Answers) -> dict[str, Tensor]:
    """Return all that each role answered, as rows (B, values)."""
    return {
        role: torch.cat([a.value.float().reshape(len(a.value), -1) for a in each], dim=1)
        for role, each in answers.items()
    }
