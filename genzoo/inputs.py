"""What a person gives to a model: images and labels, checked before a network sees them."""

from __future__ import annotations

import operator
import textwrap
from collections.abc import Sequence

import torch
from torch import Tensor

from genzoo.errors import LabelError, UnsupportedError
from genzoo.registry.config import ZooConfig
from genzoo.registry.specs import ImageSpec

__all__ = [
    "Labels",
    "check_batch_size",
    "check_inputs",
    "check_keep_rows",
    "check_labels",
    "check_places",
    "check_rows",
]

Labels = int | Sequence[int] | Tensor | None
"""One class for all images, or classes handed out in turn: image i gets labels[i % len]."""


def check_batch_size(batch_size: int) -> None:
    """Raise UnsupportedError for a batch size that is not a whole number above 0."""
    if not isinstance(batch_size, int) or batch_size < 1:
        raise UnsupportedError(f"batch_size is {batch_size!r}.", hint="Use 1 or more.")


def check_rows(n: int, rows: range | None) -> range:
    """Return which of n images are meant, all where `rows` is None.

    UnsupportedError for anything but a range within 0 ... n - 1, of any step.
    """
    if rows is None:
        return range(n)
    if not isinstance(rows, range) or (rows and not 0 <= min(rows) <= max(rows) < n):
        shown = textwrap.shorten(repr(rows), 80, placeholder=" ...")
        raise UnsupportedError(
            f"rows are {shown}.", hint=f"Use a range within range({n}), or leave them out for all."
        )
    return rows


def check_keep_rows(image: ImageSpec, keep_rows: int) -> int:
    """Return how many rows of an image are kept; UnsupportedError where it has not as many."""
    try:
        rows = operator.index(keep_rows)
    except TypeError:
        rows = -1
    if not 0 <= rows <= image.height:
        raise UnsupportedError(
            f"keep_rows is {keep_rows!r}.", hint=f"Keep 0 to {image.height} rows of these images."
        )
    return rows


def check_places(image: ImageSpec, places: Sequence[tuple[int, int]]) -> None:
    """Raise UnsupportedError for places (row, column) that images of this size do not have."""
    for row, column in places:
        if not (0 <= row < image.height and 0 <= column < image.width):
            raise UnsupportedError(
                f"there is no pixel at row {row}, column {column} of {image.height}x{image.width} "
                "images.",
                hint=f"Rows are 0 to {image.height - 1}, columns 0 to {image.width - 1}.",
            )


def check_inputs(
    config: ZooConfig, images: Tensor, labels: Labels, like: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Return images (B, C, H, W) in [-1, 1] and int64 labels (B,), None for an unconditional model.

    They are on the device of `like`, the images in its dtype. Raises UnsupportedError for images
    that `config` is not of, LabelError for labels that are missing, too few or too many.
    """
    pixels = _check_images(config, images).to(like.device)
    if labels is None and config.classes is not None:
        raise LabelError(
            f"{config.name} is conditional: it needs the labels of the images.",
            hint=f"Give one label, or one for each image, from 0 to {config.classes - 1}.",
        )
    wanted = None if labels is None else check_labels(config, labels).to(like.device)
    if wanted is not None and len(wanted) not in (1, len(pixels)):
        raise LabelError(
            f"{len(wanted)} labels for {len(pixels)} images.",
            hint="Give one label, or one for each image.",
        )
    pixels = pixels.to(like.dtype) * 2 - 1
    return pixels, None if wanted is None else wanted.expand(len(pixels))


def _check_images(config: ZooConfig, images: Tensor) -> Tensor:
    """Return images (B, C, H, W) in [0, 1]."""
    if not isinstance(images, Tensor):
        raise UnsupportedError(
            f"images are a {type(images).__name__}.",
            hint="Give a tensor, as torch.as_tensor makes of an array.",
        )
    spec = config.image_spec
    shape = (spec.channels, spec.height, spec.width)
    if images.ndim != 4 or tuple(images.shape[1:]) != shape or not len(images):
        raise UnsupportedError(
            f"images have shape {tuple(images.shape)}, "
            f"{config.name} takes (B, {', '.join(map(str, shape))}).",
            hint="Give at least one image, of that many channels and that size.",
        )
    pixels = images / 255 if images.dtype == torch.uint8 else images
    if not (pixels.is_floating_point() and pixels.min() >= 0 and pixels.max() <= 1):
        raise UnsupportedError(
            f"images of type {images.dtype} have values from {images.min()} to {images.max()}.",
            hint="Give them as float in [0, 1], or as uint8.",
        )
    return pixels


def check_labels(config: ZooConfig, labels: int | Sequence[int] | Tensor) -> Tensor:
    """Return labels as int64 (n,); LabelError for any that the model has no class of."""
    if config.classes is None:
        raise LabelError(f"{config.name} is unconditional.", hint="Leave the labels out.")
    allowed = f"Labels of {config.name} are whole numbers from 0 to {config.classes - 1}."
    try:
        given = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError):
        given = torch.empty(0)
    fractions = given.is_floating_point() or given.is_complex() or given.dtype == torch.bool
    if given.ndim > 1 or given.numel() == 0 or fractions:
        shown = textwrap.shorten(repr(labels), 80, placeholder=" ...")
        raise LabelError(f"labels {shown} are not one or more whole numbers.", hint=allowed)
    given = given.reshape(-1).to(torch.int64)
    wrong = given[(given < 0) | (given >= config.classes)]
    if len(wrong):
        raise LabelError(f"label {int(wrong[0])} is out of range.", hint=allowed)
    return given
