"""The configs of the parts, torch-free."""

from pydantic import Field

from genzoo import Config


class MomentsConfig(Config):
    """How `toy-moments` weighs its two terms."""

    deviation: float = Field(1.0, ge=0)
    """Weight of the deviations beside the means."""


class StripesConfig(Config):
    """What `toy-stripes` holds."""

    count: int = Field(64, ge=2, le=4096)
    """Images in each split."""
