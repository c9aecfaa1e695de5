"""The configs of `flow-matching` and `flow-unet`, torch-free."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from genzoo import Config

__all__ = ["FlowMatchingConfig", "FlowUNetConfig"]


class FlowMatchingConfig(Config):
    """How velocities are learned, and how images are drawn by them."""

    DRAWING: ClassVar[frozenset[str]] = frozenset({"solver", "steps", "guidance"})

    sigma_min: float = Field(0.0, ge=0, lt=1)
    """What is left of the noise at the image's end of a path."""

    label_dropout: float = Field(0.1, ge=0, le=1)
    """Share of images that are learned without their label, so that guidance can do without."""

    solver: Literal["euler", "heun"] = "heun"
    """How the way is integrated: euler asks the network once a step, heun twice and goes straighter
    where the way bends."""

    steps: int = Field(12, ge=1, le=1000)
    """Steps from noise to image."""

    guidance: float = Field(1.0, ge=0, le=20)
    """How much a label counts: 1 as learned, more for clearer images of fewer kinds, 0 not at
    all. Anything but 0 and 1 asks the network twice as often."""

    @model_validator(mode="after")
    def _guidance_is_learned(self) -> FlowMatchingConfig:
        if self.guidance != 1 and self.label_dropout == 0:
            raise ValueError("guidance other than 1 needs label_dropout above 0 in training")
        return self


class FlowUNetConfig(Config):
    """How wide and how deep the U-Net is."""

    patch: int = Field(2, ge=1, le=16)
    """Pixels on a side of the patches that the network sees as one place: 2 is four times cheaper
    than 1."""

    channels: int = Field(32, ge=8, le=512, multiple_of=8)
    """Channels at each patch; they double at each halving."""

    halvings: int = Field(1, ge=0, le=6)
    """How often both sides, in patches, are halved."""

    blocks: int = Field(1, ge=1, le=8)
    """Residual blocks at each resolution, on the way down and on the way up."""

    heads: int = Field(4, ge=0, le=16)
    """Attention heads at the lowest resolution, 0 for no attention."""
