"""Reading an image symbol by symbol, as it is drawn, with a memory of all that came before.

What is done for a symbol has the same shapes from the first to the last; what is done for a token
has at most eight, as more of the memory is looked at. Their places are tensors. So torch.compile
can translate them once and for all, and CUDA graphs ask for no more.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    from genzoo_transformer.pixel_transformer import Block, PixelTransformer

__all__ = ["Memory", "Reader"]

_SPANS, _LEAST_SPAN = 8, 64
"""How many times, and by how many tokens at least, what is looked at of a memory grows: more often
is less to look at, but more shapes, of which torch.compile translates eight at most."""


class Memory:
    """The keys and values of one block for tokens that were read: allocated once.

    Keys lie in columns, so that what one query asks of all of them is read in the order of memory:
    that is what the time of a step goes into.
    """

    def __init__(self, count: int, heads: int, tokens: int, size: int, like: Tensor) -> None:
        self.heads = heads
        self.keys = like.new_zeros(count * heads, size, tokens)
        self.values = like.new_zeros(count * heads, tokens, size)

    def fill(self, keys: Tensor, values: Tensor) -> None:
        """Keep keys and values (B, heads, t, size) of the first tokens."""
        count = keys.shape[2]
        self.keys[:, :, :count] = keys.flatten(0, 1).transpose(1, 2)
        self.values[:, :count] = values.flatten(0, 1)

    def step(
        self, place: Tensor, later: Tensor, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Keep the token at `place` (1,), and return what it takes from those up to it.

        Query, key and value are (B, heads, 1, size), and so is what it takes. Of the first tokens,
        as many as `later` (n,) has, those at -inf are not looked at; the others are at 0.
        """
        self.keys.index_copy_(2, place, key.flatten(0, 1).transpose(1, 2))
        self.values.index_copy_(1, place, value.flatten(0, 1))
        count, scale = len(later), 1 / math.sqrt(query.shape[3])
        queries = query.flatten(0, 1)
        scores = torch.baddbmm(later, queries, self.keys[:, :, :count], alpha=scale)
        taken = torch.bmm(scores.softmax(2), self.values[:, :count])
        by_head: Tensor = taken.unflatten(0, (-1, self.heads))
        return by_head


class Reader:
    """Asks for the symbols of B images in their order; keys and values of what was read are kept.

    Nothing grows on the way: all that is kept has its place from the start. Logits are of float64:
    the last bits of a sum depend on how many images are read together, and where they decide which
    of two levels is drawn, all that follows is another image. In float64 they all but never do.
    """

    def __init__(
        self,
        network: PixelTransformer,
        count: int,
        labels: Tensor | None,
        translate: Callable[[Any], Any] | None = None,
    ) -> None:
        network = copy.deepcopy(network)
        if network.answer.weight.device.type != "mps":  # which has no float64
            network = network.double()
        self._network = network
        tokens, symbols = network.sequence
        like = network.answer.weight
        self._canvas = network.canvas(like.new_zeros(count, tokens, symbols)).flatten(2)
        self._values = like.new_zeros(count, symbols)  # of the patch that is being read
        self._positions = network.positions()
        width, heads = self._positions.shape[1], network.heads
        self._class = network.with_class(like.new_empty(count, 0, width), labels)
        length = self._class.shape[1] + tokens
        self.memories = [Memory(count, heads, length, width // heads, like) for _ in network.blocks]
        self._contexts = like.new_empty(0)
        self._token = self._symbol = 0
        self._span = max(_LEAST_SPAN, -(-length // _SPANS))
        self._order = torch.arange(length, device=like.device)
        self._places = torch.arange(max(length, symbols), device=like.device).split(1)
        self._windows = network.windows().to(like.device)
        self._within = network.ordered_within()
        self._next_contexts, self._next_logits = self._step, self._answer
        if translate is not None:
            self._next_contexts, self._next_logits = translate(self._step), translate(self._answer)
        self._fill(self._class)

    def read(self, symbols: Tensor) -> None:
        """Take the first tokens as given: symbols int64 (B, t, S), all or some of T."""
        network, count = self._network, symbols.shape[1]
        rest = symbols.new_zeros(len(symbols), network.sequence[0] - count, symbols.shape[2])
        values = network.values(torch.cat([symbols, rest], dim=1))
        self._canvas.copy_(network.canvas(values).flatten(2))
        self._fill(torch.cat([self._class, network.entering(values, count)], dim=1))
        if count:
            self._values.copy_(values[:, count - 1])
        self._token = count

    def logits(self) -> Tensor:
        """Return the logits (B, levels) of the next symbol."""
        if self._symbol == 0:
            place = self._class.shape[1] + self._token
            span = min((place // self._span + 1) * self._span, len(self._order))
            self._contexts = self._next_contexts(
                self._places[self._token], self._places[place], self._order[:span]
            )
        return self._next_logits(self._contexts, self._places[self._symbol])

    def put(self, symbols: Tensor) -> None:
        """Say what the next symbol is: symbols int64 (B,)."""
        network = self._network
        self._values[:, self._symbol] = network.values(symbols)
        self._symbol += 1
        if self._symbol == network.sequence[1]:
            self._canvas[:, :, network.place_on_canvas(self._token)] = self._values
            self._token, self._symbol = self._token + 1, 0

    def _fill(self, tokens: Tensor) -> None:
        """Let the first tokens (B, t, width) be remembered."""
        if tokens.shape[1]:
            for block, memory in zip(self._network.blocks, self.memories, strict=True):
                tokens = block(tokens, memory)

    def _step(self, token: Tensor, place: Tensor, order: Tensor) -> Tensor:
        """Return what is known of the symbols of a token (1,): (B, S, features).

        Its place (1,) counts the class, too; `order` (n,) counts what is to be looked at.
        """
        network = self._network
        window = self._windows.index_select(0, token)[0]
        around = self._canvas.index_select(2, window).flatten(1)[:, None]
        tokens = network.seen(around, self._values[:, None])
        tokens = tokens + self._positions.index_select(0, token)
        later = torch.zeros_like(order, dtype=tokens.dtype).masked_fill(order > place, -torch.inf)
        for block, memory in zip(network.blocks, self.memories, strict=True):
            tokens = cast("Block", block).step(tokens, memory, place, later)
        return network.contexts(tokens)[:, 0]

    def _answer(self, contexts: Tensor, symbol: Tensor) -> Tensor:
        """Return the logits (B, levels) of a symbol (1,), given those before it in its token."""
        known = contexts.index_select(1, symbol)[:, 0]
        if self._within is not None:
            known = known + self._values @ self._within.index_select(0, symbol)[0]
        return self._network.logits(known)
