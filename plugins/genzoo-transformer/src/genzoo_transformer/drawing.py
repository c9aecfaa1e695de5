"""Images are drawn symbol by symbol, each by its probability given all before it.

The last bits of a sum depend on how many images are read together, and where they decide which of
two levels is drawn, all that follows is another image. So what float32 leaves in doubt is asked
again in float64, where they all but never do.
"""

from __future__ import annotations

import copy
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from genzoo.devices import is_exact
from genzoo_transformer.autoregressor import NO_LABEL, Autoregressor
from genzoo_transformer.config import AutoregressiveConfig

__all__ = ["continued", "cumulative", "doubtful", "draw"]

_ERROR = 2e-5
"""By how much logits of float32 may be off. Those of the zoo's models are not by half of it, where
it counts: a test says so."""

_LEAST_TEMPERATURE = 0.1
"""Below it, errors grow until all is in doubt."""


def continued(
    network: Autoregressor,
    symbols: Tensor,
    known: Tensor,
    chance: Tensor,
    labels: Tensor | None,
    config: AutoregressiveConfig,
) -> Tensor:
    """Return symbols int64 (N, T, S), of which all but the `known` (T, S) are drawn.

    By chance (N, T, S), uniform in [0, 1), and labels int64 (N,), or None without classes.
    """
    tokens, per_token = network.sequence
    given = known.tolist()
    start = next((t for t, of_token in enumerate(given) if not all(of_token)), tokens)
    drawing = _Drawing(network, symbols.clone(), chance, labels, config)
    reading = drawing.draft()
    if start:
        reading.read(symbols[:, :start])
    for token in range(start, tokens):
        for place in range(per_token):
            logits = reading.logits()
            if not given[token][place]:
                drawing.draw(logits, token, place)
            reading.put(drawing.symbols[:, token, place])
    return drawing.symbols


class _Drawing:
    """Symbols (N, T, S) on their way."""

    def __init__(
        self,
        network: Autoregressor,
        symbols: Tensor,
        chance: Tensor,
        labels: Tensor | None,
        config: AutoregressiveConfig,
    ) -> None:
        self._network, self._config = network, config
        self.symbols, self._chance, self._labels = symbols, chance, labels
        has_double = symbols.device.type != "mps"
        # Where what is drawn hangs on more than one boundary, doubt cannot be told.
        is_plain = config.top_k is None and config.top_p == 1
        is_plain = is_plain and config.temperature >= _LEAST_TEMPERATURE
        self._drafts = not has_double or (is_plain and is_exact(symbols.device))
        self._checks = self._drafts and has_double

    def draft(self) -> _Guided:
        """Return what asks for all symbols."""
        dtype = torch.float32 if self._drafts else torch.float64
        return _Guided(self._network, len(self.symbols), self._labels, dtype, self._config)

    def draw(self, logits: Tensor, token: int, place: int) -> None:
        """Draw a symbol of each image by logits (N, levels)."""
        chance = self._chance[:, token, place]
        if self._checks:
            logits = logits.double()
        below = cumulative(logits, self._config)
        drawn = _level_at(below, chance)
        if self._checks:
            rows = doubtful(below, chance, self._config).nonzero()[:, 0]
            if len(rows):
                drawn[rows] = draw(
                    self._asked_again(rows, token, place), chance[rows], self._config
                )
        self.symbols[:, token, place] = drawn

    def _asked_again(self, rows: Tensor, token: int, place: int) -> Tensor:
        """Return the logits (n, levels) of a symbol of some images, in float64."""
        symbols, labels = self.symbols[rows], self._labels
        labels = None if labels is None else labels[rows]
        eager = self._config.model_copy(update={"compile": False})
        reading = _Guided(self._exact, len(rows), labels, torch.float64, eager)
        reading.read(symbols[:, :token])
        for before in range(place):
            reading.put(symbols[:, token, before])
        return reading.logits()

    @cached_property
    def _exact(self) -> Autoregressor:
        network = copy.deepcopy(cast("nn.Module", self._network)).double()
        return cast("Autoregressor", network)


class _Guided:
    """Asks for the symbols of images with their labels and, if guidance does, without them too."""

    def __init__(
        self,
        network: Autoregressor,
        count: int,
        labels: Tensor | None,
        dtype: torch.dtype,
        config: AutoregressiveConfig,
    ) -> None:
        self._weight, self._times = config.guidance, 1
        if labels is not None and self._weight != 1:
            without = torch.full_like(labels, NO_LABEL)
            if self._weight == 0:
                labels = without
            else:
                labels, self._times = torch.cat([labels, without]), 2
        translate = torch.compile if config.compile else None
        self._reading = network.reader(self._times * count, labels, dtype, translate)

    def read(self, symbols: Tensor) -> None:
        """Take the first tokens as given: symbols int64 (N, t, S)."""
        self._reading.read(symbols.repeat(self._times, 1, 1))

    def logits(self) -> Tensor:
        """Return the logits (N, levels) of the next symbol."""
        logits = self._reading.logits()
        if self._times == 1:
            return logits
        with_label, without_label = logits.chunk(2)
        return torch.lerp(without_label, with_label, self._weight)

    def put(self, symbols: Tensor) -> None:
        """Say what the next symbol is: int64 (N,)."""
        self._reading.put(symbols.repeat(self._times))


def draw(logits: Tensor, chance: Tensor, config: AutoregressiveConfig) -> Tensor:
    """Return symbols int64 (N,) of logits (N, levels) by chance (N,), uniform in [0, 1).

    By inverse transform: levels have an order, dark to bright, so that like chances give like
    images.
    """
    return _level_at(cumulative(logits, config), chance)


def cumulative(logits: Tensor, config: AutoregressiveConfig) -> Tensor:
    """Return the probability (N, levels) that what is drawn is of a level, or of one below."""
    # Less their largest, of which any temperature makes 0: a low one makes infinities of others.
    below_most = logits - logits.amax(1, keepdim=True)
    logits = torch.where(below_most == 0, below_most, below_most / config.temperature)
    if config.top_k is not None and config.top_k < logits.shape[1]:
        likeliest = logits.topk(config.top_k).indices
        logits = torch.full_like(logits, -torch.inf).scatter(
            1, likeliest, logits.gather(1, likeliest)
        )
    probs = logits.softmax(1)
    if config.top_p < 1:
        # As many of the likeliest as together have top_p: those before which there is less.
        ranked, order = probs.sort(dim=1, descending=True)
        enough = ranked.cumsum(1) - ranked >= config.top_p
        probs = probs.masked_fill(enough.gather(1, order.argsort(1)), 0)
    below = probs.cumsum(1)
    return below / below[:, -1:]


def doubtful(below: Tensor, chance: Tensor, config: AutoregressiveConfig) -> Tensor:
    """Return whether rounding may decide what is drawn by each chance (N,), bool (N,).

    `below` (N, levels) are `cumulative` of logits that are off by e at most. Then their log-odds
    are by 2 e, and so the probabilities c themselves by 2 e c (1 - c).
    """
    weight = config.guidance
    error = _ERROR * (abs(weight) + abs(1 - weight)) / config.temperature
    return ((below - chance[:, None]).abs() <= 2 * error * below * (1 - below)).any(1)


def _level_at(below: Tensor, chance: Tensor) -> Tensor:
    return (below <= chance[:, None]).sum(1)
