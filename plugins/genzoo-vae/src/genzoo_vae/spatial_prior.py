"""The learned prior of the spatial latent, given the class and the latent of the whole image.

A flow of convolutions: what the maps hold at one place goes with what they hold beside it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genzoo_vae.config import VAEConfig
from genzoo_vae.coupling import AffineCoupling, Flow
from genzoo_vae.labels import class_embedding, embed

__all__ = ["SpatialCoupling", "SpatialPrior"]


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
        every = range(config.spatial_channels)
        half = len(every) // 2
        halves = [(every[:half], every[half:]), (every[half:], every[:half])]
        # First all channels by the context alone, then one half in turn by the other as well.
        parts = [(range(0), every), *(halves[layer % 2] for layer in range(config.prior_layers))]
        self.couplings: Flow[Tensor] = Flow(
            SpatialCoupling(kept, moved, config.channels) for kept, moved in parts
        )

    def forward(self, maps: Tensor, whole: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return base (B, S) and the log-determinant (B,) of maps (B, S), given whole (B, Z)."""
        base, log_det = self.couplings(maps.unflatten(1, self.shape), self._context(whole, labels))
        return base.flatten(1), log_det

    def inverse(self, base: Tensor, whole: Tensor, labels: Tensor | None) -> Tensor:
        """Return the maps (B, S) of base (B, S), given whole (B, Z)."""
        context = self._context(whole, labels)
        return self.couplings.inverse(base.unflatten(1, self.shape), context).flatten(1)

    def _context(self, whole: Tensor, labels: Tensor | None) -> Tensor:
        hidden: Tensor = self.hidden(whole.to(self.hidden.weight.dtype))
        classes = embed(self.embedding, labels)
        if classes is not None:
            hidden = hidden + classes
        return F.silu(self.context(F.silu(hidden)).unflatten(1, self.context_shape))


class SpatialCoupling(AffineCoupling[Tensor]):
    """A coupling of maps (B, C, h, w) by convolutions; the context is (B, width, h, w)."""

    def __init__(self, kept: range, moved: range, width: int) -> None:
        super().__init__(kept, moved)
        self.input = nn.Conv2d(len(kept) + width, width, 3, padding=1)
        self.hidden = nn.Conv2d(width, width, 3, padding=1)
        self.output = nn.Conv2d(width, 2 * len(moved), 1)
        for parameter in self.output.parameters():
            nn.init.zeros_(parameter)

    def affine(self, kept: Tensor, condition: Tensor) -> Tensor:
        """Return log scales and shifts (B, 2 * moved, h, w) by the context."""
        hidden = F.silu(self.input(torch.cat([kept.to(condition.dtype), condition], dim=1)))
        parameters: Tensor = self.output(F.silu(self.hidden(hidden)))
        return parameters
