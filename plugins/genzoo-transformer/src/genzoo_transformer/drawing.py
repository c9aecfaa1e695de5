"""Images are drawn symbol by symbol, each by its probability given all before it.

The last bits of a sum depend on how many images are read together, and where they decide which of
two levels is drawn, all that follows is another image. In float64 they all but never do. So images
are drafted in float32, which is faster, and those where its errors may have decided are read once
more in float64.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn

from genzoo_transformer.autoregressor import NO_LABEL, Autoregressor
from genzoo_transformer.config import AutoregressiveConfig

__all__ = ["continued", "cumulative", "error_of", "level_at", "slack"]

_READ_AT_ONCE = 2
"""Images of a draft that are read once more, and at least so many of each draft."""

_SAFETY = 4
"""How often as large as those that were seen an error may be that was not."""

_LEAST_DRAFTED = 16
"""Images. What fewer take is the time of calls, which is no shorter in float32."""

_MOST_BOUNDARIES = 2**16
"""Between levels, of all symbols of an image. Of more, one is near a chance in almost any image."""

_LEAST_TEMPERATURE = 0.1
"""Below it, of two levels that are alike but for rounding one is all but certain: probabilities do
not tell how near the other was."""

_LEAST_CHANCE = 1e-7
"""Boundaries that are nearer to 0 or 1 hardly have a chance between them and those."""


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
    device = symbols.device.type
    # With these, what is drawn hangs on more than the boundaries between levels.
    is_cut = config.top_k is not None or config.top_p < 1 or config.temperature < _LEAST_TEMPERATURE
    boundaries = chance.shape[1] * chance.shape[2] * network.levels
    pays = len(symbols) >= _LEAST_DRAFTED and boundaries <= _MOST_BOUNDARIES
    with torch.autocast(device, enabled=False):
        if device == "mps":  # which has no float64
            return _drawn(network, torch.float32, symbols, known, chance, labels, config)[0]
        if is_cut or not pays:
            return _drawn(network, torch.float64, symbols, known, chance, labels, config)[0]
        return _drafted(network, symbols, known, chance, labels, config)


def _drawn(
    network: Autoregressor,
    dtype: torch.dtype,
    symbols: Tensor,
    known: Tensor,
    chance: Tensor,
    labels: Tensor | None,
    config: AutoregressiveConfig,
) -> tuple[Tensor, Tensor]:
    """Return `continued` as `dtype` has it, and the least `slack` of each image (N,)."""
    symbols, least = symbols.clone(), torch.full_like(chance[:, 0, 0], torch.inf)
    given, guide = known.tolist(), _Guide(labels, config.guidance)
    start = next((t for t, of_token in enumerate(given) if not all(of_token)), len(given))
    translate = torch.compile if config.compile else None
    reading = network.reader(guide.times * len(symbols), guide.labels, dtype, translate)
    if start:
        reading.read(guide.each(symbols[:, :start]))
    for token in range(start, len(given)):
        for place, is_given in enumerate(given[token]):
            logits = guide.mixed(reading.logits())
            if not is_given:
                below = cumulative(_exactly(logits), config)
                symbols[:, token, place] = level_at(below, chance[:, token, place])
                least = least.fmin(slack(below, chance[:, token, place]))
            reading.put(guide.each(symbols[:, token, place]))
    return symbols, least


def _drafted(
    network: Autoregressor,
    symbols: Tensor,
    known: Tensor,
    chance: Tensor,
    labels: Tensor | None,
    config: AutoregressiveConfig,
) -> Tensor:
    """Return `continued` as float64 has it, most of it by float32."""
    symbols, least = _drawn(network, torch.float32, symbols, known, chance, labels, config)
    networks = [_of(network, dtype) for dtype in (torch.float32, torch.float64)]
    error, seen, others = 0.0, 0, torch.zeros_like(symbols, dtype=torch.bool)
    for rows in least.argsort().split(_READ_AT_ONCE):
        if seen and least[rows[0]] > _SAFETY * error:
            break
        guide = _Guide(None if labels is None else labels[rows], config.guidance)
        asked = guide.each(symbols[rows])
        ours, exact = (
            cumulative(_exactly(guide.mixed(of(asked, guide.labels))).flatten(0, 2), config)
            for of in networks
        )
        error, seen = max(error, error_of(ours, exact)), seen + len(rows)
        again = level_at(exact, chance[rows].flatten()).view_as(symbols[rows])
        others[rows] = (again != symbols[rows]) & ~known.to(again.device)
    rows = others.flatten(1).any(1).nonzero()[:, 0]
    if len(rows):
        first = int(others[rows].any(2).int().argmax(1).min())
        known = known.clone()
        known[:first] = True
        of_rows = None if labels is None else labels[rows]
        eager = config.model_copy(update={"compile": False})
        symbols[rows] = _drawn(
            networks[1], torch.float64, symbols[rows], known, chance[rows], of_rows, eager
        )[0]
    return symbols


class _Guide:
    """Asks for images by their labels and, if guidance does, once more without them."""

    def __init__(self, labels: Tensor | None, weight: float) -> None:
        self.labels, self.times, self._weight = labels, 1, weight
        if labels is not None and weight != 1:
            without = torch.full_like(labels, NO_LABEL)
            if weight == 0:
                self.labels = without
            else:
                self.labels, self.times = torch.cat([labels, without]), 2

    def each(self, symbols: Tensor) -> Tensor:
        """Return symbols (N, ...) as often as they are asked for."""
        return torch.cat([symbols] * self.times)

    def mixed(self, logits: Tensor) -> Tensor:
        """Return logits (N, ...) of those of all that was asked for."""
        if self.times == 1:
            return logits
        with_label, without_label = logits.chunk(2)
        return torch.lerp(without_label, with_label, self._weight)


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


def level_at(below: Tensor, chance: Tensor) -> Tensor:
    """Return the levels int64 (N,) that chance (N,), uniform in [0, 1), draws by `cumulative`.

    By inverse transform: levels have an order, dark to bright, so that like chances give like
    images.
    """
    return (below <= chance[:, None]).sum(1)


def slack(below: Tensor, chance: Tensor) -> Tensor:
    """Return which error of logits may draw another level by each chance (N,): (N,).

    `below` (N, levels) are `cumulative` of the logits. Where these are off by e at most, log-odds
    of `below` are by 2 e, and so each c of `below` itself by 2 e c (1 - c).
    """
    errors = (below - chance[:, None]).abs() / (2 * below * (1 - below))
    return errors.nan_to_num(torch.inf, torch.inf).amin(1)


def error_of(below: Tensor, exact: Tensor) -> float:
    """Return the largest error of logits that `cumulative` (N, levels) have beside exact ones."""
    errors = (below - exact).abs() / (2 * exact * (1 - exact))
    matters = (exact > _LEAST_CHANCE) & (exact < 1 - _LEAST_CHANCE)
    return float(torch.where(matters, errors, 0).max())


def _exactly(logits: Tensor) -> Tensor:
    return logits if logits.device.type == "mps" else logits.double()


def _of(network: Autoregressor, dtype: torch.dtype) -> Autoregressor:
    """Return a network whose weights are of `dtype`: this one, or a copy."""
    module = cast("nn.Module", network)
    if all(weights.dtype == dtype for weights in module.parameters()):
        return network
    return cast("Autoregressor", copy.deepcopy(module).to(dtype))
