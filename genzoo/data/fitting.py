"""What every dataset is, and how images get the size and channels that were asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from genzoo.data.binarization import binarize, grey_levels
from genzoo.errors import DataError
from genzoo.registry.specs import ImageSpec

__all__ = [
    "ImageDataset",
    "Split",
    "TensorImages",
    "check_spec",
    "fingerprint",
    "fit_images",
    "fit_tensors",
]

Split = Literal["train", "test"]

_CHUNK = 4096  # images converted at a time: what resizing needs beside them stays small
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601-7, section 2.5.1; what Pillow uses as well


@runtime_checkable
class ImageDataset(Protocol):
    """Images of one size, with labels or without.

    One that has a method `fingerprint() -> str` says by it which images it has, in which order: a
    run is resumed with the same ones or refused. Of any other, the number must be the same.
    """

    @property
    def image(self) -> ImageSpec:
        """The images as they are given out; `classes` is the set's own, None where it has none."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the set's classes, in label order; empty where it has none."""

    def __len__(self) -> int:
        """Return the number of images N."""

    def __getitem__(self, index: int) -> tuple[Tensor, int | None]:
        """Return a uint8 (C, H, W) image and its label, None where training is unconditional."""


@dataclass(frozen=True, eq=False)
class TensorImages:
    """A dataset held in memory: uint8 images (N, C, H, W), int64 labels (N,) or None.

    With `binarize` a value v is a probability, v / 255, of being white: in training, Batches draws
    images of 0 and 255 anew each time. An image taken by its index has the values themselves.
    """

    images: Tensor
    labels: Tensor | None
    image: ImageSpec
    class_names: tuple[str, ...]
    binarize: bool = False

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int | None]:
        return self.images[index], None if self.labels is None else int(self.labels[index])

    def drawn(self) -> TensorImages:
        """Return the same set, its images drawn once where they are probabilities."""
        if not self.binarize:
            return self
        levels = grey_levels(0, "data/drawn", 0, len(self), self.images.shape[2:])
        return replace(self, images=binarize(self.images, levels), binarize=False)

    def fingerprint(self) -> str:
        """Return the hex sha256 of all images and labels."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        for tensor in (self.images, self.labels):
            if tensor is not None:
                digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def to(self, device: torch.device) -> TensorImages:
        """Return the same set with its tensors on `device`."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, images=self.images.to(device), labels=labels)


def fingerprint(dataset: ImageDataset) -> str:
    """Return in words what tells a dataset from one of other images, or of another order."""
    own = getattr(dataset, "fingerprint", None)
    return f"{len(dataset):,} images" + (f" ({str(own())[:16]})" if callable(own) else "")


def check_spec(name: str, class_names: tuple[str, ...], image: ImageSpec) -> None:
    """Raise DataError where the set `name` cannot give the images that `image` asks for."""
    if image.channels not in (1, 3):
        raise DataError(
            f"{name} cannot give images of {image.channels} channels.",
            hint="Set the config's channels to 1 (grey) or 3 (RGB).",
        )
    if image.classes is None or image.classes == len(class_names):
        return
    if not class_names:
        raise DataError(
            f"{name} has no classes, but the config asks for {image.classes}.",
            hint="Set the config's classes to null for a model without any.",
        )
    raise DataError(
        f"{name} has {len(class_names)} classes, but the config asks for {image.classes}.",
        hint=f"Set the config's classes to {len(class_names)}, or to null for a model without any.",
    )


def fit_tensors(
    name: str, images: Tensor, labels: Tensor, class_names: tuple[str, ...], image: ImageSpec
) -> TensorImages:
    """Return uint8 images (N, C, H, W) and int64 labels (N,) as a dataset that fits `image`.

    Where `image` asks for no classes the labels are dropped. Raises DataError where it asks for a
    number of classes or channels that the set `name` cannot give.
    """
    check_spec(name, class_names, image)
    return TensorImages(
        images=fit_images(images, image),
        labels=None if image.classes is None else labels,
        image=replace(image, classes=len(class_names)),
        class_names=class_names,
    )


def fit_images(images: Tensor, image: ImageSpec) -> Tensor:
    """Return uint8 (N, C, H, W) images, grey or RGB, in the size and channels of `image`."""
    if tuple(images.shape[1:]) == (image.channels, image.height, image.width):
        return images
    return torch.cat([_fit_chunk(chunk, image) for chunk in torch.split(images, _CHUNK)])


def _fit_chunk(images: Tensor, image: ImageSpec) -> Tensor:
    if images.shape[1] == 3 and image.channels == 1:
        # Not torchvision's rgb_to_grayscale, which rounds down, and so turns white into 254.
        luma = torch.tensor(_LUMA).view(1, 3, 1, 1)
        images = (images * luma).sum(dim=1, keepdim=True).round_().to(torch.uint8)
    if tuple(images.shape[2:]) != (image.height, image.width):
        from torchvision.transforms.v2 import functional  # as slow to import as torch itself

        images = functional.resize(images, [image.height, image.width], antialias=True)
    return images.expand(-1, image.channels, -1, -1)
