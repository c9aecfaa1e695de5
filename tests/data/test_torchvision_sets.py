from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import os
import pickle
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, MNIST, FashionMNIST

from genzoo.data.configs import TorchvisionConfig
from genzoo.data.datasets import cifar10, fashion_mnist, mnist
from genzoo.data.fitting import Split, TensorImages
from genzoo.errors import DataError
from genzoo.registry.specs import ImageSpec

Factory = Callable[[TorchvisionConfig, ImageSpec, Split, Path | None], TensorImages]

GREY, RGB = ImageSpec(1, 28, 28, 10), ImageSpec(3, 32, 32, 10)
COUNTS = {"train": 5, "t10k": 3}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be fetched but from this machine, where nothing listens on port 9."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")


def idx(array: np.ndarray) -> bytes:
    """Return it as an idx file of unsigned bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def images_of(prefix: str) -> np.ndarray:
    shape = (COUNTS[prefix], 28, 28)
    return np.random.default_rng(COUNTS[prefix]).integers(0, 256, shape, dtype=np.uint8)


def labels_of(prefix: str) -> np.ndarray:
    return np.arange(COUNTS[prefix], dtype=np.uint8)


def write_mnist(raw: Path) -> Path:
    raw.mkdir(parents=True)
    for prefix in COUNTS:
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images_of(prefix)))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels_of(prefix)))
    return raw


def load(factory: Factory, root: Path, image: ImageSpec, split: Split = "train") -> TensorImages:
    return factory(TorchvisionConfig(), image, split, root)


def refused(factory: Factory, root: Path, image: ImageSpec) -> DataError:
    with pytest.raises(DataError) as raised:
        load(factory, root, image)
    assert raised.value.hint
    return raised.value


# MNIST and Fashion-MNIST


@pytest.mark.parametrize(
    ("factory", "folder", "second_class"),
    [(mnist, "MNIST", "1"), (fashion_mnist, "FashionMNIST", "Trouser")],
)
@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
def test_files_in_torchvisions_layout_are_read(
    tmp_path: Path, factory: Factory, folder: str, second_class: str, split: Split, prefix: str
) -> None:
    write_mnist(tmp_path / folder / "raw")
    dataset = load(factory, tmp_path, GREY, split)
    assert torch.equal(dataset.images, torch.from_numpy(images_of(prefix)).unsqueeze(1))
    assert dataset.labels is not None
    assert dataset.labels.dtype == torch.int64
    assert dataset.labels.tolist() == labels_of(prefix).tolist()
    assert dataset.image == GREY
    assert len(dataset.class_names) == 10
    assert dataset.class_names[1] == second_class


def test_images_are_fitted_and_labels_dropped_as_asked(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    dataset = load(mnist, tmp_path, ImageSpec(3, 32, 32, None))
    assert dataset.images.shape == (5, 3, 32, 32)
    assert dataset.images.dtype == torch.uint8
    assert dataset.labels is None


def test_a_wrong_number_of_classes_is_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    error = refused(mnist, tmp_path, ImageSpec(1, 28, 28, 5))
    assert "mnist has 10 classes, but the config asks for 5" in error.message


def test_a_read_only_folder_is_only_read(tmp_path: Path) -> None:
    raw = write_mnist(tmp_path / "MNIST" / "raw")
    before = sorted(tmp_path.rglob("*"))
    folders = (tmp_path, tmp_path / "MNIST", raw)
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert len(load(mnist, tmp_path, GREY)) == 5
        assert sorted(tmp_path.rglob("*")) == before
    finally:
        for folder in folders:
            folder.chmod(0o755)


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        pytest.param(IMAGES, idx(images_of("train"))[:-100], id="truncated images"),
        pytest.param(IMAGES, idx(images_of("train"))[:10], id="truncated header"),
        pytest.param(IMAGES, b"", id="empty"),
        pytest.param(IMAGES, b"<html>404 not found</html>", id="a web page"),
        pytest.param(LABELS, idx(labels_of("train"))[:-1], id="truncated labels"),
        pytest.param(LABELS, idx(labels_of("train")[:-1]), id="too few labels"),
        pytest.param(LABELS, idx(labels_of("train") + 6), id="a label out of range"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, file: str, content: bytes) -> None:
    raw = write_mnist(tmp_path / "MNIST" / "raw")
    (raw / file).write_bytes(content)
    error = refused(mnist, tmp_path, GREY)
    assert str(raw / file) in error.message
    assert "damaged" in error.message


# Downloading


@pytest.mark.parametrize(
    ("factory", "name", "image"),
    [(mnist, "mnist", GREY), (fashion_mnist, "fashion-mnist", GREY), (cifar10, "cifar10", RGB)],
)
def test_without_files_and_network_the_message_says_what_to_do(
    tmp_path: Path, factory: Factory, name: str, image: ImageSpec
) -> None:
    root = tmp_path / "data"
    error = refused(factory, root, image)
    assert f"{name} is not in {root}" in error.message
    assert "\n" not in error.message
    for way_out in ("GENZOO_DATA", "--data", "'digits'"):
        assert way_out in error.hint
    assert list(root.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "mnist is not in" in refused(mnist, tmp_path / "file" / "data", GREY).message


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what the download itself prints is under test."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Serve a folder over HTTP: (folder, its address)."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_what_is_missing_is_downloaded_once_and_said_so(
    tmp_path: Path,
    served: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder, address = served
    resources = []
    for file in sorted(write_mnist(tmp_path / "source").iterdir()):
        packed = gzip.compress(file.read_bytes())
        (folder / f"{file.name}.gz").write_bytes(packed)
        resources.append((f"{file.name}.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(MNIST, "resources", resources)
    monkeypatch.setattr(MNIST, "mirrors", [address])
    root = tmp_path / "data"
    first = load(mnist, root, GREY)
    assert torch.equal(first.images, torch.from_numpy(images_of("train")).unsqueeze(1))
    assert os.listdir(root) == ["MNIST"]
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    assert torch.equal(load(mnist, root, GREY).images, first.images)
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err == f"genzoo: downloading mnist to {root}\n"


def test_a_download_that_arrives_damaged_leaves_nothing_behind(
    tmp_path: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    for name, _ in MNIST.resources:
        (folder / name).write_bytes(b"something else")
    monkeypatch.setattr(MNIST, "mirrors", [address])
    assert "downloading it failed" in refused(mnist, tmp_path / "data", GREY).message
    assert os.listdir(tmp_path / "data") == []


# CIFAR-10

CIFAR_CLASSES = [f"class {number}" for number in range(10)]


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a small set in CIFAR-10's layout, and tell torchvision its checksums."""
    folder: Path = root / CIFAR10.base_folder
    folder.mkdir(parents=True)

    def write(name: str, content: object) -> list[str]:
        packed = pickle.dumps(content)
        (folder / name).write_bytes(packed)
        return [name, hashlib.md5(packed).hexdigest()]

    pixels = np.arange(4, dtype=np.uint8).repeat(3 * 32 * 32).reshape(4, -1)
    pixels += np.tile(np.arange(32, dtype=np.uint8), 3 * 32)  # rows of 32 columns
    pixels[:, : 32 * 32] += 100  # red comes first
    train = write("data_batch_1", {"data": pixels, "labels": [3, 1, 4, 1]})
    test = write("test_batch", {"data": pixels[:2], "labels": [9, 2]})
    name, checksum = write("batches.meta", {"label_names": CIFAR_CLASSES})
    monkeypatch.setattr(CIFAR10, "train_list", [train])
    monkeypatch.setattr(CIFAR10, "test_list", [test])
    meta = {"filename": name, "key": "label_names", "md5": checksum}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    return folder


def test_cifar10_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path, monkeypatch)
    dataset = load(cifar10, tmp_path, RGB)
    assert dataset.images.shape == (4, 3, 32, 32)
    assert dataset.images[:, :, 5, 7].tolist() == [[107 + i, 7 + i, 7 + i] for i in range(4)]
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [3, 1, 4, 1]
    assert dataset.class_names == tuple(CIFAR_CLASSES)
    assert [load(cifar10, tmp_path, RGB, "test")[i][1] for i in range(2)] == [9, 2]


class _Trap:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.path,)


def test_a_foreign_pickle_is_refused_unopened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_cifar(tmp_path, monkeypatch)
    (folder / "test_batch").write_bytes(pickle.dumps(_Trap(str(tmp_path / "sprung"))))
    error = refused(cifar10, tmp_path, RGB)
    assert str(folder / "test_batch") in error.message
    assert not (tmp_path / "sprung").exists()


def test_cifar10_is_downloaded(
    tmp_path: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    archive = folder / "cifar.tar.gz"
    source = write_cifar(tmp_path / "source", monkeypatch)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source, arcname=source.name)
    monkeypatch.setattr(CIFAR10, "url", f"{address}cifar.tar.gz")
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert len(load(cifar10, tmp_path / "data", RGB)) == 4
