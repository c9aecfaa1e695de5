"""Reading an image symbol by symbol, as it is drawn, with a memory of all that came before.

Where torch.compile translates it, what is done for a symbol has the same shapes from the first to
the last, and what is done for a token at most eight, as more of the memory is looked at. Places
are tensors there. So each is translated once and for all, and CUDA graphs ask for no more.
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
    """The keys and values of one block for tokens that were read: allocated once."""

    def __init__(self, count: int, heads: int, tokens: int, size: int, like: Tensor) -> None:
        self.keys = like.new_zeros(count * heads, tokens, size)
        self.values = torch.zeros_like(self.keys)

    def fill(self, keys: Tensor, values: Tensor) -> None:
        """Keep keys and values (B, heads, t, size) of the first tokens."""
        count = keys.shape[2]
        self.keys[:, :count] = keys.flatten(0, 1)
        self.values[:, :count] = values.flatten(0, 1)

    def step(
        self, place: Tensor | slice, later: Tensor, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Keep the token at `place`, one of them, and return what it takes from those up to it.

        Query, key and value are (B, their heads, 1, size), and what it takes is as the query. Of
        the first tokens, as many as `later` (n,) has, those at -inf are not looked at; the others
        are at 0.
        """
        self.keys[:, place] = key.flatten(0, 1)
        self.values[:, place] = value.flatten(0, 1)
        count, scale = len(later), 1 / math.sqrt(query.shape[3])
        # Of heads that share keys and values, one after the other: (B * kv_heads, sharing, size).
        queries = query.reshape(len(self.keys), -1, query.shape[3])
        scores = torch.baddbmm(later, queries, self.keys[:, :count].transpose(1, 2), alpha=scale)
        return torch.bmm(scores.softmax(2), self.values[:, :count]).view_as(query)


class Reader:
    """Asks for the symbols of B images in their order; keys and values of what was read are kept.

    Nothing grows on the way: all that is kept has its place from the start.
    """

    def __init__(
        self,
        network: PixelTransformer,
        count: int,
        labels: Tensor | None,
        dtype: torch.dtype,
        translate: Callable[[Any], Any] | None = None,
    ) -> None:
        if network.answer.weight.dtype != dtype:
            network = copy.deepcopy(network).to(dtype)
        self._network = network
        tokens, symbols = network.sequence
        like = network.answer.weight
        self._canvas = network.canvas(like.new_zeros(count, tokens, symbols)).flatten(2)
        self._values = like.new_zeros(count, symbols)  # of the patch that is being read
        self._positions = network.positions()
        self._class = network.with_class(like.new_empty(count, 0, self._positions.shape[1]), labels)
        length = self._class.shape[1] + tokens
        self.memories = [cast("Block", block).memory(count, length) for block in network.blocks]
        self._contexts = like.new_empty(0)
        self._token = self._symbol = 0
        self._nothing = like.new_zeros(length)
        self._order = torch.arange(length, device=like.device)
        self._places = torch.arange(max(length, symbols), device=like.device).split(1)
        self._windows = network.windows().to(like.device)
        self._within = network.ordered_within()
        self._next_contexts, self._next_logits = self._step, self._answer
        self._span: int | None = None
        if translate is not None:
            self._span = max(_LEAST_SPAN, -(-length // _SPANS))
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
            place, later = self._place()
            self._contexts = self._next_contexts(self._places[self._token], place, later)
        return self._next_logits(self._contexts, self._places[self._symbol])

    def put(self, symbols: Tensor) -> None:
        """Say what the next symbol is: symbols int64 (B,)."""
        network = self._network
        self._values[:, self._symbol] = network.values(symbols)
        self._symbol += 1
        if self._symbol == network.sequence[1]:
            self._canvas[:, :, network.place_on_canvas(self._token)] = self._values
            self._token, self._symbol = self._token + 1, 0

    def _place(self) -> tuple[Tensor | slice, Tensor]:
        """Return the place of the next token, counting the class, and `Memory.step`'s `later`."""
        place = self._class.shape[1] + self._token
        if self._span is None:
            return slice(place, place + 1), self._nothing[: place + 1]
        span = min((place // self._span + 1) * self._span, len(self._order))
        later = self._nothing[:span].masked_fill(self._order[:span] > place, -torch.inf)
        return self._places[place], later

    def _fill(self, tokens: Tensor) -> None:
        """Let the first tokens (B, t, width) be remembered."""
        if tokens.shape[1]:
            for block, memory in zip(self._network.blocks, self.memories, strict=True):
                tokens = block(tokens, memory)

    def _step(self, token: Tensor, place: Tensor | slice, later: Tensor) -> Tensor:
        """Return what is known of the symbols of a token (1,): (B, S, features).

        For `place` and `later`, see `Memory.step`.
        """
        network = self._network
        window = self._windows.index_select(0, token)[0]
        around = self._canvas.index_select(2, window).flatten(1)[:, None]
        tokens = network.seen(around, self._values[:, None])
        tokens = tokens + self._positions.index_select(0, token)
        for block, memory in zip(network.blocks, self.memories, strict=True):
            tokens = cast("Block", block).step(tokens, memory, place, later)
        return network.contexts(tokens)[:, 0]

    def _answer(self, contexts: Tensor, symbol: Tensor) -> Tensor:
        """Return the logits (B, levels) of a symbol (1,), given those before it in its token."""
        known = contexts.index_select(1, symbol)[:, 0]
        if self._within is not None:
            known = known + self._values @ self._within.index_select(0, symbol)[0]
        return self._network.logits(known)
