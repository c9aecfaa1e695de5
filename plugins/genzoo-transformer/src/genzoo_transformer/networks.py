"""The generator, a transformer over patches, and the discriminator, strided convolutions.

The latent and the class make a style. It seeds every token (as in TransGAN, Jiang et al. 2021,
arXiv:2102.07074), and sets the scale and shift of every normalization (ViTGAN, Lee et al. 2021,
arXiv:2107.04589).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genzoo import ImageSpec, LabelError, UnsupportedError
from genzoo_transformer.config import TransformerGANConfig
from genzoo_transformer.patches import tiling

__all__ = [
    "Block",
    "Discriminator",
    "Generator",
    "SelfAttention",
    "SelfModulatedNorm",
    "assemble",
    "build",
    "choose_patch_size",
]

MIN_SIDE = 8
MAX_TOKENS = 64
PATCH_SIZES = range(2, 17)


def build(image: ImageSpec, config: TransformerGANConfig) -> dict[str, nn.Module]:
    """Return `generator` and `discriminator`; UnsupportedError where no patch tiles `image`."""
    patch_size = choose_patch_size(image, config.patch_size)
    return {
        "generator": Generator(image, config, patch_size),
        "discriminator": Discriminator(image, config.discriminator_channels),
    }


def choose_patch_size(image: ImageSpec, wanted: int | None = None) -> int:
    """Return the patch size: `wanted`, or the smallest that tiles `image` in at most 64 patches.

    Where none is that coarse, the coarsest that tiles it.
    """
    candidates = PATCH_SIZES if wanted is None else (wanted,)
    size = tiling(image, candidates, MAX_TOKENS)
    if size is None or min(image.height, image.width) < MIN_SIDE:
        raise _does_not_fit(image, candidates[0])
    return size


def _does_not_fit(image: ImageSpec, patch_size: int) -> UnsupportedError:
    smallest = -(-MIN_SIDE // patch_size) * patch_size
    hints = []
    for name, side in (("height", image.height), ("width", image.width)):
        lower = side // patch_size * patch_size
        if lower < smallest:
            hints.append(f"{name} {smallest}")
        elif lower != side:
            hints.append(f"{name} {lower} or {lower + patch_size}")
    return UnsupportedError(
        f"transformer-gan cannot do images of {image.height}x{image.width}: patches of "
        f"{patch_size} pixels must tile them, and no side may be under {MIN_SIDE}.",
        hint=f"Take {' and '.join(hints)}.",
    )


class SelfModulatedNorm(nn.Module):
    """Self-modulated LayerNorm, SLN(h, w) = gamma(w) * (h - mean) / std + beta(w) (ViTGAN)."""

    def __init__(self, width: int, style_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(style_dim, 2 * width)

    def forward(self, tokens: Tensor, style: Tensor) -> Tensor:
        """Return tokens (B, T, width), normalized and modulated by style (B, style_dim)."""
        scale, shift = self.modulation(style)[:, None].chunk(2, dim=-1)
        return torch.addcmul(shift, self.norm(tokens), 1 + scale)


class SelfAttention(nn.Module):
    """Multi-head attention of all tokens to all tokens (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        # No bias: softmax ignores whatever all keys share, so that a key's bias would never learn.
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape (B, T, width)."""
        # (B, T, 3 * width) -> 3 x (B, heads, T, width / heads)
        batch, length, width = tokens.shape
        query, key, value = (
            part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(tokens).chunk(3, dim=2)
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        mixed: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return mixed


class Block(nn.Module):
    """Attention, then an MLP, each beside an identity and after a self-modulated norm."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, style_dim: int) -> None:
        super().__init__()
        self.attention_norm = SelfModulatedNorm(width, style_dim)
        self.attention = SelfAttention(width, heads)
        self.mlp_norm = SelfModulatedNorm(width, style_dim)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_ratio * width),
            nn.GELU(),
            nn.Linear(mlp_ratio * width, width),
        )

    def forward(self, tokens: Tensor, style: Tensor) -> Tensor:
        """Return tokens of the same shape (B, T, width)."""
        tokens = tokens + self.attention(self.attention_norm(tokens, style))
        changed: Tensor = tokens + self.mlp(self.mlp_norm(tokens, style))
        return changed


class Generator(nn.Module):
    """Latents to images: a style steers a transformer whose tokens are the patches of the image."""

    def __init__(self, image: ImageSpec, config: TransformerGANConfig, patch_size: int) -> None:
        super().__init__()
        self.latent_dim = config.latent_dim
        self.patch_size = patch_size
        width = config.width
        rows, columns = image.height // patch_size, image.width // patch_size
        self.grid = (rows, columns)
        self.latent = nn.Linear(config.latent_dim, width)
        self.embedding = None if image.classes is None else nn.Embedding(image.classes, width)
        if self.embedding is not None:
            # No louder than the latent, or all images of a class come out alike.
            nn.init.normal_(self.embedding.weight, std=0.5)
        # The norm gives the style full strength from the first step: a faint one is never heard.
        self.mapping = nn.Sequential(
            nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.LayerNorm(width)
        )
        self.seeds = nn.Linear(width, rows * columns * width)
        self.row_positions = nn.Parameter(0.5 * torch.randn(rows, 1, width))
        self.column_positions = nn.Parameter(0.5 * torch.randn(1, columns, width))
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.mlp_ratio, style_dim=width)
            for _ in range(config.depth)
        )
        self.norm = SelfModulatedNorm(width, style_dim=width)
        self.patches = nn.Linear(width, config.pixel_features * patch_size**2)
        # Patches are drawn apart from each other: the convolution sees across their seams.
        self.pixels = nn.Conv2d(config.pixel_features, image.channels, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] of latents z (B, Z)."""
        style = self.latent(z)
        if self.embedding is not None:
            style = style + self.embedding(_required(labels, "generator"))
        style = self.mapping(style)
        # (rows, 1, width) + (1, columns, width) -> (rows * columns, width)
        positions = (self.row_positions + self.column_positions).flatten(0, 1)
        tokens = positions + self.seeds(style).view(len(z), *positions.shape)
        for block in self.blocks:
            tokens = block(tokens, style)
        features = assemble(self.patches(self.norm(tokens, style)), self.grid, self.patch_size)
        return torch.tanh(self.pixels(F.silu(features)))


def assemble(patches: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    """Lay patches (B, rows * columns, F * patch_size^2), row by row, into (B, F, H, W)."""
    return F.pixel_shuffle(patches.transpose(1, 2).reshape(len(patches), -1, *grid), patch_size)


class Discriminator(nn.Module):
    """Strided convolutions without normalization; the class enters by projection.

    logit = a . phi(x) + <e(y), phi(x)> (Miyato & Koyama 2018, arXiv:1802.05637).
    """

    def __init__(self, image: ImageSpec, channels: int) -> None:
        super().__init__()
        height, width, before = image.height, image.width, image.channels
        layers: list[nn.Module] = []
        after = channels
        while min(height, width) > 3:
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            height, width = height // 2, width // 2
            before, after = after, min(2 * after, 4 * channels)
        self.features = nn.Sequential(*layers, nn.Flatten())
        size = before * height * width
        self.logit = nn.Linear(size, 1)
        self.embedding = None if image.classes is None else nn.Embedding(image.classes, size)
        if self.embedding is not None:
            # As small as the linear layer beside it, or the class would drown the image at first.
            nn.init.normal_(self.embedding.weight, std=size**-0.5)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B,) of images (B, C, H, W) in [-1, 1]: high where they look real."""
        features = self.features(images)
        logits: Tensor = self.logit(features).squeeze(1)
        if self.embedding is not None:
            classes = self.embedding(_required(labels, "discriminator"))
            logits = logits + (classes * features).sum(dim=1)
        return logits


def _required(labels: Tensor | None, role: str) -> Tensor:
    if labels is None:
        raise LabelError(
            f"this {role} is class-conditional, but got no labels.",
            hint="Pass labels, int64 of shape (B,).",
        )
    return labels
