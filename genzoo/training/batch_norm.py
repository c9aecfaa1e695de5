"""BatchNorm that sees the global batch where several processes share it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from genzoo.objectives.common import at_least_float32
from genzoo.processes import global_mean, world_size

__all__ = ["GlobalBatchNorm", "with_global_batch_norm"]


class GlobalBatchNorm(_BatchNorm):
    """BatchNorm (Ioffe and Szegedy 2015, algorithm 1) over the rows of all processes.

    torch.nn.SyncBatchNorm works on GPUs alone and has no second derivative, which gradient
    penalties need. The shares of all processes must be equally large.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalize features (B, C, ...) of this process's rows, likewise."""
        if not self.training:  # what one process draws or evaluates, the others know nothing of
            return F.batch_norm(
                input,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                training=self.running_mean is None,
                eps=self.eps,
            )
        features = at_least_float32(input)
        dims = [0, *range(2, input.ndim)]
        mean = global_mean(features.mean(dims))  # (C,)
        centred = features - self._per_channel(mean, features)
        variance = global_mean(centred.square().mean(dims))
        self._follow(
            mean.detach(), variance.detach(), input.numel() // input.shape[1] * world_size()
        )
        normalized = centred * self._per_channel((variance + self.eps).rsqrt(), features)
        if self.affine:
            scale, shift = (self._per_channel(p, features) for p in (self.weight, self.bias))
            normalized = normalized * scale + shift
        return normalized.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running statistics, the variance being the unbiased one, as PyTorch does."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        rate = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, rate)
        self.running_var.lerp_(variance * (count / (count - 1)), rate)

    @staticmethod
    def _per_channel(values: Tensor, features: Tensor) -> Tensor:
        return values.view(1, -1, *[1] * (features.ndim - 2))

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any number of dimensions from 2 on, as torch.nn.SyncBatchNorm does."""


def with_global_batch_norm(module: nn.Module) -> nn.Module:
    """Return a module with each BatchNorm in it replaced; parameters and buffers are the same."""
    if isinstance(module, _BatchNorm):
        return _converted(module)
    for name, child in module.named_children():
        setattr(module, name, with_global_batch_norm(child))
    return module


def _converted(norm: _BatchNorm) -> GlobalBatchNorm:
    made = GlobalBatchNorm(
        norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
    )
    made._parameters, made._buffers = norm._parameters, norm._buffers
    return made.train(norm.training)
