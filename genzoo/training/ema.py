"""The exponential moving average of the weights that sample."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from genzoo.registry.training_config import EMAConfig

__all__ = ["averaged", "decay_at"]


def decay_at(config: EMAConfig, updates: int) -> float:
    """Return the decay after `updates` updates: min(decay, (1 + t) / (10 + t)) while it rises."""
    return min(config.decay, (1 + updates) / (10 + updates)) if config.rampup else config.decay


def averaged(networks: nn.ModuleDict, config: EMAConfig) -> AveragedModel:
    """Return a copy of the networks that follows them by `update_parameters`, buffers too."""
    return _Average(networks, config).requires_grad_(False).eval()


class _Average(AveragedModel):
    """PyTorch's own, which looks for all tensors and sorts them at each update: this one once."""

    def __init__(self, networks: nn.ModuleDict, config: EMAConfig) -> None:
        super().__init__(networks, use_buffers=True)
        self._config = config
        self._averages: list[Tensor] = list(self.module.parameters())
        self._values: list[Tensor] = list(networks.parameters())
        # A module may put another tensor in a buffer's place: these are looked up each time.
        self._buffers_of = [
            (ours, theirs, name)
            for ours, theirs in zip(self.module.modules(), networks.modules(), strict=True)
            for name, buffer in theirs._buffers.items()
            if buffer is not None
        ]
        # An attention mask of -inf has no average: the difference of two infinities is NaN.
        self._masks = {
            place
            for place, (_, value) in enumerate(self._buffer_pairs())
            if value.is_floating_point() and not value.isfinite().all()
        }

    def _buffer_pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        for ours, theirs, name in self._buffers_of:
            average, value = ours._buffers[name], theirs._buffers[name]
            assert average is not None
            assert value is not None
            yield average, value

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Follow the networks by one step; BatchNorm counts its batches in integers: a copy."""
        averages, values = [*self._averages], [*self._values]
        copied = []
        for place, (average, value) in enumerate(self._buffer_pairs()):
            if value.is_floating_point() and place not in self._masks:
                averages.append(average)
                values.append(value)
            else:
                copied.append((average, value))
        done = int(self.n_averaged)  # it is on the CPU: no wait for the device
        decay = decay_at(self._config, done) if done else 0.0
        torch._foreach_lerp_(averages, values, 1 - decay)
        for average, value in copied:
            average.copy_(value)
        self.n_averaged += 1
