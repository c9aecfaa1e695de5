"""From a zoo config's dataset, or from files, to images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genzoo.data.fitting import ImageDataset, Split
from genzoo.data.folder import FolderImages
from genzoo.errors import PluginError
from genzoo.registry.catalog import part_config
from genzoo.registry.config import ZooConfig
from genzoo.registry.discovery import registry
from genzoo.registry.specs import ImageSpec, resolve

__all__ = ["load_dataset", "load_files"]


def load_dataset(config: ZooConfig, split: Split, root: Path | None = None) -> ImageDataset:
    """Return the dataset of a zoo config, fitted to its images.

    `root` is the folder of downloaded sets. Raises UnknownNameError, ConfigError or DataError.
    """
    spec = registry().dataset(config.dataset.name, config.requires)
    values = part_config(spec, config.dataset.config, source=config.source, at="dataset.config")
    dataset = resolve(spec.factory)(values, config.image_spec, split, root)
    if not isinstance(dataset, ImageDataset):
        raise PluginError(
            f"dataset {spec.name!r} built {dataset!r}.",
            hint="Its factory must return a genzoo.data.fitting.ImageDataset.",
        )
    return dataset


def load_files(paths: Sequence[Path], image: ImageSpec) -> ImageDataset:
    """Return image files as a dataset without labels, each one cut and resized to fit `image`.

    A file that is no image raises a DataError when it is read.
    """
    return FolderImages(tuple(str(path) for path in paths), None, image, (), "crop")
