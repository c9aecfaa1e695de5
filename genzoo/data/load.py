"""From a zoo config's dataset, or from files, to images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genzoo.data.fitting import ImageDataset, Split
from genzoo.data.folder import FolderImages
from genzoo.errors import PluginError
from genzoo.registry.catalog import part_config
from genzoo.registry.config import ZooConfig
from genzoo.registry.discovery import registry
from genzoo.registry.specs import Dataset, ImageSpec, resolve

__all__ = ["load_dataset", "load_files", "load_named"]


def load_dataset(config: ZooConfig, split: Split, root: Path | None = None) -> ImageDataset:
    """Return the dataset of a zoo config, fitted to its images.

    `root` is the folder of downloaded sets. Raises UnknownNameError, ConfigError or DataError.
    """
    spec = registry().dataset(config.dataset.name, config.requires)
    values = part_config(spec, config.dataset.config, source=config.source, at="dataset.config")
    return _build(spec, values, config.image_spec, split, root)


def load_named(
    name: str, split: Split, root: Path | None = None, image: ImageSpec | None = None
) -> ImageDataset:
    """Return the dataset of that name with its default config, fitted to `image` or as it is.

    Raises as `load_dataset` does, ConfigError also for a set that has no defaults, as a folder.
    """
    spec = registry().dataset(name)
    fitted = image or spec.image
    values = part_config(spec, {}, source=f"dataset {name!r}", at="config")
    assert fitted is not None
    return _build(spec, values, fitted, split, root)


def _build(
    spec: Dataset, values: Any, image: ImageSpec, split: Split, root: Path | None
) -> ImageDataset:
    dataset = resolve(spec.factory)(values, image, split, root)
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
