"""The config of `new-name`: no torch here, for a zoo config is checked without it."""

from pydantic import Field

from genzoo import Config


class NewNameConfig(Config):
    """What `new-name` holds."""

    count: int = Field(3000, ge=3, le=100_000)
    """Images in the training split; the test split has a tenth of them, and other ones."""
