"""The exponential moving average of the weights that sample."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from genzoo.registry.config import EMAConfig

__all__ = ["averaged", "decay_at"]


def decay_at(config: EMAConfig, updates: int) -> float:
    """Return the decay after `updates` updates: min(decay, (1 + t) / (10 + t)) while it ramps up."""
    return min(config.decay, (1 + updates) / (10 + updates)) if config.rampup else config.decay


def averaged(networks: nn.ModuleDict, config: EMAConfig) -> AveragedModel:
    """Return a copy of the networks that follows them by `update_parameters`, BatchNorm's buffers too."""

    def update(averages: Sequence[Tensor], values: Sequence[Tensor], updates: Tensor | int) -> None:
        decay = decay_at(config, int(updates))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, 1 - decay)
        else:  # BatchNorm counts its batches in integers
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)

    copy = AveragedModel(networks, multi_avg_fn=update, use_buffers=True)
    copy.requires_grad_(False)
    return copy.eval()
