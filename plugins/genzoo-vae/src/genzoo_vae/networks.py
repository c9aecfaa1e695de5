"""The encoder and the decoder: residual convolutions, GroupNorm, SiLU.

GroupNorm sees one image at a time, so that training and sampling compute the same function and no
image depends on the batch it is in. The class reaches both networks, so that the latent is left to
carry style.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn import functional as F

from genzoo import ImageSpec, UnsupportedError
from genzoo.objectives.common import at_least_float32
from genzoo.objectives.likelihoods import image_distribution, parameters_per_channel
from genzoo_vae.config import VAEConfig
from genzoo_vae.labels import class_embedding, embed
from genzoo_vae.prior import Prior

__all__ = ["ConditionalNorm", "Decoder", "Encoder", "build", "count_halvings"]

MIN_SIDE = 8
_BASE = 4  # the shorter side ends up _BASE to 2 * _BASE - 1 pixels long
_LOG_VARIANCE = (-14.0, 6.0)  # standard deviations of 1e-3 to 20: far beyond what training visits


def build(image: ImageSpec, config: VAEConfig) -> dict[str, nn.Module]:
    """Return `encoder` and `decoder`, and `prior` where the config gives it layers.

    Raises UnsupportedError where `image` cannot be halved evenly, or a latent of one dimension
    cannot be given a prior.
    """
    halvings = count_halvings(image)
    networks: dict[str, nn.Module] = {
        "encoder": Encoder(image, config, halvings),
        "decoder": Decoder(image, config, halvings),
    }
    if config.prior_layers:
        networks["prior"] = Prior(image.classes, config, _base(image, halvings))
    return networks


def count_halvings(image: ImageSpec) -> int:
    """Return how often an image is halved until its shorter side is 4 to 7 pixels long."""
    shorter = max(min(image.height, image.width), MIN_SIDE)
    halvings = int(math.log2(shorter / _BASE))
    multiple = 2**halvings
    hints = []
    for name, side in (("height", image.height), ("width", image.width)):
        lower = side // multiple * multiple
        if side < MIN_SIDE:
            hints.append(f"{name} {MIN_SIDE}")
        elif lower != side:
            hints.append(f"{name} {lower} or {lower + multiple}")
    if hints:
        raise UnsupportedError(
            f"vae cannot do images of {image.height}x{image.width}: it halves both sides "
            f"{halvings} times, and no side may be under {MIN_SIDE}.",
            hint=f"Take {' and '.join(hints)}.",
        )
    return halvings


class ConditionalNorm(nn.Module):
    """GroupNorm; its scale and shift come from the condition, if any (FiLM, Perez et al. 2018)."""

    def __init__(self, channels: int, condition_dim: int | None) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(channels // 8, channels, affine=condition_dim is None)
        if condition_dim is not None:
            self.modulation = nn.Linear(condition_dim, 2 * channels)

    def forward(self, features: Tensor, condition: Tensor | None) -> Tensor:
        """Normalize features (B, channels, H, W) under condition (B, condition_dim)."""
        features = self.norm(features)
        if condition is None:
            return features
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, features, 1 + scale)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity, each after norm and SiLU (He et al. 2016)."""

    def __init__(self, channels: int, condition_dim: int | None) -> None:
        super().__init__()
        self.norm1 = ConditionalNorm(channels, condition_dim)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = ConditionalNorm(channels, condition_dim)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor, condition: Tensor | None) -> Tensor:
        """Return features of the same shape (B, channels, H, W)."""
        hidden = self.conv1(F.silu(self.norm1(features, condition)))
        change: Tensor = self.conv2(F.silu(self.norm2(hidden, condition)))
        return features + change


class Stage(nn.Module):
    """The residual blocks of one resolution."""

    def __init__(self, channels: int, blocks: int, condition_dim: int | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(channels, condition_dim) for _ in range(blocks))

    def forward(self, features: Tensor, condition: Tensor | None) -> Tensor:
        """Return features of the same shape (B, channels, H, W)."""
        for block in self.blocks:
            features = block(features, condition)
        return features


def _base(image: ImageSpec, halvings: int) -> tuple[int, int]:
    """Return the height and the width of the smallest features."""
    return image.height >> halvings, image.width >> halvings


def _stage_channels(config: VAEConfig, halvings: int) -> list[int]:
    return [config.channels * min(2**stage, 4) for stage in range(halvings)]


class Encoder(nn.Module):
    """q(z | image, class): a Gaussian with diagonal covariance (Kingma & Welling 2013, eq. 9).

    Z is latent_dim, and spatial_channels times the pixels of the smallest features where the config
    has them.
    """

    def __init__(self, image: ImageSpec, config: VAEConfig, halvings: int) -> None:
        super().__init__()
        widths = _stage_channels(config, halvings)
        condition_dim = None if image.classes is None else 4 * config.channels
        self.embedding = class_embedding(image.classes, 4 * config.channels)
        self.downsamples = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1)
            for before, after in zip([image.channels, *widths], widths, strict=False)
        )
        self.stages = nn.ModuleList(Stage(width, config.blocks, condition_dim) for width in widths)
        self.norm = ConditionalNorm(widths[-1], condition_dim)
        pixels = math.prod(_base(image, halvings))
        self.head = nn.Linear(widths[-1] * pixels, 2 * config.latent_dim)
        self.spatial_head: nn.Conv2d | None = None
        if config.spatial_channels:
            self.spatial_head = nn.Conv2d(widths[-1], 2 * config.spatial_channels, 1)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Distribution:
        """Return the posterior over latents (B, Z) of images (B, C, H, W) in [-1, 1]."""
        condition = embed(self.embedding, labels)
        features = images
        for downsample, stage in zip(self.downsamples, self.stages, strict=True):
            features = stage(downsample(features), condition)
        features = F.silu(self.norm(features, condition))
        moments = self.head(features.flatten(1)).unflatten(1, (2, -1))
        if self.spatial_head is not None:
            spatial = self.spatial_head(features).flatten(1).unflatten(1, (2, -1))
            moments = torch.cat([moments, spatial], dim=2)
        mean, log_variance = at_least_float32(moments).unbind(1)
        stddev = torch.exp(0.5 * log_variance.clamp(*_LOG_VARIANCE))
        return Independent(Normal(mean, stddev, validate_args=False), 1, validate_args=False)


class Decoder(nn.Module):
    """p(image | z, class): the likelihood that the config names, over independent pixels."""

    def __init__(self, image: ImageSpec, config: VAEConfig, halvings: int) -> None:
        super().__init__()
        self.image_channels = image.channels
        self.likelihood = config.likelihood
        self.bins = config.bins
        widths = _stage_channels(config, halvings)[::-1]
        condition_dim = 4 * config.channels
        self.base_shape = (widths[0], *_base(image, halvings))
        self.spatial_shape = (config.spatial_channels, *self.base_shape[1:])
        self.parts = (config.latent_dim, math.prod(self.spatial_shape))
        self.latent_dim = sum(self.parts)
        self.embedding = class_embedding(image.classes, condition_dim)
        self.latent = nn.Linear(config.latent_dim, condition_dim)
        self.spatial: nn.Conv2d | None = None
        if config.spatial_channels:
            self.spatial = nn.Conv2d(config.spatial_channels, widths[0], 1)
        self.mapping = nn.Linear(condition_dim, condition_dim)
        self.base = nn.Linear(condition_dim, math.prod(self.base_shape))
        self.stages = nn.ModuleList(Stage(width, config.blocks, condition_dim) for width in widths)
        upsampled = [*widths[1:], config.channels // 2]
        self.upsamples = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
            for before, after in zip(widths, upsampled, strict=True)
        )
        self.norm = ConditionalNorm(upsampled[-1], condition_dim)
        outputs = image.channels * parameters_per_channel(config.likelihood, config.bins)
        self.head = nn.Conv2d(upsampled[-1], outputs, 3, padding=1)
        has_scale = config.likelihood in ("gaussian", "discretized-logistic")
        self.log_scale = nn.Parameter(torch.zeros(image.channels, 1, 1)) if has_scale else None

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Distribution:
        """Return the distribution over images (B, C, H, W) in [-1, 1] given latents z (B, Z)."""
        whole, spatial = z.split(self.parts, dim=1)
        condition = self.latent(whole)
        classes = embed(self.embedding, labels)
        if classes is not None:
            condition = condition + classes
        condition = F.silu(self.mapping(F.silu(condition)))
        features = self.base(condition).unflatten(1, self.base_shape)
        if self.spatial is not None:
            features = features + self.spatial(spatial.unflatten(1, self.spatial_shape))
        for stage, upsample in zip(self.stages, self.upsamples, strict=True):
            features = upsample(stage(features, condition))
        parameters = self.head(F.silu(self.norm(features, condition)))
        return image_distribution(
            self.likelihood,
            parameters,
            self.image_channels,
            bins=self.bins,
            log_scale=self.log_scale,
        )
