"""Gradient penalties on a discriminator, each sample by itself and in float32 at least.

Neither autocast nor TF32 cuts a penalty's gradient; the derivative of that gradient is taken with
that of the whole loss, where a training's TF32 holds.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genzoo.devices import tf32
from genzoo.noise import NoiseSource
from genzoo.objectives.common import at_least_float32
from genzoo.objectives.configs import PenaltiesConfig

__all__ = [
    "penalty_factor",
    "wgan_gp",
    "zero_centred_gradient_penalty",
    "zero_centred_gradient_penalty_in_float32",
]


def penalty_factor(config: PenaltiesConfig, step: int) -> float:
    """Return what all weights are multiplied by at `step`, counted from 0; 0.0 where none applies.

    A cosine anneal (Huang et al. 2024), times `every` on each `every`-th step (lazy regularization,
    Karras et al. 2020, section 3.1).
    """
    if step % config.every:
        return 0.0
    if config.anneal_steps == 0:
        return float(config.every)
    progress = min(step / config.anneal_steps, 1.0)
    remaining = (1 + math.cos(math.pi * progress)) / 2
    return config.every * (config.anneal_to + (1 - config.anneal_to) * remaining)


def zero_centred_gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Return 1/2 E||grad D(x)||^2, the mean over samples (Mescheder et al. 2018, eq. 9 and 10).

    `logits` (B,) must have been computed from `images` (B, C, H, W), which require grad.
    """
    return _gradients(logits, images).square().sum(1).mean() / 2


def zero_centred_gradient_penalty_in_float32(
    discriminator: nn.Module, images: Tensor, labels: Tensor | None
) -> Tensor:
    """Return the same of images (B, C, H, W), by a forward of its own that is always float32."""
    with torch.autocast(images.device.type, enabled=False), tf32(False):
        images = at_least_float32(images.detach()).requires_grad_()
        return zero_centred_gradient_penalty(discriminator(images, labels), images)


def wgan_gp(
    discriminator: nn.Module, real: Tensor, fake: Tensor, labels: Tensor | None, noise: NoiseSource
) -> Tensor:
    """Return E(||grad D(x)|| - 1)^2, x between real and fake (Gulrajani et al. 2017, eq. 3).

    `real` and `fake` are (B, C, H, W) and share `labels`; `noise` gives one uniform number a pair.
    """
    with torch.autocast(real.device.type, enabled=False), tf32(False):
        real, fake = at_least_float32(real.detach()), at_least_float32(fake.detach())
        position = noise.uniform(*(1 for _ in real.shape[1:])).to(real.dtype)
        images = torch.lerp(fake, real, position).requires_grad_()
        gradients = _gradients(discriminator(images, labels), images)
        # Not the root of a sum of squares: where the gradient is 0, that has a derivative of NaN.
        norms: Tensor = torch.linalg.vector_norm(gradients, dim=1)
        return (norms - 1).square().mean()


def _gradients(logits: Tensor, images: Tensor) -> Tensor:
    """Return d logits_i / d images_i, flattened to (B, C * H * W), differentiable itself."""
    (gradients,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradients.flatten(1)
