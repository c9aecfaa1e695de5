"""torchvision's sets that fit in memory: MNIST, binarized as well, Fashion-MNIST and CIFAR-10."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from tarfile import TarError
from typing import Any

import torch
from torch import Tensor
from torchvision import datasets as torchvision_sets
from torchvision.datasets.mnist import read_image_file, read_label_file
from torchvision.datasets.utils import check_integrity

from genzoo.data.binarization import binarize, grey_levels
from genzoo.data.configs import TorchvisionConfig
from genzoo.data.embedded import DIGIT_NAMES
from genzoo.data.fitting import ImageDataset, Split, TensorImages, fit_tensors
from genzoo.errors import DataError
from genzoo.files import expand_home, user_cache
from genzoo.registry.specs import ImageSpec

__all__ = [
    "ImageDataset",
    "Split",
    "TensorImages",
    "binarized_mnist",
    "cifar10",
    "data_root",
    "fashion_mnist",
    "mnist",
]

_STALLED = 30.0  # seconds without a byte before a download is given up


def data_root(root: Path | None) -> Path:
    """Return the folder of downloaded sets: `root`, else GENZOO_DATA, else the user's cache."""
    if root is not None:
        return expand_home(root)
    if named := os.environ.get("GENZOO_DATA"):
        return expand_home(Path(named))
    return user_cache() / "data"


def mnist(
    config: TorchvisionConfig, image: ImageSpec, split: Split, root: Path | None
) -> TensorImages:
    """Return MNIST (28x28, grey): 60,000 train, 10,000 test.

    Read from `data_root(root)` in torchvision's layout, downloaded there first where it is missing.
    Raises DataError where it can be neither, is damaged, or has not the classes that `image` asks
    for.
    """
    return _mnist_like("mnist", torchvision_sets.MNIST, DIGIT_NAMES, image, split, root)


def binarized_mnist(
    config: TorchvisionConfig, image: ImageSpec, split: Split, root: Path | None
) -> TensorImages:
    """Return MNIST in black and white: a pixel of value v is white with probability v / 255.

    For likelihoods: those of different models compare on it. The train split is drawn anew at each
    reading (Burda et al. 2016). The test split is drawn once, by genzoo's own generator with the
    seed 0, so that all measure on the same images; they are not those of the file of Larochelle and
    Murray (2011). As `mnist` otherwise, whose files it reads; fitted to `image`, then drawn.
    """
    grey = _mnist_like("binarized-mnist", torchvision_sets.MNIST, DIGIT_NAMES, image, split, root)
    if split == "train":
        return replace(grey, binarize=True)
    size = (image.height, image.width)
    levels = grey_levels(0, "binarized-mnist/test", 0, len(grey), size)
    return replace(grey, images=binarize(grey.images, levels))


def fashion_mnist(
    config: TorchvisionConfig, image: ImageSpec, split: Split, root: Path | None
) -> TensorImages:
    """Return Fashion-MNIST (28x28, grey): 60,000 train, 10,000 test. As `mnist`."""
    kind = torchvision_sets.FashionMNIST
    return _mnist_like("fashion-mnist", kind, tuple(kind.classes), image, split, root)


def cifar10(
    config: TorchvisionConfig, image: ImageSpec, split: Split, root: Path | None
) -> TensorImages:
    """Return CIFAR-10 (32x32, RGB): 50,000 train, 10,000 test. As `mnist`."""
    kind, folder = torchvision_sets.CIFAR10, data_root(root)
    meta = (kind.meta["filename"], kind.meta["md5"])
    checksums = [meta, *kind.train_list, *kind.test_list]
    files = [folder / kind.base_folder / name for name, _ in checksums]
    _ensure("cifar10", kind, folder, files)
    # They are pickles: torchvision too opens none that is not the published one to the last byte.
    for file, (_, checksum) in zip(files, checksums, strict=True):
        if not check_integrity(file, checksum):
            raise _damaged("cifar10", file, "its checksum is not that of the published file")
    found = _read("cifar10", files[0].parent, lambda _: kind(folder, train=split == "train"))
    pixels = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor(found.targets, dtype=torch.int64)
    return fit_tensors("cifar10", pixels, labels, tuple(found.classes), image)


def _mnist_like(
    name: str,
    kind: Any,
    class_names: tuple[str, ...],
    image: ImageSpec,
    split: Split,
    root: Path | None,
) -> TensorImages:
    folder = data_root(root)
    prefix = "train" if split == "train" else "t10k"
    images_file, labels_file = (
        folder / kind.__name__ / "raw" / f"{prefix}-{part}"
        for part in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    _ensure(name, kind, folder, [images_file, labels_file])
    # Read file by file and not through `kind`, so that an error can name the file that is damaged.
    pixels: Tensor = _read(name, images_file, read_image_file)
    labels: Tensor = _read(name, labels_file, read_label_file)
    if len(pixels) == 0 or len(pixels) != len(labels):
        raise _damaged(name, labels_file, f"{len(labels)} labels for {len(pixels)} images")
    if int(labels.max()) >= len(class_names):
        raise _damaged(name, labels_file, f"a label is {int(labels.max())}")
    return fit_tensors(name, pixels.unsqueeze(1), labels, class_names, image)


def _read(name: str, path: Path, read: Callable[[str], Any]) -> Any:
    try:
        return read(str(path))
    # torchvision's readers check little, so that a damaged file can fail in almost any way.
    except Exception as error:
        raise _damaged(name, path, str(error) or type(error).__name__) from error


def _damaged(name: str, path: Path, reason: str) -> DataError:
    return DataError(
        f"{name}: {path} is damaged or not readable: {reason}.",
        hint="Delete it, so that it is downloaded again, or copy it anew from where it came.",
    )


def _ensure(name: str, kind: Any, folder: Path, files: list[Path]) -> None:
    """Download the set where one of `files` is not there; raise DataError where that fails."""
    missing = [file for file in files if not file.is_file()]
    if not missing:
        return
    print(f"genzoo: downloading {name} to {folder}", file=sys.stderr)
    try:
        _download(kind, folder)
    except (OSError, RuntimeError, EOFError, HTTPException, TarError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise DataError(
            f"{name} is not in {folder} ({missing[0].relative_to(folder)} is missing), and "
            f"downloading it failed: {reason}",
            hint="Name a folder with it, in torchvision's layout, with --data or GENZOO_DATA, "
            "or use the dataset 'digits', which needs neither files nor a network.",
        ) from error


def _download(kind: Any, folder: Path) -> None:
    """Download beside and move each file in place, so that a file there is a whole one."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
        with patience(), contextlib.redirect_stderr(io.StringIO()):  # a progress bar for each file
            kind(temporary, download=True)
        for file in sorted(Path(temporary).rglob("*")):
            if file.is_file():
                target = folder / file.relative_to(temporary)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """Give up on a silent server, which torchvision would wait for without end."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALLED)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
