"""Distributions over images in [-1, 1], for the last layer of a decoder.

`log_prob` is in nats per image, summed over the event. Some are densities and some probabilities:
log-likelihoods compare only between models of the same kind, over the same levels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint
from torch.nn import functional as F
from torch.types import _size

from genzoo.errors import PluginError, UnknownNameError, did_you_mean
from genzoo.objectives.common import at_least_float32

__all__ = [
    "LIKELIHOODS",
    "MIN_LOG_SCALE",
    "DiscretizedLogistic",
    "PixelBernoulli",
    "PixelCategorical",
    "PixelGaussian",
    "image_distribution",
    "parameters_per_channel",
]

LIKELIHOODS = ("bernoulli", "gaussian", "discretized-logistic", "categorical")
MIN_LOG_SCALE = -7.0
"""The floor of a learned log scale: any lower is finer than the levels of an 8-bit image."""
_ONE_DRAW = torch.Size()
_PARAMETERS = ("logits", "location", "log_scale")


class _Levels(Constraint):
    """Images (..., C, H, W) whose values are all of `bins` levels, evenly spaced over [-1, 1]."""

    is_discrete = True

    def __init__(self, bins: int) -> None:
        self.bins = bins

    def check(self, value: Tensor) -> Tensor:
        """Return a bool (...,), as torch's constraints do."""
        levels = _to_images(_to_levels(value, self.bins), self.bins, value.dtype)
        return torch.isclose(value, levels, rtol=0, atol=1e-5)


class _ImageDistribution(Distribution):
    """Parameters of shape (B, *event), the event being all dimensions but the first."""

    def __init__(self, shape: torch.Size) -> None:
        # Validation would wait for the device at every step.
        super().__init__(shape[:1], shape[1:], validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {name: constraints.real for name in _PARAMETERS if name in self.__dict__}

    def _sum(self, log_probs: Tensor) -> Tensor:
        return log_probs.sum(dim=tuple(range(-len(self.event_shape), 0)))

    def quantile(self, uniform: Tensor) -> Tensor:
        """Return the draws (*, B, *event) that numbers in [0, 1) of that shape stand for."""
        raise NotImplementedError

    @torch.no_grad()
    def sample(self, sample_shape: _size = _ONE_DRAW) -> Tensor:
        """Return draws (*sample_shape, B, *event)."""
        shape = self._extended_shape(sample_shape)
        parameter: Tensor = next(vars(self)[name] for name in _PARAMETERS if name in vars(self))
        return self.quantile(torch.rand(shape, dtype=parameter.dtype, device=parameter.device))


class PixelBernoulli(_ImageDistribution):
    """Pixels that are -1 or 1, from `logits` (B, *event) of being 1.

    A probability for such images. For values in between it is the negative cross-entropy to
    (x + 1) / 2: the usual loss of a VAE, but neither a density nor a probability.
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = at_least_float32(logits)
        super().__init__(logits.shape)

    @property
    def support(self) -> Constraint:
        """What this is a probability of: images of -1 and 1."""
        return _Levels(2)

    @property
    def mean(self) -> Tensor:
        """The expected image (B, *event): 2 s(logits) - 1."""
        return torch.tanh(self.logits / 2)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return (B,) nats of images (B, *event) in [-1, 1]."""
        return self._sum((value + 1) / 2 * self.logits - F.softplus(self.logits))

    def quantile(self, uniform: Tensor) -> Tensor:
        """Return images (*, B, *event) of -1 and 1, those that `uniform` in [0, 1) stands for."""
        return torch.where(uniform < self.logits.sigmoid(), 1.0, -1.0).to(self.logits.dtype)


class PixelGaussian(_ImageDistribution):
    """Independent Gaussians of `mean` (B, *event) and a `log_scale` that broadcasts to it.

    A density over the reals: it can exceed 1, and grows without bound as the scale of a pixel that
    never changes shrinks.
    """

    def __init__(self, mean: Tensor, log_scale: Tensor) -> None:
        self.location, self.log_scale = at_least_float32(mean), at_least_float32(log_scale)
        super().__init__(mean.shape)

    @property
    def support(self) -> Constraint:
        """All images: this is a density."""
        return constraints.real

    @property
    def mean(self) -> Tensor:
        """The mean (B, *event), clamped to [-1, 1] so that it is an image."""
        return self.location.clamp(-1, 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return (B,) nats of images (B, *event)."""
        standardized = (value - self.location) * torch.exp(-self.log_scale)
        return self._sum(-standardized.square() / 2 - self.log_scale - math.log(2 * math.pi) / 2)

    def quantile(self, uniform: Tensor) -> Tensor:
        """Return values (*, B, *event), which may leave [-1, 1], of `uniform` in [0, 1)."""
        # Off the ends, where a normal is infinite.
        inside = uniform.clamp(1e-7, 1 - 1e-7)
        noise: Tensor = torch.special.ndtri(inside)
        return self.location + self.log_scale.exp() * noise


class DiscretizedLogistic(_ImageDistribution):
    """Logistics of `mean` (B, *event) and a `log_scale` that broadcasts to it, over `bins` levels.

    P(x) = s((x + h - mean) / scale) - s((x - h - mean) / scale), h half the step of the levels; the
    lowest and the highest take the tails (Salimans et al. 2017, eq. 2, one component). It is a
    probability: it sums to 1 over the levels. Images are rounded to the nearest level.
    """

    def __init__(self, mean: Tensor, log_scale: Tensor, bins: int = 256) -> None:
        self.location, self.log_scale = at_least_float32(mean), at_least_float32(log_scale)
        self.bins = bins
        super().__init__(mean.shape)

    @property
    def support(self) -> Constraint:
        """What this is a probability of: images of the levels."""
        return _Levels(self.bins)

    @property
    def mean(self) -> Tensor:
        """The mean (B, *event) of the logistic clamped to [-1, 1]: half a level off at most."""
        scale = self.log_scale.exp()
        upper = F.softplus((self.location + 1) / scale)
        return scale * (upper - F.softplus((self.location - 1) / scale)) - 1

    def log_prob(self, value: Tensor) -> Tensor:
        """Return (B,) nats of images (B, *event) in [-1, 1]."""
        levels = _to_levels(value, self.bins)
        half = 1 / (self.bins - 1)
        centred = _to_images(levels, self.bins, self.location.dtype) - self.location
        inverse_scale = torch.exp(-self.log_scale)
        # s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)): each factor has an accurate logarithm, while
        # the difference itself is 0 in float32 far from the mean.
        below = F.logsigmoid((centred + half) * inverse_scale)
        above = F.logsigmoid((half - centred) * inverse_scale)
        width = torch.log(-torch.expm1(-2 * half * inverse_scale))
        inside = below + above + width
        log_probs = torch.where(levels == 0, below, inside)
        return self._sum(torch.where(levels == self.bins - 1, above, log_probs))

    def quantile(self, uniform: Tensor) -> Tensor:
        """Return images (*, B, *event) of the levels that `uniform` in [0, 1) stands for."""
        # A uniform of exactly 0 is possible: its logit, minus infinity, is the lowest level.
        values = self.location + self.log_scale.exp() * torch.logit(uniform)
        return _to_images(_to_levels(values, self.bins), self.bins, self.location.dtype)


class PixelCategorical(_ImageDistribution):
    """Pixels of one of K levels, evenly spaced over [-1, 1], from `logits` (B, K, *event).

    A probability: it sums to 1 over the levels. Images are rounded to the nearest level.
    """

    def __init__(self, logits: Tensor) -> None:
        self.bins = logits.shape[1]
        # The level goes last, after it was normalized where the memory is contiguous.
        self.logits = F.log_softmax(at_least_float32(logits), dim=1).movedim(1, -1)
        super().__init__(self.logits.shape[:-1])

    @property
    def support(self) -> Constraint:
        """What this is a probability of: images of the levels."""
        return _Levels(self.bins)

    @property
    def mean(self) -> Tensor:
        """The expected image (B, *event)."""
        levels = torch.arange(self.bins, device=self.logits.device)
        values = _to_images(levels, self.bins, self.logits.dtype)
        return (self.logits.exp() * values).sum(-1)  # a matrix product would be autocast

    def log_prob(self, value: Tensor) -> Tensor:
        """Return (B,) nats of images (B, *event) in [-1, 1]."""
        levels = _to_levels(value, self.bins).unsqueeze(-1)
        logits = self.logits.expand(*levels.shape[:-1], self.bins)
        return self._sum(logits.gather(-1, levels).squeeze(-1))

    def quantile(self, uniform: Tensor) -> Tensor:
        """Return images (*, B, *event) of the levels that `uniform` in [0, 1) stands for."""
        below = self.logits.exp().cumsum(-1)[..., :-1] <= uniform.unsqueeze(-1)
        return _to_images(below.sum(-1), self.bins, self.logits.dtype)


def parameters_per_channel(name: str, bins: int = 256) -> int:
    """Return how many numbers a pixel's channel needs from the decoder's last layer.

    Raises UnknownNameError for a likelihood that does not exist.
    """
    if name not in LIKELIHOODS:
        raise UnknownNameError(
            f"There is no likelihood {name!r}.", hint=did_you_mean(name, LIKELIHOODS)
        )
    return bins if name == "categorical" else 1


def image_distribution(
    name: str,
    parameters: Tensor,
    channels: int,
    bins: int = 256,
    log_scale: Tensor | None = None,
) -> Distribution:
    """Return the distribution over images (B, C, H, W) that a decoder's `parameters` stand for.

    `parameters` are (B, parameters_per_channel * C, H, W): the logits, or the mean itself; for
    `categorical`, map k * C + c is level k of channel c. `gaussian` and `discretized-logistic` need
    a learned `log_scale` that broadcasts to (B, C, H, W); it is held above MIN_LOG_SCALE smoothly,
    so that its gradient never stops. Raises PluginError where these do not fit together.
    """
    expected = channels * parameters_per_channel(name, bins)
    if parameters.shape[1] != expected:
        raise PluginError(
            f"A {name} likelihood of {channels} channels needs {expected} maps, "
            f"but the decoder gives {parameters.shape[1]}.",
            hint="Give its last layer channels * parameters_per_channel(name, bins) maps.",
        )
    if name == "bernoulli":
        return PixelBernoulli(parameters)
    if name == "categorical":
        shape = (parameters.shape[0], bins, channels, *parameters.shape[2:])
        return PixelCategorical(parameters.reshape(shape))
    if log_scale is None:
        raise PluginError(
            f"A {name} likelihood needs a log_scale.",
            hint="Give the decoder a parameter for it, such as torch.zeros(()).",
        )
    log_scale = MIN_LOG_SCALE + F.softplus(at_least_float32(log_scale) - MIN_LOG_SCALE)
    if name == "gaussian":
        return PixelGaussian(parameters, log_scale)
    return DiscretizedLogistic(parameters, log_scale, bins)


def _to_levels(images: Tensor, bins: int) -> Tensor:
    """Return the nearest of `bins` levels, int64, for images in [-1, 1]."""
    return ((images + 1) * ((bins - 1) / 2)).round().clamp(0, bins - 1).long()


def _to_images(levels: Tensor, bins: int, dtype: torch.dtype) -> Tensor:
    return levels.to(dtype) * (2 / (bins - 1)) - 1
