"""The objective protocol: what the trainer and the model ask of any way of learning."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from genzoo.noise import NoiseSource

__all__ = [
    "Answer",
    "Batch",
    "CanComplete",
    "CanEncode",
    "CanInterpolate",
    "CanReconstruct",
    "HasLogLikelihood",
    "KnowsRoles",
    "KnowsSupport",
    "Objective",
    "Phase",
    "ShowsAttention",
]


@dataclass(frozen=True)
class Phase:
    """One loss with its own optimizer inside a training step.

    It updates the networks whose roles are in `trains`, on every `every`-th step.
    """

    name: str
    trains: frozenset[str]
    every: int = 1


@dataclass(frozen=True)
class Batch:
    """This process's rows of one global training batch."""

    images: Tensor  # float (B, C, H, W) in [-1, 1]
    labels: Tensor | None  # int64 (B,), None for unconditional models
    noise: NoiseSource  # draws (B, ...) tensors; what it gives depends on (seed, step, phase) alone


@dataclass(frozen=True)
class Answer:
    """Something that one call of a network gave, beside what its role promises of it."""

    what: str
    """In words, as in "images" or "logits"."""
    value: Tensor
    """Row i belongs to image i of the batch."""
    shape: tuple[int, ...]
    """The shape that the role promises, rows included."""
    within: tuple[float, float] | None = None
    """The least and the largest value that it promises, None where any finite one will do."""


class Objective(nn.Module):
    """How networks learn, and how images come out of them.

    A module, so that state of its own is saved with the rest. It knows losses, and nothing about
    optimizers, devices or loops.
    """

    roles: frozenset[str]
    """The roles needed to train; checked before the first step."""
    sampling_roles: frozenset[str]
    """The only roles whose weights are shipped."""
    likelihood_is_exact: bool = False
    """Whether `log_likelihood`, where there is one, draws nothing: it is no bound."""

    @property
    def twice_differentiated(self) -> frozenset[str]:
        """The roles whose networks a loss differentiates twice, which torch.compile cannot do."""
        return frozenset()

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of one training step, in order."""
        raise NotImplementedError

    def assemble(self, build: Callable[[], dict[str, nn.Module]]) -> dict[str, nn.Module]:
        """Return the networks by role that this objective trains, made of an architecture's.

        Each call of `build` gives the architecture's networks, freshly initialized. Override this
        for several networks of one role, or for layers that are normalized: architectures need not
        know. The roles that are needed may be missing still.
        """
        return build()

    def loss(
        self, phase: str, networks: nn.ModuleDict, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar loss of `phase`, and detached scalars to log.

        `step` counts from 0. Every phase of a step gets the same images and labels, and noise of
        its own.
        """
        raise NotImplementedError

    @torch.no_grad()
    def sample(self, networks: nn.ModuleDict, noise: NoiseSource, labels: Tensor | None) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1], one for each row of `noise`."""
        raise NotImplementedError


@runtime_checkable
class CanEncode(Protocol):
    """An objective whose models turn images into latents."""

    def encode(self, networks: nn.ModuleDict, images: Tensor, labels: Tensor | None) -> Tensor:
        """Return the latents (B, Z) of images (B, C, H, W) in [-1, 1]."""


@runtime_checkable
class CanReconstruct(Protocol):
    """An objective whose models turn images into images."""

    def reconstruct(self, networks: nn.ModuleDict, images: Tensor, labels: Tensor | None) -> Tensor:
        """Return what is left of images (B, C, H, W) in [-1, 1] after the bottleneck, likewise."""


@runtime_checkable
class CanComplete(Protocol):
    """An objective whose models go on with an image that has a beginning."""

    def complete(
        self,
        networks: nn.ModuleDict,
        images: Tensor,
        labels: Tensor | None,
        noise: NoiseSource,
        keep_rows: int,
    ) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] that begin with the first rows of `images`.

        What follows is drawn by `noise`, row by row. Raises UnsupportedError for rows that it
        cannot go on from.
        """


@runtime_checkable
class ShowsAttention(Protocol):
    """An objective whose models can say what they look at."""

    def attention(
        self,
        networks: nn.ModuleDict,
        images: Tensor,
        labels: Tensor | None,
        places: Sequence[tuple[int, int]],
    ) -> Tensor:
        """Return how much each place looked at each pixel of its image, (B, P, H, W).

        A place is (row, column), and what it looked at sums to 1 at the most. Images (B, C, H, W)
        are in [-1, 1].
        """


@runtime_checkable
class HasLogLikelihood(Protocol):
    """An objective whose models give images a likelihood."""

    def log_likelihood(
        self,
        networks: nn.ModuleDict,
        images: Tensor,
        labels: Tensor | None,
        noise: NoiseSource,
        samples: int,
    ) -> Tensor:
        """Return log p(image) or a lower bound on it, in nats per image (B,)."""


@runtime_checkable
class KnowsSupport(Protocol):
    """An objective that says of what its likelihood is, so that it can be compared."""

    def is_probability(
        self, networks: nn.ModuleDict, images: Tensor, labels: Tensor | None
    ) -> bool:
        """Return whether p sums to 1 over all images of the kind of these (B, C, H, W)."""


@runtime_checkable
class CanInterpolate(Protocol):
    """An objective whose models have a latent space to walk through."""

    def decode(self, networks: nn.ModuleDict, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1] of latents (N, Z)."""

    def latents(self, networks: nn.ModuleDict, noise: NoiseSource) -> Tensor:
        """Return latents (N, Z) drawn from the prior, one for each row of `noise`."""


@runtime_checkable
class KnowsRoles(Protocol):
    """An objective that can call its roles one by one, so that `genzoo check` sees each of them."""

    def answers(self, role: str, networks: nn.ModuleDict, batch: Batch) -> Iterator[Answer]:
        """Yield what the network of `role` gives for a batch, called as in training, part by part.

        Nothing is checked here: whoever asks compares each answer with what it promises.
        """
