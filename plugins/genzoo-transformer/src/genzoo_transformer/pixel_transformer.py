"""The network of `pixel-transformer`: a decoder-only transformer that reads an image in order.

A token is a patch of pixels. What is known when token t is asked for are the tokens before it, row
by row; within a patch, the symbols before it: pixel by pixel, and channel by channel in a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genzoo import ImageSpec, LabelError, UnsupportedError
from genzoo_transformer.config import PixelTransformerConfig
from genzoo_transformer.patches import tiling
from genzoo_transformer.reading import Memory, Reader

__all__ = ["Block", "PixelTransformer", "build", "choose_patch_size"]

_MOST_TOKENS = 256
_PATCH_SIZES = range(1, 9)


def build(image: ImageSpec, config: PixelTransformerConfig) -> dict[str, nn.Module]:
    """Return `autoregressor`; UnsupportedError where patches do not tile `image`."""
    return {"autoregressor": PixelTransformer(image, config)}


def choose_patch_size(image: ImageSpec, wanted: int | None = None) -> int:
    """Return the patch size: `wanted`, or the smallest that tiles `image` in at most 256 patches.

    Where none is that coarse, the coarsest that tiles it. Raises UnsupportedError where `wanted`
    does not.
    """
    sizes = _PATCH_SIZES if wanted is None else (wanted,)
    chosen = tiling(image, sizes, _MOST_TOKENS)
    if chosen is None:
        sides, size = {"height": image.height, "width": image.width}, sizes[0]
        hints = [f"{name} {_multiples(side, size)}" for name, side in sides.items() if side % size]
        raise UnsupportedError(
            f"pixel-transformer cannot do images of {image.height}x{image.width}: patches of "
            f"{size} pixels must tile them.",
            hint=f"Take {' and '.join(hints)}, or another patch_size.",
        )
    return chosen


def _multiples(count: int, size: int) -> str:
    """Return the multiples of `size` on both sides of a count, in words."""
    lower = count - count % size
    return f"{lower} or {lower + size}" if lower else f"{size}"


class Block(nn.Module):
    """Attention to what came before, then an MLP, each beside an identity and after a norm."""

    def __init__(self, width: int, heads: int, kv_heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.heads = (heads, kv_heads, kv_heads)
        """Of queries, keys and values."""
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, sum(self.heads) * (width // heads), bias=False)
        self.out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, mlp_ratio * width)
        self.down = nn.Linear(mlp_ratio * width, width)
        for last in (self.out, self.down):  # a block begins as the identity
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def memory(self, count: int, tokens: int) -> Memory:
        """Return room for the keys and values of `count` images of so many tokens."""
        query, kv_heads, _ = self.heads
        weight = self.out.weight
        return Memory(count, kv_heads, tokens, len(weight) // query, weight)

    def forward(self, tokens: Tensor, memory: Memory | None = None) -> Tensor:
        """Return the first tokens, of the same shape (B, T, width), and let `memory` keep them."""
        query, key, value = self._parts(tokens)
        if memory is not None:
            memory.fill(key, value)
        key, value = self._shared(key), self._shared(value)
        return self._changed(
            tokens, F.scaled_dot_product_attention(query, key, value, is_causal=True)
        )

    def step(self, token: Tensor, memory: Memory, place: Tensor | slice, later: Tensor) -> Tensor:
        """Return the token (B, 1, width) at `place`, likewise; see `Memory.step`."""
        return self._changed(token, memory.step(place, later, *self._parts(token)))

    def _changed(self, tokens: Tensor, attended: Tensor) -> Tensor:
        """Return tokens (B, T, width) that attended to values (B, heads, T, width / heads)."""
        tokens = tokens + self.out(attended.transpose(1, 2).flatten(2))
        changed: Tensor = tokens + self.down(F.gelu(self.up(self.mlp_norm(tokens))))
        return changed

    def given(self, tokens: Tensor) -> Tensor:
        """Return how much each token is given by each (B, T, T), 0 by those after it.

        The norm of a value after `out`, times the attention to it, summed over heads (Kobayashi et
        al. 2020, arXiv:2004.10102): attention alone counts tokens that have nothing to say.
        """
        query, key, value = self._parts(tokens)
        key, value = self._shared(key), self._shared(value)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        later = torch.ones_like(scores[0, 0], dtype=torch.bool).triu(1)
        weights = scores.masked_fill(later, -torch.inf).softmax(3)
        by_head = self.out.weight.unflatten(1, (self.heads[0], -1))
        norms = torch.einsum("bhtd,whd->bhtw", value, by_head).norm(dim=3)
        given: Tensor = (weights * norms[:, :, None]).sum(1)
        return given

    def _parts(self, tokens: Tensor) -> list[Tensor]:
        """Return queries, keys and values, each (B, its heads, T, width / heads)."""
        each = self.qkv(self.attention_norm(tokens)).unflatten(2, (sum(self.heads), -1))
        return list(each.transpose(1, 2).split(self.heads, dim=1))

    def _shared(self, each: Tensor) -> Tensor:
        """Return keys or values (B, heads, T, n), one for each head that shares them."""
        sharing = self.heads[0] // self.heads[1]
        return each if sharing == 1 else each.repeat_interleave(sharing, dim=1)


class PixelTransformer(nn.Module):
    """log p(image | label), as a sum over symbols of log p(symbol | all before it, label).

    A token enters by the patches around it that came before, `reach` to each side, so that what is
    near need not be looked for: attention is for what is far. Its position is a row's plus a
    column's. A class is a token of its own before all others (as the start of sequence in Esser et
    al. 2021, arXiv:2012.09841).
    """

    def __init__(self, image: ImageSpec, config: PixelTransformerConfig) -> None:
        super().__init__()
        size = choose_patch_size(image, config.patch_size)
        self.levels = config.levels
        self.image_shape = (image.channels, image.height, image.width)
        self.patch_size = size
        self.grid = (image.height // size, image.width // size)
        rows, columns = self.grid
        self.sequence = (rows * columns, size * size * image.channels)
        """T tokens, of S symbols each."""
        self.reach = config.reach
        width, symbols = config.width, self.sequence[1]
        self.before = self.reach * (2 * self.reach + 1) + self.reach
        self.surroundings = nn.Sequential(
            nn.Linear((self.before + 1) * symbols, config.mlp_ratio * width),
            nn.GELU(),
            nn.Linear(config.mlp_ratio * width, width),
        )
        self.row_positions = nn.Parameter(0.1 * torch.randn(rows, 1, width))
        self.column_positions = nn.Parameter(0.1 * torch.randn(1, columns, width))
        self.classes = None if image.classes is None else nn.Embedding(image.classes + 1, width)
        """The last is for no label."""
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.kv_heads or config.heads, config.mlp_ratio)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(width)
        features = config.symbol_features
        self.context = nn.Linear(width, symbols * features)
        # What symbol j of a patch is to its symbol i, where j came before i.
        self.within = nn.Parameter(torch.zeros(symbols, symbols, features)) if symbols > 1 else None
        self.mixing = nn.Linear(features, features)
        self.answer = nn.Linear(features, self.levels)

    def to_symbols(self, images: Tensor) -> Tensor:
        """Return symbols int64 (B, T, S), 0 to levels - 1: the nearest to images in [-1, 1]."""
        nearest = ((images.float() + 1) * ((self.levels - 1) / 2)).round().long()
        return self._in_order(nearest.clamp(0, self.levels - 1))

    def _in_order(self, pixels: Tensor) -> Tensor:
        """Return pixels (B, C, H, W) in the order of symbols (B, T, S)."""
        patches: Tensor = F.pixel_unshuffle(pixels, self.patch_size)
        # (B, C * p * p, rows, columns) -> pixel by pixel, channel by channel
        by_channel: Tensor = patches.unflatten(1, (self.image_shape[0], -1))
        return by_channel.permute(0, 3, 4, 2, 1).flatten(3).flatten(1, 2)

    def to_images(self, symbols: Tensor) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] of symbols (B, T, S)."""
        channels = self.image_shape[0]
        patches = self.values(symbols).view(len(symbols), *self.grid, -1, channels)
        images: Tensor = F.pixel_shuffle(
            patches.permute(0, 4, 3, 1, 2).flatten(1, 2), self.patch_size
        )
        return images

    def forward(self, symbols: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B, T, S, levels) of each symbol of symbols (B, T, S), given all before."""
        values = self.values(symbols)
        tokens = self.with_class(self.entering(values), labels)
        for block in self.blocks:
            tokens = block(tokens)
        contexts = self.contexts(tokens[:, -self.sequence[0] :])
        within = self.ordered_within()
        if within is not None:
            contexts = contexts + torch.einsum("btj,ije->btie", values, within)
        return self.logits(contexts)

    def attention(
        self, symbols: Tensor, labels: Tensor | None, places: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Return how much each place (row, column) looks at each pixel (B, P, H, W).

        That is the share of its token that is given by the one at each pixel: the sum over blocks
        of `Block.given`, over all that is given. The pixels of a patch share alike. What comes from
        the class is left out, so that a sum is under 1.
        """
        tokens = self.with_class(self.entering(self.values(symbols)), labels)
        given = torch.zeros(1)
        for block in self.blocks:
            assert isinstance(block, Block)
            given = given.to(tokens) + block.given(tokens)
            tokens = block(tokens)
        size, count = self.patch_size, self.sequence[0]
        shares = given / given.sum(2, keepdim=True).clamp(min=torch.finfo(given.dtype).tiny)
        asked = [row // size * self.grid[1] + column // size for row, column in places]
        by_token = shares[:, -count:, -count:][:, asked].unflatten(2, self.grid) / size**2
        looked: Tensor = by_token.repeat_interleave(size, dim=2).repeat_interleave(size, dim=3)
        return looked

    def entering(self, values: Tensor, count: int | None = None) -> Tensor:
        """Return the tokens (B, T, width) that enter the first block, of values (B, T, S).

        All of them, or the first `count`.
        """
        previous = F.pad(values[:, :-1], (0, 0, 1, 0))[:, :count]
        canvas = self.canvas(values)
        size = (self.reach + 1, 2 * self.reach + 1)
        # (B, S * window, T) -> (B, T, S * those of the window that come before)
        window = F.unfold(canvas, size).unflatten(1, (canvas.shape[1], -1))[:, :, : self.before]
        around = window.flatten(1, 2).transpose(1, 2)[:, :count]
        return self.seen(around, previous) + self.positions()[:count]

    def values(self, symbols: Tensor) -> Tensor:
        """Return symbols as the network sees them, in [-1, 1]."""
        return symbols.to(self.answer.weight.dtype) * (2 / (self.levels - 1)) - 1

    def above(self, rows: int) -> Tensor:
        """Return whether each symbol is of the first rows of pixels, bool (T, S)."""
        pixels = torch.zeros(1, *self.image_shape, dtype=torch.bool)
        pixels[:, :, :rows] = True
        return self._in_order(pixels)[0]

    def canvas(self, values: Tensor) -> Tensor:
        """Lay values (B, T, S) out as patches (B, S, rows, columns), with room to look around."""
        patches = values.transpose(1, 2).unflatten(2, self.grid)
        return F.pad(patches, (self.reach, self.reach, self.reach, 0))

    def place_on_canvas(self, token: int) -> int:
        """Return where a token is among all places of a canvas, row by row."""
        row, column = divmod(token, self.grid[1])
        return (row + self.reach) * (self.grid[1] + 2 * self.reach) + column + self.reach

    def windows(self) -> Tensor:
        """Return the places of a canvas that each token sees without attention, int64 (T, n)."""
        across = self.grid[1] + 2 * self.reach
        rows, columns = torch.arange(self.reach + 1), torch.arange(2 * self.reach + 1)
        window = (across * (rows - self.reach)[:, None] + columns - self.reach).flatten()
        places = torch.tensor([self.place_on_canvas(t) for t in range(self.sequence[0])])
        return places[:, None] + window[: self.before]

    def seen(self, around: Tensor, previous: Tensor) -> Tensor:
        """Return what tokens see without attention (B, T, width).

        `around` (B, T, S * n) are the patches around that came before; `previous` (B, T, S) are
        those just before in reading order, which at the start of a row is none of those around.
        """
        seen: Tensor = self.surroundings(torch.cat([around, previous], dim=2))
        return seen

    def positions(self) -> Tensor:
        """Return what tokens have by their place (T, width)."""
        return (self.row_positions + self.column_positions).flatten(0, 1)

    def with_class(self, tokens: Tensor, labels: Tensor | None) -> Tensor:
        """Return tokens (B, T, width) after that of the class, if there are classes."""
        if self.classes is None:
            return tokens
        if labels is None:
            raise LabelError(
                "this autoregressor is class-conditional, but got no labels.",
                hint="Pass labels, int64 of shape (B,); -1 stands for none.",
            )
        none = self.classes.num_embeddings - 1
        return torch.cat([self.classes(labels.where(labels >= 0, none))[:, None], tokens], dim=1)

    def ordered_within(self) -> Tensor | None:
        """Return what symbol j is to symbol i of its patch (i, j, features): 0 but for j < i."""
        if self.within is None:
            return None
        return self.within * torch.ones_like(self.within[..., 0]).tril(-1)[..., None]

    def contexts(self, tokens: Tensor) -> Tensor:
        """Return what is known of the symbols of tokens (B, T, width): (B, T, S, features)."""
        known: Tensor = self.context(self.norm(tokens)).unflatten(2, (self.sequence[1], -1))
        return known

    def logits(self, contexts: Tensor) -> Tensor:
        """Return the logits (..., levels) of symbols, given what is known of each."""
        features = F.gelu(contexts)
        logits: Tensor = self.answer(features + F.gelu(self.mixing(features)))
        return logits

    def reader(
        self,
        count: int,
        labels: Tensor | None = None,
        dtype: torch.dtype = torch.float64,
        translate: Callable[[Any], Any] | None = None,
    ) -> Reader:
        """Return what asks for the symbols of `count` images one after the other, in `dtype`.

        `translate`, as torch.compile, is given what is done for a token and for a symbol.
        """
        return Reader(self, count, labels, dtype, translate)
