"""Any folder of image files, decoded when they are needed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from genzoo.data.configs import FolderConfig
from genzoo.data.fitting import Split, check_spec
from genzoo.errors import DataError
from genzoo.files import expand_home
from genzoo.registry.specs import ImageSpec

__all__ = ["FolderImages", "folder"]

_SUFFIXES = frozenset(
    (
        ".bmp",
        ".gif",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    )
)
_TEST_EVERY = 10


@dataclass(frozen=True, eq=False)
class FolderImages:
    """A dataset of image files; `labels` has one for each of `files`, or is None."""

    files: tuple[str, ...]
    labels: tuple[int, ...] | None
    image: ImageSpec
    class_names: tuple[str, ...]
    fit: Literal["crop", "stretch"]

    def __len__(self) -> int:
        return len(self.files)

    def fingerprint(self) -> str:
        """Return the hex sha256 of the files' names and labels; the folder may have moved."""
        common = len(os.path.commonpath([min(self.files), max(self.files)]))
        digest = hashlib.sha256("\0".join(file[common:] for file in self.files).encode())
        digest.update(repr(self.labels).encode())
        return digest.hexdigest()

    def __getitem__(self, index: int) -> tuple[Tensor, int | None]:
        """Decode one file: uint8 (C, H, W) and its label. Raises DataError where it is no image."""
        picture = np.array(_decode(self.files[index], self.image, self.fit))  # (H, W) or (H, W, 3)
        pixels = torch.from_numpy(picture).view(self.image.height, self.image.width, -1)
        pixels = pixels.permute(2, 0, 1).contiguous()
        return pixels, None if self.labels is None else self.labels[index]


def folder(config: FolderConfig, image: ImageSpec, split: Split, root: Path | None) -> FolderImages:
    """Return the images under `config.path`: its sub-folders are the classes, in sorted order.

    Without sub-folders there are no classes. Where `train` and `test` folders are inside it, they
    are the splits; else every tenth file, in sorted order, is in the test split. Names that start
    with a dot are passed over. `root` is not used. Raises DataError where no images are found, or
    the classes are not those that `image` asks for.
    """
    path = expand_home(Path(config.path)).absolute()
    if not path.is_dir():
        raise DataError(
            f"there is no folder {path}.",
            hint="Set the dataset's path to a folder of images.",
        )
    split_folders = (path / "train").is_dir() and (path / "test").is_dir()
    class_names = _subfolders(path / "train" if split_folders else path)
    found = _find(path / split if split_folders else path, class_names)
    check_spec(f"the folder {path}", class_names, image)
    if not split_folders:
        held_out = split == "test"
        found = [
            entry
            for position, entry in enumerate(found, start=1)
            if (position % _TEST_EVERY == 0) == held_out
        ]
    if not found:
        raise DataError(
            f"{path} has fewer than {_TEST_EVERY} images, so that none is left for a test split.",
            hint=f"Add images, or make the folders {path / 'train'} and {path / 'test'}.",
        )
    files, labels = zip(*found, strict=True)
    return FolderImages(
        files=files,
        labels=None if image.classes is None else labels,
        image=replace(image, classes=len(class_names) or None),
        class_names=class_names,
        fit=config.fit,
    )


def _subfolders(path: Path) -> tuple[str, ...]:
    return tuple(p.name for p in _listed(path) if p.is_dir() and not p.name.startswith("."))


def _listed(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError as error:
        _unreadable(error)


def _find(path: Path, class_names: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return (file, label) in sorted order; the label is 0 where there are no classes."""
    differing = sorted(set(_subfolders(path)) ^ set(class_names))
    if differing:
        raise DataError(
            f"{path.parent} has the class {differing[0]!r} in only one of its splits.",
            hint="Give its folders train and test the same sub-folders.",
        )
    top = [str(p) for p in _listed(path) if p.is_file() and _is_image(p.name)]
    if class_names and top:
        raise DataError(
            f"{path} has sub-folders, which are classes, and beside them images such as {top[0]}.",
            hint="Move those images into a sub-folder, or take the sub-folders away.",
        )
    found = [(file, 0) for file in top]
    for label, name in enumerate(class_names):
        files = sorted(_walk(path / name))
        if not files:
            raise DataError(
                f"{path / name} holds no images, though every sub-folder is a class.",
                hint=f"Put images there ({_suffixes()}), or take the folder away.",
            )
        found += [(file, label) for file in files]
    if not found:
        raise DataError(
            f"the folder {path} holds no images.", hint=f"Files that count end in {_suffixes()}."
        )
    return found


def _walk(path: Path) -> Iterator[str]:
    seen: set[str] = set()
    for parent, folders, files in os.walk(path, onerror=_unreadable, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link that leads back would be followed round and round
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.join(parent, name) for name in files if _is_image(name))


def _unreadable(error: OSError) -> NoReturn:
    raise DataError(
        f"{error.filename} cannot be listed: {error.strerror}.", hint="Check its permissions."
    ) from error


def _is_image(name: str) -> bool:
    # A leading dot: what systems leave behind, such as macOS's ._photo.jpg, which is no image.
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in _SUFFIXES


def _suffixes() -> str:
    return ", ".join(sorted(_SUFFIXES))


def _decode(path: str, image: ImageSpec, fit: Literal["crop", "stretch"]) -> Image.Image:
    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened)
            whole = _flatten(upright, "L" if image.channels == 1 else "RGB")
    # Pillow's decoders fail on damaged files in many ways: OSError, SyntaxError, struct.error, ...
    except Exception as error:
        raise DataError(
            f"{path} cannot be read as an image: {error}.",
            hint="Put a whole file there. A run that it stopped goes on with --resume then; to "
            "train without that file, start another run.",
        ) from error
    size = (image.width, image.height)
    if fit == "crop":
        return ImageOps.fit(whole, size, Image.Resampling.BILINEAR)
    return whole.resize(size, Image.Resampling.BILINEAR)


def _flatten(image: Image.Image, mode: Literal["L", "RGB"]) -> Image.Image:
    """Return it in 8 bits: 16-bit grey scaled down, what is transparent laid on white."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if image.mode.startswith("I"):  # 16-bit grey, which convert() would clip at 255
        values = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return image.convert(mode)
