"""MNIST in black and white, from small files in torchvision's layout."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from genzoo.data import binarization
from genzoo.data.batches import Batches
from genzoo.data.binarization import binarize, grey_levels
from genzoo.data.configs import TorchvisionConfig
from genzoo.data.datasets import binarized_mnist, mnist
from genzoo.data.fitting import Split, TensorImages
from genzoo.errors import DataError
from genzoo.registry.discovery import registry
from genzoo.registry.specs import ImageSpec, resolve

GREY = ImageSpec(1, 28, 28, 10)
COUNT = 20


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with a train and a test split of the same images, of every grey value."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.resize(np.arange(256, dtype=np.uint8), (COUNT, 28, 28))
    for prefix in ("train", "t10k"):
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx(pixels))
        labels = np.arange(COUNT, dtype=np.uint8) % 10
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
    return tmp_path


def read(root: Path, split: Split = "train", image: ImageSpec = GREY) -> TensorImages:
    return binarized_mnist(TorchvisionConfig(), image, split, root)


def images_of(batches: Batches, start: int, stop: int) -> list[Tensor]:
    return [images for images, _ in batches.iterate(start, stop)]


def assert_same(one: Sequence[Tensor], other: Sequence[Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_value_v_exceeds_v_of_255_levels() -> None:
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(255, -1, -1, -1)
    levels = torch.arange(255, dtype=torch.uint8).view(255, 1, 1, 1)
    drawn = binarize(values, levels)
    assert drawn.dtype == torch.uint8
    assert set(drawn.unique().tolist()) == {0, 255}
    white = (drawn == 255).sum(0).flatten()
    assert white.tolist() == list(range(256))


def test_levels_are_uniform_over_0_to_254() -> None:
    counts = grey_levels(0, "test", 0, 1000, (51, 50)).flatten().bincount(minlength=256)
    assert counts[255] == 0
    expected = 1000 * 10  # chi-squared of 254 degrees of freedom: 254 on average, stddev 22.5
    assert ((counts[:255] - expected).double().square() / expected).sum() < 254 + 5 * 22.5


def test_levels_do_not_depend_on_how_many_are_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    levels = grey_levels(3, "test", 5, 10, (4, 3))
    monkeypatch.setattr(binarization, "_AT_ONCE", 7)
    assert torch.equal(grey_levels(3, "test", 5, 10, (4, 3)), levels)


def test_levels_are_those_of_every_machine() -> None:
    """A known answer: the test split must never change."""
    levels = grey_levels(0, "binarized-mnist/test", 0, 10_000, (2, 2))
    assert levels.shape == (10_000, 1, 2, 2)
    assert levels[:2].flatten().tolist() == [93, 241, 43, 216, 62, 8, 238, 241]
    assert int(levels.long().sum()) == 5092921


def test_training_draws_white_as_often_as_the_grey_value_says(root: Path) -> None:
    dataset = read(root)
    batches = Batches(dataset, batch_size=COUNT, seed=0)
    steps, total = 300, torch.zeros(COUNT, 1, 28, 28)
    for step, images in enumerate(images_of(batches, 0, steps)):
        assert set(images.unique().tolist()) == {-1.0, 1.0}
        total[torch.from_numpy(batches.indices(step))] += images == 1
    expected = dataset.images.double() / 255
    assert torch.equal(total[dataset.images == 0].unique(), torch.zeros(1))
    assert torch.equal(total[dataset.images == 255].unique(), torch.full((1,), 300.0))
    deviation = (total / steps - expected) / (expected * (1 - expected) / steps).sqrt()
    between = (dataset.images > 0) & (dataset.images < 255)
    assert deviation[between].mean().abs() < 5 / between.sum().sqrt()
    assert deviation[between].std().item() == pytest.approx(1, abs=0.05)


def test_a_step_draws_the_same_pixels_whenever_it_comes(root: Path) -> None:
    dataset = read(root)
    whole = images_of(Batches(dataset, batch_size=6, seed=1), 0, 8)
    assert_same(whole[5:], images_of(Batches(dataset, batch_size=6, seed=1), 5, 8))


def test_other_steps_and_seeds_draw_other_pixels(root: Path) -> None:
    alike = read(root)
    alike.images[:] = 128
    first, second = images_of(Batches(alike, batch_size=4, seed=0), 0, 2)
    [other] = images_of(Batches(alike, batch_size=4, seed=1), 0, 1)
    drawn = [image for images in (first, second, other) for image in images]
    for i, one in enumerate(drawn):
        for two in drawn[:i]:
            assert 0.4 < (one == two).float().mean() < 0.6


def test_the_rows_of_two_processes_are_those_of_one(root: Path) -> None:
    dataset = read(root)
    whole = images_of(Batches(dataset, batch_size=6, seed=4), 0, 5)
    halves = [
        images_of(Batches(dataset, batch_size=6, seed=4, rows=rows), 0, 5)
        for rows in (slice(0, 3), slice(3, 6))
    ]
    assert_same(whole, [torch.cat(parts) for parts in zip(*halves, strict=True)])


def test_training_leaves_the_images_and_the_global_generator_alone(root: Path) -> None:
    dataset, before = read(root), torch.get_rng_state()
    images_of(Batches(dataset, batch_size=4, seed=0), 0, 5)
    assert torch.equal(dataset.images, read(root).images)
    assert torch.equal(torch.get_rng_state(), before)
    assert dataset.to(torch.device("cpu")).binarize


def test_the_test_split_is_drawn_once_for_all(root: Path) -> None:
    dataset, grey = read(root, "test"), mnist(TorchvisionConfig(), GREY, "test", root)
    assert torch.equal(dataset.images, read(root, "test").images)
    assert dataset.images.dtype == torch.uint8
    assert set(dataset.images.unique().tolist()) == {0, 255}
    assert (dataset.images[grey.images == 255] == 255).all()
    assert not dataset.images[grey.images == 0].any()
    white = (dataset.images == 255).double()
    assert white.mean().item() == pytest.approx(grey.images.double().mean().item() / 255, abs=0.02)
    assert dataset.labels is not None
    assert grey.labels is not None
    assert dataset.labels.tolist() == grey.labels.tolist()
    for images in images_of(Batches(dataset, batch_size=COUNT, seed=0), 0, 2):
        assert (images == 1).sum() == white.sum()


@pytest.mark.parametrize("split", ["train", "test"])
def test_what_is_grey_stays_grey_in_three_channels(root: Path, split: Split) -> None:
    dataset = read(root, split, ImageSpec(3, 32, 32, None))
    [images] = images_of(Batches(dataset, batch_size=COUNT, seed=0), 0, 1)
    assert images.shape == (COUNT, 3, 32, 32)
    assert set(images.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(images[:, 0], images[:, 1])
    assert torch.equal(images[:, 0], images[:, 2])


def test_grey_mnist_is_not_drawn(root: Path) -> None:
    dataset = mnist(TorchvisionConfig(), GREY, "train", root)
    batches = Batches(dataset, batch_size=COUNT, seed=0)
    [images] = images_of(batches, 0, 1)
    chosen = dataset.images[torch.from_numpy(batches.indices(0))]
    assert torch.equal(images, chosen.float() / 127.5 - 1)


def test_it_is_a_dataset_of_the_core(root: Path) -> None:
    spec = registry().dataset("binarized-mnist")
    assert resolve(spec.factory) is binarized_mnist
    assert (spec.image, spec.licence) == (GREY, "CC-BY-SA-3.0")
    with pytest.raises(DataError, match="binarized-mnist has 10 classes"):
        read(root, image=ImageSpec(1, 28, 28, 7))
