"""From a zoo config's dataset to images."""

from __future__ import annotations

from pathlib import Path

from genzoo.data.fitting import ImageDataset, Split
from genzoo.registry.catalog import part_config
from genzoo.registry.config import ZooConfig
from genzoo.registry.discovery import registry
from genzoo.registry.specs import resolve

__all__ = ["load_dataset"]


def load_dataset(config: ZooConfig, split: Split, root: Path | None = None) -> ImageDataset:
    """Return the dataset of a zoo config, fitted to its images.

    `root` is the folder of downloaded sets. Raises UnknownNameError, ConfigError or DataError.
    """
    spec = registry().dataset(config.dataset.name, config.requires)
    values = part_config(spec, config.dataset.config, source=config.name, at="dataset.config")
    dataset: ImageDataset = resolve(spec.factory)(values, config.image_spec, split, root)
    return dataset
