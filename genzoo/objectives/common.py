"""What the core's objectives share: the prior's draws, and the precision of a loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genzoo.errors import PluginError
from genzoo.noise import NoiseSource

__all__ = ["at_least_float32", "prior_latents"]


def prior_latents(network: nn.Module, noise: NoiseSource) -> Tensor:
    """Return z ~ N(0, I) of shape (N, Z), in the dtype of `network`, which takes it.

    Z is the network's attribute `latent_dim`; raises PluginError where it has none.
    """
    latent_dim = getattr(network, "latent_dim", None)
    if not isinstance(latent_dim, int):
        raise PluginError(
            f"{type(network).__name__} does not say how many latents it takes.",
            hint="Give the network that takes z an int attribute `latent_dim`.",
        )
    latents = noise.normal(latent_dim)
    parameter = next(network.parameters(), None)
    return latents if parameter is None else latents.to(parameter.dtype)


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return `tensor` in float32 where its precision is lower: losses need more than 8 bits."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
