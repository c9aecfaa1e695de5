"""The learned prior: RealNVP (Dinh et al. 2017, arXiv:1605.08803) over the latent, given the class.

The encoder's codes do not fill N(0, I) evenly, and the decoder has seen no image for the gaps: a
prior that learns where the codes are draws its samples there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genzoo import UnsupportedError
from genzoo.objectives.common import at_least_float32
from genzoo_vae.config import VAEConfig
from genzoo_vae.flow import Flow, Transform, bounded
from genzoo_vae.labels import class_embedding, embed
from genzoo_vae.spatial_prior import SpatialPrior

__all__ = ["Coupling", "Prior"]


class Prior(nn.Module):
    """An invertible map from z (B, Z) to base (B, Z), which is N(0, I); at first the identity.

    log p(z | class) = log N(base; 0, I) + log_det (eq. 2). The end of z is the spatial latent, maps
    of height and width `base`, whose prior is conditional on the rest. Raises UnsupportedError for
    a `latent_dim` below 2: a coupling transforms one half of it by the other.
    """

    def __init__(self, classes: int | None, config: VAEConfig, base: tuple[int, int]) -> None:
        super().__init__()
        if config.latent_dim < 2:
            raise UnsupportedError(
                "vae cannot learn the prior of a latent of one dimension.",
                hint="Set latent_dim to 2 or more, or prior_layers to 0.",
            )
        self.parts = (config.latent_dim, config.spatial_channels * math.prod(base))
        self.latent_dim = sum(self.parts)
        self.couplings: Flow[Tensor | None] = Flow(
            Coupling(*_halves(config.latent_dim, layer), config.prior_width, classes)
            for layer in range(config.prior_layers)
        )
        self.spatial: SpatialPrior | None = None
        if config.spatial_channels:
            self.spatial = SpatialPrior(classes, config, base)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return base (B, Z) of z (B, Z), and the log-determinant (B,) of the Jacobian there.

        Both are float32 at least, also under autocast.
        """
        whole, spatial = at_least_float32(z).split(self.parts, dim=1)
        with torch.autocast(z.device.type, enabled=False):
            base, log_det = self.couplings(whole, labels)
            if self.spatial is not None:
                spatial, change = self.spatial(spatial, whole, labels)
                log_det = log_det + change
        return torch.cat([base, spatial], dim=1), log_det

    def inverse(self, base: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return z (B, Z) of base (B, Z), in its dtype."""
        whole, spatial = at_least_float32(base).split(self.parts, dim=1)
        with torch.autocast(base.device.type, enabled=False):
            whole = self.couplings.inverse(whole, labels)
            if self.spatial is not None:
                spatial = self.spatial.inverse(spatial, whole, labels)
        return torch.cat([whole, spatial], dim=1).to(base.dtype)


class Coupling(Transform["Tensor | None"]):
    """Scales and shifts the dimensions `moved` of z (B, Z) by what an MLP makes of those `kept`.

    The MLP is told the class.
    """

    def __init__(self, kept: range, moved: range, width: int, classes: int | None) -> None:
        super().__init__()
        self.kept, self.moved = (slice(part.start, part.stop, part.step) for part in (kept, moved))
        self.embedding = class_embedding(classes, width)
        self.input = nn.Linear(len(kept), width)
        self.hidden = nn.Linear(width, width)
        self.output = nn.Linear(width, 2 * len(moved))
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return z (B, Z) transformed, given labels (B,), and the log-determinant (eq. 5 and 6)."""
        log_scale, shift = self._affine(z, condition)
        moved = z[:, self.moved] * log_scale.exp() + shift
        return self._replaced(z, moved), log_scale.sum(1)

    def inverse(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """Return the z (B, Z) that `forward` transforms to this one (eq. 8)."""
        log_scale, shift = self._affine(z, condition)
        return self._replaced(z, (z[:, self.moved] - shift) * torch.exp(-log_scale))

    def _affine(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        hidden = self.input(z[:, self.kept].to(self.input.weight.dtype))
        classes = embed(self.embedding, labels)
        if classes is not None:
            hidden = hidden + classes
        parameters: Tensor = self.output(F.silu(self.hidden(F.silu(hidden))))
        log_scale, shift = parameters.to(z.dtype).chunk(2, dim=1)
        return bounded(log_scale), shift

    def _replaced(self, z: Tensor, moved: Tensor) -> Tensor:
        result = z.clone()
        result[:, self.moved] = moved
        return result


def _halves(size: int, layer: int) -> tuple[range, range]:
    """Return the dimensions that a layer keeps, and those that it moves.

    Two layers in turn move all dimensions. The next two split them in another way, so that those of
    one half act on each other as well.
    """
    everything, half = range(size), size // 2
    splits = ((everything[:half], everything[half:]), (everything[::2], everything[1::2]))
    kept, moved = splits[layer // 2 % 2]
    return (kept, moved) if layer % 2 == 0 else (moved, kept)
