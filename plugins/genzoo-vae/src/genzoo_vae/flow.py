"""Normalizing flows: invertible transforms, one after the other."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["Flow", "Transform", "bounded"]

_LOG_SCALE = 2.0  # of one transform at most: a factor of e^2, so that no inverse overflows

Condition = TypeVar("Condition")


def bounded(log_scale: Tensor) -> Tensor:
    """Return log scales between those of e^-2 and e^2, and nearly unchanged close to 0."""
    return _LOG_SCALE * torch.tanh(log_scale / _LOG_SCALE)


class Transform(nn.Module, Generic[Condition]):
    """An invertible map of z (B, ...) to the same shape, under a condition."""

    def forward(self, z: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """Return z (B, ...) transformed, and the log-determinant (B,) of the Jacobian there."""
        raise NotImplementedError

    def inverse(self, z: Tensor, condition: Condition) -> Tensor:
        """Return the z (B, ...) that `forward` transforms to this one."""
        raise NotImplementedError


class Flow(nn.ModuleList, Generic[Condition]):
    """Transforms, one after the other."""

    def forward(self, z: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """Return z (B, ...) transformed by all, and the log-determinant (B,)."""
        log_det = torch.zeros_like(z.flatten(1)[:, 0])
        for transform in self:
            z, change = transform(z, condition)
            log_det = log_det + change
        return z, log_det

    def inverse(self, z: Tensor, condition: Condition) -> Tensor:
        """Return the z (B, ...) that `forward` transforms to this one."""
        for transform in reversed(self):
            assert isinstance(transform, Transform)
            z = transform.inverse(z, condition)
        return z
