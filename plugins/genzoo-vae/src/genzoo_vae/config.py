"""The config of `vae`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genzoo import Config

__all__ = ["Likelihood", "VAEConfig"]

Likelihood = Literal["bernoulli", "gaussian", "categorical", "discretized-logistic"]


class VAEConfig(Config):
    """How wide and how deep the encoder and the decoder are, and what the decoder predicts."""

    latent_dim: int = Field(32, ge=1, le=4096)
    """Size of the latent that describes the whole image. Small ones give better samples, large ones
    better reconstructions."""

    spatial_channels: int = Field(0, ge=0, le=64)
    """Channels of a second latent, which says where details are: a map of 4 to 7 pixels on its
    shorter side. 0 for none."""

    channels: int = Field(32, ge=16, le=512, multiple_of=16)
    """Channels at half resolution; they double at each further halving, up to four times this."""

    blocks: int = Field(1, ge=1, le=8)
    """Residual blocks per resolution, in the encoder and in the decoder."""

    likelihood: Likelihood = "bernoulli"
    """Distribution of a pixel given the latent; gaussian and discretized-logistic learn a scale."""

    bins: int = Field(256, ge=2, le=256)
    """Grey levels that the categorical and discretized-logistic likelihoods tell apart."""

    prior_layers: int = Field(0, ge=0, le=64, multiple_of=2)
    """Couplings of the flow that the objective's learned prior of the latent is; 0 for no such
    network, nor one of the spatial latent. Each transforms half of the latent: two make a whole."""

    prior_width: int = Field(128, ge=8, le=4096)
    """Width of the hidden layers of each coupling. Those of the spatial latent's prior, which is
    autoregressive, have twice `channels`."""
