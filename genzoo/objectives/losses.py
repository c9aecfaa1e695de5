"""What a discriminator and a generator minimize against each other, from logits alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

__all__ = ["AdversarialLoss", "losses"]


class AdversarialLoss(NamedTuple):
    """Two functions of (real_logits (B,), fake_logits (B,)), each to a scalar to minimize."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    paired: bool = False
    """The generator's looks at the real logits too."""
    smoothed: Callable[[Tensor, Tensor, float], Tensor] | None = None
    """The discriminator's, with 1 - smoothing for the target of real images (one-sided label
    smoothing, Salimans et al. 2016, arXiv:1606.03498, section 3.4); None where there is no target.
    """


def _logistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log s(D(x))] - E[log(1 - s(D(G(z))))], s the sigmoid (Goodfellow et al. 2014, eq. 1)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def _smoothed_logistic_discriminator(real: Tensor, fake: Tensor, smoothing: float) -> Tensor:
    """-E[(1 - a) log s(D(x)) + a log(1 - s(D(x)))] - E[log(1 - s(D(G(z))))], a the smoothing."""
    # log s(t) - log(1 - s(t)) = t
    return _logistic_discriminator(real, fake) + smoothing * real.mean()


def _non_saturating_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log s(D(G(z)))] (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake).mean()


def _minimax_generator(real: Tensor, fake: Tensor) -> Tensor:
    """E[log(1 - s(D(G(z))))] (Goodfellow et al. 2014, eq. 1)."""
    return -F.softplus(fake).mean()


def _least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E[(D(x) - 1)^2] + 1/2 E[D(G(z))^2] (Mao et al. 2017, eq. 9)."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def _smoothed_least_squares_discriminator(real: Tensor, fake: Tensor, smoothing: float) -> Tensor:
    """1/2 E[(D(x) - (1 - smoothing))^2] + 1/2 E[D(G(z))^2]."""
    return _least_squares_discriminator(real + smoothing, fake)


def _least_squares_generator(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E[(D(G(z)) - 1)^2] (Mao et al. 2017, eq. 9)."""
    return (fake - 1).square().mean() / 2


def _hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))] (Miyato et al. 2018, eq. 16)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def _wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E[D(G(z))] - E[D(x)], with D kept Lipschitz by a penalty (Arjovsky et al. 2017, eq. 2)."""
    return fake.mean() - real.mean()


def _linear_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-E[D(G(z))] (Arjovsky et al. 2017, eq. 2; Miyato et al. 2018, eq. 17)."""
    return -fake.mean()


def _relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log s(D(x) - D(G(z)))] over pairs (Huang et al. 2024, eq. 2, D high on real ones)."""
    return F.softplus(fake - real).mean()


def _relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log s(D(G(z)) - D(x))] over pairs (Huang et al. 2024, eq. 2, likewise)."""
    return F.softplus(real - fake).mean()


losses: Mapping[str, AdversarialLoss] = MappingProxyType(
    {
        "non-saturating": AdversarialLoss(
            _logistic_discriminator,
            _non_saturating_generator,
            smoothed=_smoothed_logistic_discriminator,
        ),
        "minimax": AdversarialLoss(
            _logistic_discriminator,
            _minimax_generator,
            smoothed=_smoothed_logistic_discriminator,
        ),
        "least-squares": AdversarialLoss(
            _least_squares_discriminator,
            _least_squares_generator,
            smoothed=_smoothed_least_squares_discriminator,
        ),
        "hinge": AdversarialLoss(_hinge_discriminator, _linear_generator),
        "wasserstein": AdversarialLoss(_wasserstein_discriminator, _linear_generator),
        "relativistic": AdversarialLoss(
            _relativistic_discriminator, _relativistic_generator, paired=True
        ),
    }
)
