"""The exponential moving average of the weights that sample."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from genzoo.registry.training_config import EMAConfig

__all__ = ["averaged", "decay_at"]

_Tensors = list[Tensor] | tuple[Tensor, ...]


def decay_at(config: EMAConfig, updates: int) -> float:
    """Return the decay after `updates` updates: min(decay, (1 + t) / (10 + t)) while it rises."""
    return min(config.decay, (1 + updates) / (10 + updates)) if config.rampup else config.decay


def averaged(networks: nn.ModuleDict, config: EMAConfig) -> AveragedModel:
    """Return a copy of the networks that follows them by `update_parameters`, buffers too."""

    def update(averages: _Tensors, values: _Tensors, updates: Tensor | int) -> None:
        if averages[0].is_floating_point():
            # Not `updates`: that is a copy on the device, and to read it is to wait for the device.
            decay = decay_at(config, int(copy.n_averaged))
            torch._foreach_lerp_(averages, values, 1 - decay)
            for mask, value in masks:
                mask.copy_(value)
        else:  # BatchNorm counts its batches in integers
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)

    copy = AveragedModel(networks, multi_avg_fn=update, use_buffers=True)
    copy.requires_grad_(False)
    # An attention mask of -inf has no average: the difference of two infinities is NaN.
    masks = [
        (average, value)
        for average, value in zip(copy.module.buffers(), networks.buffers(), strict=True)
        if not value.isfinite().all()
    ]
    return copy.eval()
