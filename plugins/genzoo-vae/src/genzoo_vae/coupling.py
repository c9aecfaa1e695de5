"""Affine couplings, what RealNVP is built of (Dinh et al. 2017, arXiv:1605.08803)."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["AffineCoupling", "Flow"]

_LOG_SCALE = 2.0  # of one coupling at most: a factor of e^2, so that no inverse overflows

Condition = TypeVar("Condition")


class AffineCoupling(nn.Module, Generic[Condition]):
    """Scales and shifts the channels `moved` by what a network makes of the others, `kept`.

    Each is given as the indices of its channels, which are dimension 1.
    """

    def __init__(self, kept: range, moved: range) -> None:
        super().__init__()
        self.kept, self.moved = (slice(part.start, part.stop, part.step) for part in (kept, moved))

    def affine(self, kept: Tensor, condition: Condition) -> Tensor:
        """Return log scales and, behind them on dimension 1, shifts: each like what is moved."""
        raise NotImplementedError

    def forward(self, z: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """Return z (B, C, ...) transformed, and the log-determinant (B,) (eq. 5 and 6)."""
        log_scale, shift = self._bounded(z, condition)
        moved = z[:, self.moved] * log_scale.exp() + shift
        return self._replaced(z, moved), log_scale.flatten(1).sum(1)

    def inverse(self, z: Tensor, condition: Condition) -> Tensor:
        """Return the z (B, C, ...) that `forward` transforms to this one (eq. 8)."""
        log_scale, shift = self._bounded(z, condition)
        return self._replaced(z, (z[:, self.moved] - shift) * torch.exp(-log_scale))

    def _bounded(self, z: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.affine(z[:, self.kept], condition).to(z.dtype).chunk(2, dim=1)
        return _LOG_SCALE * torch.tanh(log_scale / _LOG_SCALE), shift

    def _replaced(self, z: Tensor, moved: Tensor) -> Tensor:
        result = z.clone()
        result[:, self.moved] = moved
        return result


class Flow(nn.ModuleList, Generic[Condition]):
    """Couplings, one after the other."""

    def forward(self, z: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """Return z (B, C, ...) transformed by all, and the log-determinant (B,)."""
        log_det = torch.zeros_like(z.flatten(1)[:, 0])
        for coupling in self:
            z, change = coupling(z, condition)
            log_det = log_det + change
        return z, log_det

    def inverse(self, z: Tensor, condition: Condition) -> Tensor:
        """Return the z (B, C, ...) that `forward` transforms to this one."""
        for coupling in reversed(self):
            assert isinstance(coupling, AffineCoupling)
            z = coupling.inverse(z, condition)
        return z
