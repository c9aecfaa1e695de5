"""The learned prior: RealNVP (Dinh et al. 2017, arXiv:1605.08803) over the latent, given the class.

The encoder's codes do not fill N(0, I) evenly, and the decoder has seen no image for the gaps: a
prior that learns where the codes are draws its samples there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genzoo import ImageSpec, UnsupportedError
from genzoo.objectives.common import at_least_float32
from genzoo_vae.config import VAEConfig
from genzoo_vae.labels import class_embedding, embed

__all__ = ["Coupling", "Prior"]

_LOG_SCALE = 2.0  # of one coupling at most: a factor of e^2, so that no inverse overflows


class Prior(nn.Module):
    """An invertible map from z (B, Z) to base (B, Z), which is N(0, I); at first the identity.

    log p(z | class) = log N(base; 0, I) + log_det (eq. 2). Raises UnsupportedError for Z below 2:
    a coupling transforms one half of z by the other.
    """

    def __init__(self, image: ImageSpec, config: VAEConfig) -> None:
        super().__init__()
        if config.latent_dim < 2:
            raise UnsupportedError(
                "vae cannot learn the prior of a latent of one dimension.",
                hint="Set latent_dim to 2 or more, or prior_layers to 0.",
            )
        self.latent_dim = config.latent_dim
        self.couplings = nn.ModuleList(
            Coupling(*_halves(config.latent_dim, layer), config.prior_width, image.classes)
            for layer in range(config.prior_layers)
        )

    def forward(self, z: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return base (B, Z) of z (B, Z), and the log-determinant (B,) of the Jacobian there.

        Both are float32 at least, also under autocast.
        """
        base = at_least_float32(z)
        log_det = torch.zeros_like(base[:, 0])
        with torch.autocast(z.device.type, enabled=False):
            for coupling in self.couplings:
                base, change = coupling(base, labels)
                log_det = log_det + change
        return base, log_det

    def inverse(self, base: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return z (B, Z) of base (B, Z), in its dtype."""
        z = at_least_float32(base)
        with torch.autocast(base.device.type, enabled=False):
            for coupling in reversed(self.couplings):
                assert isinstance(coupling, Coupling)
                z = coupling.inverse(z, labels)
        return z.to(base.dtype)


class Coupling(nn.Module):
    """Scales and shifts the dimensions `moved` by what an MLP makes of the others, `kept`.

    Each is given as the indices of its dimensions.
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

    def forward(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return z (B, Z) transformed, and the log-determinant (B,) (eq. 5 and 6)."""
        log_scale, shift = self._affine(z, labels)
        return self._replaced(z, z[:, self.moved] * log_scale.exp() + shift), log_scale.sum(1)

    def inverse(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Return the z (B, Z) that `forward` transforms to this one (eq. 8)."""
        log_scale, shift = self._affine(z, labels)
        return self._replaced(z, (z[:, self.moved] - shift) * torch.exp(-log_scale))

    def _affine(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        hidden = self.input(z[:, self.kept].to(self.input.weight.dtype))
        classes = embed(self.embedding, labels)
        if classes is not None:
            hidden = hidden + classes
        hidden = F.silu(self.hidden(F.silu(hidden)))
        log_scale, shift = self.output(hidden).to(z.dtype).chunk(2, dim=1)
        return _LOG_SCALE * torch.tanh(log_scale / _LOG_SCALE), shift

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
