"""The residual networks of SNGAN, as plain PyTorch: nothing here knows of genzoo.

Spectral normalization, and the networks of table 4, are those of Miyato et al. 2018
(arXiv:1802.05957); the classes come in as in Miyato & Koyama 2018 (arXiv:1802.05637), by
conditional batch normalization in the generator and by a projection in the discriminator.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["ResNetDiscriminator", "ResNetGenerator"]


class ConditionalBatchNorm(nn.Module):
    """Batch normalization whose scale and shift belong to the class, where there are classes."""

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width, affine=n_classes == 0)
        self.scale = nn.Embedding(n_classes, width) if n_classes else None
        self.shift = nn.Embedding(n_classes, width) if n_classes else None
        if self.scale is not None and self.shift is not None:
            nn.init.ones_(self.scale.weight)
            nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Normalize features (B, width, H, W)."""
        normalized: Tensor = self.norm(x)
        if self.scale is None or self.shift is None:
            return normalized
        scale, shift = (table(y)[:, :, None, None] for table in (self.scale, self.shift))
        return torch.addcmul(shift, normalized, scale)


class GBlock(nn.Module):
    """Double the sides: norm, relu, grow, conv, norm, relu, conv, beside grow and a 1x1 conv."""

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__()
        self.b1 = ConditionalBatchNorm(width, n_classes)
        self.c1 = nn.Conv2d(width, width, 3, padding=1)
        self.b2 = ConditionalBatchNorm(width, n_classes)
        self.c2 = nn.Conv2d(width, width, 3, padding=1)
        self.c_sc = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Return features (B, width, 2 H, 2 W)."""
        h = self.c1(F.interpolate(F.relu(self.b1(x, y)), scale_factor=2.0))
        h = self.c2(F.relu(self.b2(h, y)))
        features: Tensor = h + self.c_sc(F.interpolate(x, scale_factor=2.0))
        return features


class DBlock(nn.Module):
    """Relu, conv, relu, conv, shrink, beside what is added; the first begins with its conv."""

    def __init__(
        self, inputs: int, width: int, *, first: bool = False, shrink: bool = True
    ) -> None:
        super().__init__()
        self.first, self.shrink = first, shrink
        self.c1 = spectral_norm(nn.Conv2d(inputs, width, 3, padding=1))
        self.c2 = spectral_norm(nn.Conv2d(width, width, 3, padding=1))
        same = inputs == width and not shrink
        self.c_sc = nn.Identity() if same else spectral_norm(nn.Conv2d(inputs, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, width, H, W), or half as high and wide."""
        h = self.c2(F.relu(self.c1(x if self.first else F.relu(x))))
        features: Tensor = h + self.c_sc(x)
        return F.avg_pool2d(features, 2) if self.shrink else features


class ResNetGenerator(nn.Module):
    """Noise (B, nz) to images (B, channels, H, W) in [-1, 1], H and W being `bottom` << `n_up`."""

    def __init__(
        self,
        nz: int,
        ngf: int,
        channels: int,
        bottom: tuple[int, int],
        n_up: int,
        n_classes: int = 0,
    ) -> None:
        super().__init__()
        self.bottom = (ngf, *bottom)
        self.l1 = nn.Linear(nz, ngf * bottom[0] * bottom[1])
        self.blocks = nn.ModuleList(GBlock(ngf, n_classes) for _ in range(n_up))
        self.b_last = nn.BatchNorm2d(ngf)
        self.c_last = nn.Conv2d(ngf, channels, 3, padding=1)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return images."""
        h = self.l1(z).view(-1, *self.bottom)
        for block in self.blocks:
            h = block(h, y)
        images: Tensor = self.c_last(F.relu(self.b_last(h))).tanh()
        return images


class ResNetDiscriminator(nn.Module):
    """Images (B, channels, H, W) to logits (B, 1), high for real ones."""

    def __init__(self, ndf: int, channels: int, n_classes: int = 0) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            DBlock(channels, ndf, first=True),
            DBlock(ndf, ndf),
            DBlock(ndf, ndf, shrink=False),
            DBlock(ndf, ndf, shrink=False),
            nn.ReLU(),
        )
        self.l_last = spectral_norm(nn.Linear(ndf, 1))
        self.l_y = spectral_norm(nn.Embedding(n_classes, ndf)) if n_classes else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return logits."""
        h = self.blocks(x).sum(dim=(2, 3))  # global sum pooling
        logits: Tensor = self.l_last(h)
        return logits if self.l_y is None else logits + (self.l_y(y) * h).sum(1, keepdim=True)
