"""Where networks are looked at: for several kinds of images, in train and in eval mode."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from genzoo import devices
from genzoo.noise import NoiseSource
from genzoo.objectives.base import Answer, Batch, KnowsRoles
from genzoo.testing.specimens import Answers, Specimen, rows_of

__all__ = ["MODES", "Bench", "Recorded", "answered", "close", "same", "stir"]

MODES = (True, False)
"""Training, and not."""


@dataclass(frozen=True)
class Bench:
    """Networks of one architecture for several kinds of images, and what they answered."""

    specimens: Sequence[Specimen]
    runs: dict[str, tuple[Mapping[str, Tensor], TemporaryDirectory[str]]] = field(
        default_factory=dict
    )
    """Of each specimen that was trained, the tensors at the end, and the folder."""
    _seen: dict[tuple[int, bool], Answers] = field(default_factory=dict)

    @cached_property
    def few(self) -> tuple[Specimen, ...]:
        """One without classes and one with, in colour if any is: for what size does not change."""
        plain = [s for s in self.specimens if s.config.classes is None]
        conditional = [s for s in self.specimens if s.config.classes is not None]
        conditional.sort(key=lambda s: -s.config.image.channels)
        return (*plain[:1], *conditional[:1])

    def answers(self) -> Iterator[tuple[str, Answer]]:
        """Yield all that every specimen answers in train and in eval mode, with its place."""
        for position, specimen in enumerate(self.specimens):
            for training in MODES:
                key = (position, training)
                if key not in self._seen:
                    networks = specimen.networks(training=training)
                    with torch.no_grad():
                        self._seen[key] = specimen.ask(networks, specimen.batch())
                mode = "train" if training else "eval"
                for role, each in self._seen[key].items():
                    for answer in each:
                        yield f"{role} for {specimen} in {mode} mode: {answer.what}", answer


def stir(seed: int) -> None:
    """Set every global generator, so that whatever draws from one shows it."""
    random.seed(seed)
    np.random.seed(seed)
    devices.seed(seed)


@torch.no_grad()
def answered(specimen: Specimen, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
    """Return what each role answers as rows (B, values), or else the images that are drawn."""
    if isinstance(specimen.objective, KnowsRoles):
        return rows_of(specimen.ask(networks, batch))
    return {"sampling": specimen.objective.sample(networks, batch.noise, batch.labels).flatten(1)}


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two are alike, bit for bit, NaN beside NaN."""
    return a.shape == b.shape and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two are alike but for the order in which a matrix product adds up."""
    return torch.allclose(a, b, rtol=1e-4, atol=1e-4)


class Recorded:
    """A source of noise that keeps what it gave, each beside a copy of how it was."""

    def __init__(self, noise: NoiseSource) -> None:
        self._noise = noise
        self.drawn: list[tuple[Tensor, Tensor]] = []

    def __len__(self) -> int:
        return len(self._noise)

    def normal(self, *shape: int) -> Tensor:
        """Return what the source does, and keep it."""
        return self._keep(self._noise.normal(*shape))

    def uniform(self, *shape: int) -> Tensor:
        """Return what the source does, and keep it."""
        return self._keep(self._noise.uniform(*shape))

    def integers(self, high: int) -> Tensor:
        """Return what the source does, and keep it."""
        return self._keep(self._noise.integers(high))

    def _keep(self, tensor: Tensor) -> Tensor:
        self.drawn.append((tensor, tensor.clone()))
        return tensor
