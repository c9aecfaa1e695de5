"""`flow-unet`: a small U-Net (Ronneberger et al. 2015) that sees the time and the class."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genzoo import ImageSpec, UnsupportedError
from genzoo_flow_matching.config import FlowUNetConfig

__all__ = ["UNet", "build"]

_GROUPS = 8
_PERIODS = 64  # sines and cosines that tell one time from another


def build(image: ImageSpec, config: FlowUNetConfig) -> dict[str, nn.Module]:
    """Return the role `velocity`.

    Raises UnsupportedError where both sides cannot be halved evenly, as often as the config says.
    """
    multiple = config.patch * 2**config.halvings
    if image.height % multiple or image.width % multiple:
        raise UnsupportedError(
            f"flow-unet cannot do images of {image.height}x{image.width}: with patches of "
            f"{config.patch} pixels, it halves both sides {config.halvings} times.",
            hint=f"Use multiples of {multiple}, or a config of fewer halvings or smaller patches.",
        )
    return {"velocity": UNet(image, config)}


class UNet(nn.Module):
    """Places (B, C, H, W), times (B,) and labels (B,), or None, to velocities (B, C, H, W)."""

    def __init__(self, image: ImageSpec, config: FlowUNetConfig) -> None:
        super().__init__()
        self.image_shape = (image.channels, image.height, image.width)
        widths = [config.channels * 2**level for level in range(config.halvings + 1)]
        condition = 4 * config.channels
        self.time = nn.Sequential(
            nn.Linear(_PERIODS, condition), nn.SiLU(), nn.Linear(condition, condition)
        )
        # One more than there are classes: the last stands for no label.
        self.classes = nn.Embedding(image.classes + 1, condition) if image.classes else None
        self.patch = config.patch
        pixels = image.channels * config.patch**2
        self.enter = nn.Conv2d(pixels, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        width = widths[0]
        kept = [width]
        for level, wider in enumerate(widths):
            if level:
                self.down.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                kept.append(width)
            for _ in range(config.blocks):
                self.down.append(Block(width, wider, condition))
                width = wider
                kept.append(width)
        self.middle = nn.ModuleList(
            [
                Block(width, width, condition),
                *([Attention(width, config.heads)] if config.heads else []),
                Block(width, width, condition),
            ]
        )
        self.up = nn.ModuleList()
        for level, narrower in reversed(list(enumerate(widths))):
            for _ in range(config.blocks + 1):
                self.up.append(Block(width + kept.pop(), narrower, condition))
                width = narrower
            if level:
                self.up.append(Upsample(width))
        self.leave = nn.Sequential(
            nn.GroupNorm(_GROUPS, width),
            nn.SiLU(),
            _zeroed(nn.Conv2d(width, pixels, 3, padding=1)),
        )

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        """Return velocities (B, C, H, W)."""
        condition = self.time(_waves(t))
        if self.classes is not None and labels is not None:
            none = self.classes.num_embeddings - 1
            condition = condition + self.classes(torch.where(labels < 0, none, labels))
        x = self.enter(F.pixel_unshuffle(x, self.patch))
        kept = [x]
        for layer in self.down:
            x = layer(x, condition) if isinstance(layer, Block) else layer(x)
            kept.append(x)
        for layer in self.middle:
            x = layer(x, condition) if isinstance(layer, Block) else layer(x)
        for layer in self.up:
            if isinstance(layer, Block):
                x = layer(torch.cat([x, kept.pop()], dim=1), condition)
            else:
                x = layer(x)
        velocities: Tensor = F.pixel_shuffle(self.leave(x), self.patch)
        return velocities


class Block(nn.Module):
    """Two convolutions beside an identity; the condition scales and shifts what is between."""

    def __init__(self, inputs: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(_GROUPS, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(condition, 2 * outputs)
        self.norm2 = nn.GroupNorm(_GROUPS, outputs, affine=False)
        self.conv2 = _zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.same = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return features (B, outputs, H, W) of features (B, inputs, H, W)."""
        scale, shift = self.modulation(F.silu(condition))[:, :, None, None].chunk(2, dim=1)
        hidden = self.norm2(self.conv1(F.silu(self.norm1(x)))) * (1 + scale) + shift
        features: Tensor = self.same(x) + self.conv2(F.silu(hidden))
        return features


class Attention(nn.Module):
    """Each place looks at all others (Vaswani et al. 2017), beside an identity."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = math.gcd(heads, width)
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.inputs = nn.Conv2d(width, 3 * width, 1)
        self.outputs = _zeroed(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, width, H, W) of such features."""
        rows, width, height, _ = x.shape
        shape = (rows, 3, self.heads, width // self.heads, -1)
        query, key, value = self.inputs(self.norm(x)).view(shape).transpose(3, 4).unbind(1)
        seen = F.scaled_dot_product_attention(query, key, value)  # (B, heads, H * W, width / heads)
        features: Tensor = x + self.outputs(seen.transpose(2, 3).reshape(rows, width, height, -1))
        return features


class Upsample(nn.Module):
    """Double both sides."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, width, 2 H, 2 W)."""
        features: Tensor = self.conv(F.interpolate(x, scale_factor=2.0))
        return features


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """Return a layer that begins by adding nothing."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _waves(t: Tensor) -> Tensor:
    """Return sines and cosines (B, _PERIODS) of times (B,): periods 2 pi to 2 pi / 1000."""
    steps = torch.arange(_PERIODS // 2, dtype=t.dtype, device=t.device) / (_PERIODS // 2 - 1)
    angles = t[:, None] * 1000.0**steps
    return torch.cat([angles.sin(), angles.cos()], dim=1)
