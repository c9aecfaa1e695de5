"""Reading an image symbol by symbol, as it is drawn, with a memory of all that came before."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from genzoo_transformer.pixel_transformer import PixelTransformer

__all__ = ["Memory", "Reader"]


class Memory:
    """The keys and values of one block for tokens that were read: allocated once.

    Keys lie in columns, so that what one query asks of all of them is read in the order of memory:
    that is what the time of a step goes into.
    """

    def __init__(self, count: int, heads: int, tokens: int, size: int, like: Tensor) -> None:
        self.heads = heads
        self.keys = like.new_empty(count * heads, size, tokens)
        self.values = like.new_empty(count * heads, tokens, size)

    def add(self, start: int, keys: Tensor, values: Tensor) -> None:
        """Keep keys and values (B, heads, t, size) of the tokens from `start` on."""
        end = start + keys.shape[2]
        self.keys[:, :, start:end] = keys.flatten(0, 1).transpose(1, 2)
        self.values[:, start:end] = values.flatten(0, 1)

    def attended(self, query: Tensor, count: int) -> Tensor:
        """Return what queries (B, heads, 1, size) take from the first `count` tokens, likewise."""
        queries = query.flatten(0, 1) / math.sqrt(query.shape[3])
        weights = torch.bmm(queries, self.keys[:, :, :count]).softmax(2)
        taken: Tensor = torch.bmm(weights, self.values[:, :count]).unflatten(0, (-1, self.heads))
        return taken


class Reader:
    """Asks for the symbols of B images in their order; keys and values of what was read are kept.

    Nothing grows on the way: all that is kept has its place from the start. Logits are of float64:
    the last bits of a sum depend on how many images are read together, and where they decide which
    of two levels is drawn, all that follows is another image. In float64 they all but never do.
    """

    def __init__(self, network: PixelTransformer, count: int, labels: Tensor | None) -> None:
        network = copy.deepcopy(network)
        if network.answer.weight.device.type != "mps":  # which has no float64
            network = network.double()
        self._network = network
        tokens, symbols = network.sequence
        like = network.answer.weight
        self._canvas = network.canvas(like.new_zeros(count, tokens, symbols))
        self._values = like.new_zeros(count, symbols)  # of the patch that is being read
        self._positions = network.positions()
        width, heads = self._positions.shape[1], network.heads
        self._class = network.with_class(like.new_empty(count, 0, width), labels)
        length = self._class.shape[1] + tokens
        self.memories = [Memory(count, heads, length, width // heads, like) for _ in network.blocks]
        self._contexts = like.new_empty(0)
        self._token = self._symbol = 0

    def read(self, symbols: Tensor) -> None:
        """Take the first tokens as given: symbols int64 (B, t, S), all or some of T."""
        count = symbols.shape[1]
        if not count:
            return
        network = self._network
        rest = symbols.new_zeros(len(symbols), network.sequence[0] - count, symbols.shape[2])
        values = network.values(torch.cat([symbols, rest], dim=1))
        self._canvas = network.canvas(values)
        self._pass(network.entering(values, count))
        self._values.copy_(values[:, count - 1])
        self._token = count

    def logits(self) -> Tensor:
        """Return the logits (B, levels) of the next symbol."""
        network, symbol = self._network, self._symbol
        if symbol == 0:
            row, column = divmod(self._token, network.grid[1])
            reach = network.reach
            window = self._canvas[:, :, row : row + reach + 1, column : column + 2 * reach + 1]
            entering = network.seen(window, self._values[:, None]) + self._positions[self._token]
            self._contexts = network.contexts(self._pass(entering)[:, -1:])[:, 0]
        contexts = self._contexts[:, symbol]
        if network.within is not None:
            contexts = contexts + self._values[:, :symbol] @ network.within[symbol, :symbol]
        return network.logits(contexts)

    def put(self, symbols: Tensor) -> None:
        """Say what the next symbol is: symbols int64 (B,)."""
        network = self._network
        self._values[:, self._symbol] = network.values(symbols)
        self._symbol += 1
        if self._symbol == network.sequence[1]:
            row, column = divmod(self._token, network.grid[1])
            self._canvas[:, :, row + network.reach, column + network.reach] = self._values
            self._token, self._symbol = self._token + 1, 0

    def _pass(self, tokens: Tensor) -> Tensor:
        """Return the next tokens (B, t, width) after the last block."""
        start = self._class.shape[1] + self._token
        if not self._token:
            tokens, start = torch.cat([self._class, tokens], dim=1), 0
        for block, memory in zip(self._network.blocks, self.memories, strict=True):
            tokens = block(tokens, memory, start)
        return tokens
