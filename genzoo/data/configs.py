"""The configs of the core's own datasets: torch-free, as checking a zoo config is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genzoo.registry.schema import Config

__all__ = ["DigitsConfig", "FolderConfig", "TorchvisionConfig"]


class TorchvisionConfig(Config):
    """A dataset that torchvision reads or downloads: nothing to choose."""


class DigitsConfig(Config):
    """The digits that ship with genzoo: nothing to choose."""


class FolderConfig(Config):
    """A folder of image files."""

    path: str = Field(min_length=1)
    """The folder, relative to the current directory unless absolute; `~` is the home directory. Its
    sub-folders, if any, are the classes. `train` and `test` folders inside it, if both are there,
    are the splits; else every tenth image is kept for the test split."""
    fit: Literal["crop", "stretch"] = "crop"
    """How an image gets its size: `crop` keeps its proportions and cuts the longer side at both
    ends, `stretch` keeps all of it."""
