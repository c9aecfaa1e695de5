"""The exponential moving average of the weights that sample."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.spectral_norm import SpectralNorm
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
        self._spectra = [*_spectra(self.module)]
        own = {id(vector) for spectrum in self._spectra for vector in spectrum.vectors}
        # A module may put another tensor in a buffer's place: these are looked up each time.
        self._buffers_of = [
            (ours, theirs, name)
            for ours, theirs in zip(self.module.modules(), networks.modules(), strict=True)
            for name, buffer in theirs._buffers.items()
            if buffer is not None and id(ours._buffers[name]) not in own
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
        for spectrum in self._spectra:
            spectrum.follow()
        self.n_averaged += 1


class _Spectrum:
    """A spectral normalization of an averaged weight, whose vectors are that weight's own.

    They are neither averaged, for the mean of unit vectors is shorter than one, nor copied, for the
    trained weight's do not fit: both would divide by less than the largest singular value.
    """

    def __init__(self, follow: Callable[[], object], vectors: Sequence[Tensor]) -> None:
        self.follow = follow
        """Take one step of power iteration, as each forward in training does."""
        self.vectors = vectors


def _spectra(module: nn.Module) -> Iterator[_Spectrum]:
    """Yield the spectral normalizations in a module, of both kinds that PyTorch has."""
    for each in module.modules():
        if isinstance(each, ParametrizationList):
            norms = [part for part in each if isinstance(part, _SpectralNorm)]
            if norms:
                vectors = [vector for norm in norms for vector in norm.buffers()]
                yield _Spectrum(functools.partial(_iterate, each), vectors)
        for hook in each._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                step = functools.partial(hook.compute_weight, each, do_power_iteration=True)
                vectors = [each.get_buffer(f"{hook.name}_{side}") for side in ("u", "v")]
                yield _Spectrum(step, vectors)


def _iterate(weight: ParametrizationList) -> None:
    weight.train()
    weight()
    weight.eval()
