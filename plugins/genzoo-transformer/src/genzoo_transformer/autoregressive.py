"""Autoregressive models: each symbol of an image is drawn by its probability given all before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genzoo import GenzooError
from genzoo.noise import NoiseSource
from genzoo.objectives.base import Answer, Batch, Objective, Phase
from genzoo.objectives.common import at_least_float32
from genzoo_transformer.autoregressor import NO_LABEL, Autoregressor
from genzoo_transformer.config import AutoregressiveConfig
from genzoo_transformer.drawing import continued

__all__ = ["Autoregressive"]


class Autoregressive(Objective):
    """Maximum likelihood, one symbol after the other (PixelRNN, van den Oord et al. 2016).

    The likelihood is exact: log p(image) is the sum of the log-probabilities of its symbols.
    """

    roles: frozenset[str] = frozenset({"autoregressor"})
    sampling_roles: frozenset[str] = roles
    likelihood_is_exact = True

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One phase."""
        return (Phase("likelihood", self.roles),)

    def loss(
        self, phase: str, networks: nn.ModuleDict, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean cross-entropy of a symbol in nats; to log, also of an image, and in bits.

        They are `loss`, `nll` (nats per image) and `bits_per_dim`.
        """
        network = _autoregressor(networks)
        symbols = network.to_symbols(batch.images)
        loss = -_log_probs(network(symbols, self._dropped(batch)), symbols).mean()
        per_symbol, count = loss.detach(), math.prod(network.sequence)
        logs = {"nll": per_symbol * count, "bits_per_dim": per_symbol / math.log(2)}
        return loss, {"loss": per_symbol, **logs}

    def _dropped(self, batch: Batch) -> Tensor | None:
        """Return the labels, some of them NO_LABEL (Ho & Salimans 2022, arXiv:2207.12598)."""
        if batch.labels is None:
            return None
        dropped = batch.noise.uniform() < self.config.label_dropout
        return batch.labels.masked_fill(dropped, NO_LABEL)

    @torch.no_grad()
    def sample(self, networks: nn.ModuleDict, noise: NoiseSource, labels: Tensor | None) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1], one for each row of `noise`."""
        network = _autoregressor(networks)
        device = next(networks.parameters()).device
        symbols = torch.zeros(len(noise), *network.sequence, dtype=torch.int64, device=device)
        return self._continued(network, symbols, network.above(0), noise, labels)

    @torch.no_grad()
    def complete(
        self,
        networks: nn.ModuleDict,
        images: Tensor,
        labels: Tensor | None,
        noise: NoiseSource,
        keep_rows: int,
    ) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1] whose first rows are those of `images`.

        The rest is drawn as in `sample`, given the first rows, where these end as tokens do. Where
        they cut tokens, each is drawn without having seen what is kept of those after it.
        """
        network = _autoregressor(networks)
        symbols = network.to_symbols(images)
        return self._continued(network, symbols, network.above(keep_rows), noise, labels)

    def _continued(
        self,
        network: Autoregressor,
        symbols: Tensor,
        known: Tensor,
        noise: NoiseSource,
        labels: Tensor | None,
    ) -> Tensor:
        """Return the images of symbols (N, T, S), of which all but the `known` (T, S) are drawn."""
        chance = noise.uniform(*network.sequence).to(symbols.device)
        return network.to_images(continued(network, symbols, known, chance, labels, self.config))

    @torch.no_grad()
    def log_likelihood(
        self,
        networks: nn.ModuleDict,
        images: Tensor,
        labels: Tensor | None,
        noise: NoiseSource,
        samples: int,
    ) -> Tensor:
        """Return log p(image) in nats per image (B,), exactly: nothing is drawn.

        It is that of the nearest image whose pixels are of the network's levels.
        """
        network = _autoregressor(networks)
        symbols = network.to_symbols(images)
        return _log_probs(network(symbols, labels), symbols).sum((1, 2))

    @torch.no_grad()
    def is_probability(
        self, networks: nn.ModuleDict, images: Tensor, labels: Tensor | None
    ) -> bool:
        """Return whether all pixels of images (B, C, H, W) in [-1, 1] are of the levels.

        At 8 bits, where no two levels are the same.
        """
        network = _autoregressor(networks)
        nearest = network.to_images(network.to_symbols(images))
        return torch.equal(_bytes(nearest), _bytes(images))

    @torch.no_grad()
    def attention(
        self,
        networks: nn.ModuleDict,
        images: Tensor,
        labels: Tensor | None,
        places: Sequence[tuple[int, int]],
    ) -> Tensor:
        """Return how much the token of each place looked at each pixel (B, P, H, W).

        Where it draws without labels, because guidance is 0, it looks without them.
        """
        network = _autoregressor(networks)
        if labels is not None and self.config.guidance == 0:
            labels = torch.full_like(labels, NO_LABEL)
        return network.attention(network.to_symbols(images), labels, places)

    def answers(self, role: str, networks: nn.ModuleDict, batch: Batch) -> Iterator[Answer]:
        """Yield the log-probabilities of all levels of each symbol, (B, T, S, levels)."""
        network = _autoregressor(networks)
        logits = network(network.to_symbols(batch.images), batch.labels)
        shape = (len(batch.images), *network.sequence, network.levels)
        yield Answer("logits of symbols", logits, shape)


def _bytes(images: Tensor) -> Tensor:
    """Return images (B, C, H, W) in [-1, 1] as uint8."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def _log_probs(logits: Tensor, symbols: Tensor) -> Tensor:
    """Return the log-probabilities (B, T, S) of symbols, of logits (B, T, S, levels)."""
    each = -F.cross_entropy(
        at_least_float32(logits).flatten(0, 2), symbols.flatten(), reduction="none"
    )
    return each.view_as(symbols)


def _autoregressor(networks: nn.ModuleDict) -> Autoregressor:
    network = networks["autoregressor"]
    if not isinstance(network, Autoregressor):
        raise GenzooError(
            f"The autoregressor, a {type(network).__name__}, lacks what that role must have.",
            hint="See genzoo_transformer.autoregressor.Autoregressor: levels, sequence, "
            "to_symbols, to_images, above, attention and reader.",
        )
    return network
