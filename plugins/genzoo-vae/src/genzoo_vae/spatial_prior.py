"""The learned prior of the spatial latent, given the class and the latent of the whole image.

A masked autoregressive flow (Papamakarios et al. 2017, arXiv:1705.07057): what the maps hold at one
place is told by what they hold before it, by the masked convolutions of a PixelCNN (van den Oord et
al. 2016, arXiv:1601.06759). A density takes one pass of the networks, a draw one per place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genzoo_vae.config import VAEConfig
from genzoo_vae.flow import Flow, Transform, bounded
from genzoo_vae.labels import class_embedding, embed

__all__ = ["Autoregression", "SpatialPrior"]

_REACH = 20.0  # what a place tells the others ends there, so that no draw grows from place to place
_KERNEL = 5  # of the first masked convolution
_BLOCKS = 2  # of 3x3 behind it


class SpatialPrior(nn.Module):
    """An invertible map from maps, flat (B, S), to their base (B, S); at first the identity.

    S is spatial_channels times the height and the width of `base`.
    """

    def __init__(self, classes: int | None, config: VAEConfig, base: tuple[int, int]) -> None:
        super().__init__()
        self.shape = (config.spatial_channels, *base)
        self.context_shape = (config.channels, *base)
        self.embedding = class_embedding(classes, config.prior_width)
        self.hidden = nn.Linear(config.latent_dim, config.prior_width)
        self.context = nn.Linear(config.prior_width, math.prod(self.context_shape))
        # Once from the first place to the last and once back, so that each acts on all others.
        self.transforms: Flow[Tensor] = Flow(
            Autoregression(config.spatial_channels, config.channels, 2 * config.channels, backwards)
            for backwards in (False, True)
        )

    def forward(self, maps: Tensor, whole: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return base (B, S) and the log-determinant (B,) of maps (B, S), given whole (B, Z)."""
        base, log_det = self.transforms(maps.unflatten(1, self.shape), self._context(whole, labels))
        return base.flatten(1), log_det

    def inverse(self, base: Tensor, whole: Tensor, labels: Tensor | None) -> Tensor:
        """Return the maps (B, S) of base (B, S), given whole (B, Z)."""
        context = self._context(whole, labels)
        return self.transforms.inverse(base.unflatten(1, self.shape), context).flatten(1)

    def _context(self, whole: Tensor, labels: Tensor | None) -> Tensor:
        hidden: Tensor = self.hidden(whole.to(self.hidden.weight.dtype))
        classes = embed(self.embedding, labels)
        if classes is not None:
            hidden = hidden + classes
        return F.silu(self.context(F.silu(hidden)).unflatten(1, self.context_shape))


class Autoregression(Transform[Tensor]):
    """Makes each place of maps (B, C, h, w) N(0, I), given the places before it in reading order.

    There the maps are Gaussian with any covariance of the channels. `backwards` reads from the last
    place to the first. The context is (B, context, h, w).
    """

    def __init__(self, channels: int, context: int, width: int, backwards: bool) -> None:
        super().__init__()
        self.parts = (channels, channels, channels * channels)
        self.backwards = backwards
        self.input = MaskedConv2d(channels, width, _KERNEL, sees_itself=False)
        self.context = nn.Conv2d(context, width, 1)
        self.blocks = nn.ModuleList(MaskedBlock(width) for _ in range(_BLOCKS))
        self.output = nn.Conv2d(width, sum(self.parts), 1)
        for parameter in self.output.parameters():
            nn.init.zeros_(parameter)

    def forward(self, z: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (B, C, h, w) transformed, and the log-determinant (B,) (eq. 4 and 5)."""
        turned, context = self._turned(z), self.context(self._turned(condition))
        features = self.input(_told(turned).to(context.dtype)) + context
        for block in self.blocks:
            features = block(features)
        log_scale, shift, mixing = self._affine(features, z.dtype)
        base = turned * log_scale.exp() + shift + (mixing * turned[:, None]).sum(2)
        return self._turned(base), log_scale.flatten(1).sum(1)

    def inverse(self, z: Tensor, condition: Tensor) -> Tensor:
        """Return the z (B, C, h, w) that `forward` transforms to this one, place by place."""
        base, context = self._turned(z), self.context(self._turned(condition))
        result = torch.empty_like(base)
        told = KnownPlaces(self.input, context)
        blocks = cast("Iterable[MaskedBlock]", self.blocks)
        inside = [(block, KnownPlaces(block.masked, context)) for block in blocks]
        for row in range(base.shape[2]):
            for column in range(base.shape[3]):
                place = row, column
                features = self.input.at(told, place) + context[..., row, column, None, None]
                for block, known in inside:
                    features = block.at(features, known, place)
                log_scale, shift, mixing = (
                    part[..., 0, 0] for part in self._affine(features, base.dtype)
                )
                triangular = mixing + torch.diag_embed(log_scale.exp())
                right = (base[..., row, column] - shift)[..., None]
                solved = torch.linalg.solve_triangular(triangular, right, upper=False)
                result[..., row, column] = solved[..., 0]
                told.tell(place, _told(solved[..., None]))
        return self._turned(result)

    def _turned(self, maps: Tensor) -> Tensor:
        return maps.flip(2, 3) if self.backwards else maps

    def _affine(self, features: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Return log scales and shifts (B, C, h, w), and what mixes the channels of one place.

        That is (B, C, C, h, w), and lower triangular without its diagonal.
        """
        parameters = self.output(F.silu(features)).to(dtype)
        log_scale, shift, mixing = parameters.split(self.parts, dim=1)
        square = mixing.unflatten(1, (self.parts[0], -1)).movedim((1, 2), (-2, -1)).tril(-1)
        return bounded(log_scale), shift, square.movedim((-2, -1), (1, 2))


def _told(z: Tensor) -> Tensor:
    return _REACH * torch.tanh(z / _REACH)


class MaskedBlock(nn.Module):
    """A masked 3x3 and a 1x1 convolution beside an identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.masked = MaskedConv2d(width, width, 3, sees_itself=True)
        self.mixed = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape (B, width, h, w)."""
        change: Tensor = self.mixed(F.silu(self.masked(F.silu(features))))
        return features + change

    def at(self, features: Tensor, known: KnownPlaces, place: tuple[int, int]) -> Tensor:
        """Return what `forward` gives of features (B, width, 1, 1) at one place, and tell them."""
        known.tell(place, F.silu(features))
        change: Tensor = self.mixed(F.silu(self.masked.at(known, place)))
        return features + change


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees the places before its own in reading order; its own too if told."""

    mask: Tensor

    def __init__(self, before: int, after: int, size: int, sees_itself: bool) -> None:
        super().__init__(before, after, size, padding=size // 2)
        places = torch.arange(size * size).view(size, size)
        centre = size * size // 2
        mask = (places <= centre) if sees_itself else (places < centre)
        self.register_buffer("mask", mask.float(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, after, h, w) of features (B, before, h, w)."""
        return F.conv2d(features, self.weight * self.mask, self.bias, padding=self.padding)

    def at(self, known: KnownPlaces, place: tuple[int, int]) -> Tensor:
        """Return what `forward` gives at one place, (B, after, 1, 1), of maps told so far.

        What is not told yet is zero, which is what the mask would make of it.
        """
        return F.conv2d(known.around(place), self.weight, self.bias)


class KnownPlaces:
    """Maps (B, C, h, w) that are told place by place, for a convolution to see; at first zeros."""

    def __init__(self, convolution: MaskedConv2d, like: Tensor) -> None:
        self.size = convolution.kernel_size[0]
        self.edge = self.size // 2
        batch, _, height, width = like.shape
        sides = (side + 2 * self.edge for side in (height, width))
        self.padded = like.new_zeros(batch, convolution.in_channels, *sides)

    def tell(self, place: tuple[int, int], features: Tensor) -> None:
        """Put features (B, C, 1, 1) at a place."""
        row, column = place
        self.padded[..., row + self.edge, column + self.edge] = features[..., 0, 0]

    def around(self, place: tuple[int, int]) -> Tensor:
        """Return the maps around a place, (B, C, size, size)."""
        row, column = place
        return self.padded[..., row : row + self.size, column : column + self.size]
