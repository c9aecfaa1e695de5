"""The configs of `transformer-gan`, `pixel-transformer` and `autoregressive`, torch-free."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from genzoo import Config

__all__ = ["AutoregressiveConfig", "PixelTransformerConfig", "TransformerGANConfig"]


class TransformerGANConfig(Config):
    """How the generator cuts and draws an image, and how wide the discriminator is."""

    latent_dim: int = Field(64, ge=1, le=4096)
    """Size Z of the latent."""

    patch_size: int | None = Field(None, ge=1, le=64)
    """Side of a patch in pixels; by default the smallest from 2 to 16 with at most 64 patches."""

    width: int = Field(96, ge=8, le=2048)
    """Size of a token."""

    depth: int = Field(4, ge=1, le=48)
    """Transformer blocks."""

    heads: int = Field(4, ge=1, le=32)
    """Attention heads; they divide the width."""

    mlp_ratio: int = Field(2, ge=1, le=8)
    """Hidden size of a block's MLP, as a multiple of the width."""

    pixel_features: int = Field(8, ge=1, le=128)
    """Features per pixel that the tokens hand to the convolution that draws the image."""

    discriminator_channels: int = Field(48, ge=8, le=512)
    """Channels of the discriminator at half resolution; they double up to four times this."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        _check_heads(self.width, self.heads)
        return self


class PixelTransformerConfig(Config):
    """How the autoregressor cuts and reads an image."""

    levels: int = Field(256, ge=2, le=256)
    """Values that a channel of a pixel can have, evenly spaced: 2 for black and white, 256 for all
    of a byte."""

    patch_size: int | None = Field(None, ge=1, le=32)
    """Side in pixels of the patch that is one token; by default the smallest with at most 256
    tokens, or the coarsest up to 8 that tiles the image. Each doubling makes a quarter of the
    tokens."""

    reach: int = Field(3, ge=1, le=16)
    """How many patches above and to either side a token sees without attention."""

    width: int = Field(96, ge=8, le=8192)
    """Size of a token."""

    depth: int = Field(4, ge=1, le=96)
    """Transformer blocks."""

    heads: int = Field(4, ge=1, le=64)
    """Attention heads; they divide the width."""

    kv_heads: int | None = Field(None, ge=1, le=64)
    """Heads of keys and values, each shared by as many attention heads; one for each by default.
    Fewer are less to remember, and to read for each token that is drawn."""

    mlp_ratio: int = Field(2, ge=1, le=8)
    """Hidden size of a block's MLP, as a multiple of the width."""

    symbol_features: int = Field(32, ge=4, le=1024)
    """Features by which the channels of a patch's pixels are told from each other."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        _check_heads(self.width, self.heads)
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        return self


class AutoregressiveConfig(Config):
    """How labels are learned to be done without, and how images are drawn."""

    DRAWING: ClassVar[frozenset[str]] = frozenset(
        {"temperature", "top_k", "top_p", "guidance", "compile"}
    )

    label_dropout: float = Field(0.1, ge=0, le=1)
    """Share of images that are learned without their label, so that guidance can do without."""

    temperature: float = Field(1.0, gt=0, le=100)
    """What logits are divided by: under 1 for likelier images of fewer kinds."""

    top_k: int | None = Field(None, ge=1, le=256)
    """How many levels may be drawn, the likeliest; all by default."""

    top_p: float = Field(1.0, gt=0, le=1)
    """How much probability may be drawn from, the likeliest levels first; 1 for all of it."""

    guidance: float = Field(1.0, ge=0, le=20)
    """How much a label counts: 1 as learned, more for clearer images of fewer kinds, 0 not at all.
    Anything but 0 and 1 asks the network twice as often."""

    compile: bool = False
    """Let torch.compile translate what is done for each symbol. It needs a C++ compiler, and time
    before the first image."""

    @model_validator(mode="after")
    def _guidance_is_learned(self) -> Self:
        if self.guidance != 1 and self.label_dropout == 0:
            raise ValueError("guidance other than 1 needs label_dropout above 0 in training")
        return self


def _check_heads(width: int, heads: int) -> None:
    if width % heads:
        raise ValueError(f"width {width} is not a multiple of heads {heads}")
