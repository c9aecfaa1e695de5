"""What a network must be to be learned, and drawn from, symbol by symbol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = ["NO_LABEL", "Autoregressor", "Reading"]

NO_LABEL = -1
"""Stands for the label of an image that is learned, or drawn, without it."""


class Reading(Protocol):
    """Images on their way, symbol by symbol, with all that is worth keeping of what came before."""

    def read(self, symbols: Tensor) -> None:
        """Take the first tokens as given: symbols int64 (B, t, S)."""

    def logits(self) -> Tensor:
        """Return the logits (B, levels) of the next symbol."""

    def put(self, symbols: Tensor) -> None:
        """Say what the next symbol is: int64 (B,)."""


@runtime_checkable
class Autoregressor(Protocol):
    """What the role `autoregressor` is: an image is T tokens of S symbols, each 0 to levels - 1."""

    levels: int
    sequence: tuple[int, int]
    """T and S."""

    def __call__(self, symbols: Tensor, labels: Tensor | None) -> Tensor:
        """Return logits (B, T, S, levels) of symbols int64 (B, T, S), each given all before it.

        Labels are int64 (B,), NO_LABEL among them, or None for a model without classes.
        """

    def to_symbols(self, images: Tensor) -> Tensor:
        """Return the symbols int64 (B, T, S) nearest to images (B, C, H, W) in [-1, 1]."""

    def to_images(self, symbols: Tensor) -> Tensor:
        """Return the images (B, C, H, W) in [-1, 1] of symbols (B, T, S)."""

    def above(self, rows: int) -> Tensor:
        """Return whether each symbol is of the first rows of pixels, bool (T, S)."""

    def attention(
        self, symbols: Tensor, labels: Tensor | None, places: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Return how much each place (row, column) looks at each pixel (B, P, H, W)."""

    def reader(
        self,
        count: int,
        labels: Tensor | None,
        dtype: torch.dtype,
        translate: Callable[[Any], Any] | None,
    ) -> Reading:
        """Return what asks for the symbols of `count` images in their order, in `dtype`.

        Where there is a `translate`, as torch.compile, it may be given what is done over and over.
        """
