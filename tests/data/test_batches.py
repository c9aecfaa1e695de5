from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from genzoo.data.batches import Batches
from genzoo.data.configs import FolderConfig
from genzoo.data.fitting import ImageDataset, TensorImages
from genzoo.data.folder import FolderImages, folder
from genzoo.errors import DataError
from genzoo.registry.specs import ImageSpec

SIZE = 10

Drawn = tuple[Tensor, Tensor | None]


def in_memory(size: int = SIZE, *, labels: bool = True) -> TensorImages:
    """Image i is filled with i, and its label is i % 2."""
    numbers = torch.arange(size)
    return TensorImages(
        images=numbers.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 3).contiguous(),
        labels=numbers % 2 if labels else None,
        image=ImageSpec(1, 2, 3, 2),
        class_names=("even", "odd"),
    )


def on_disk(path: Path, *, labels: bool = True) -> FolderImages:
    """Image i is filled with i. Nine files, because the tenth would go to the test split."""
    for number in range(SIZE - 1):
        target = path / ("low" if number < 5 else "top") / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 2), number).save(target)
    return folder(
        FolderConfig(path=str(path)), ImageSpec(1, 2, 3, 2 if labels else None), "train", None
    )


@pytest.fixture(params=["memory", "disk"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> ImageDataset:
    return in_memory() if request.param == "memory" else on_disk(tmp_path)


def numbers(images: Tensor) -> list[int]:
    """Return the numbers that the images are filled with."""
    return [round(value) for value in ((images[:, 0, 0, 0] + 1) * 127.5).tolist()]


def drawn(batches: Batches, start: int, stop: int) -> list[Drawn]:
    return list(batches.iterate(start, stop))


def assert_same(one: Sequence[Drawn], two: Sequence[Drawn]) -> None:
    assert len(one) == len(two)
    for (images, labels), (others, other_labels) in zip(one, two, strict=True):
        assert torch.equal(images, others)
        assert labels is not None
        assert other_labels is not None
        assert torch.equal(labels, other_labels)


def test_a_batch_is_float_images_and_int_labels_of_the_indexed_images(
    dataset: ImageDataset,
) -> None:
    batches = Batches(dataset, batch_size=4, seed=3)
    [(images, labels)] = drawn(batches, 5, 6)
    assert images.dtype == torch.float32
    assert images.shape == (4, 1, 2, 3)
    assert labels is not None
    assert labels.dtype == torch.int64
    for row, index in enumerate(batches.indices(5)):
        pixels, label = dataset[int(index)]
        assert numbers(images)[row] == int(pixels[0, 0, 0])
        assert int(labels[row]) == label


def test_every_pixel_value_maps_to_its_place_in_minus_one_to_one() -> None:
    dataset = in_memory(256)
    batches = Batches(dataset, batch_size=256, seed=0)
    [(images, _)] = drawn(batches, 0, 1)
    expected = batches.indices(0).astype(np.float64) * 2 / 255 - 1
    got = images[:, 0, 1, 2].double().numpy()
    np.testing.assert_allclose(got, expected, atol=1e-7, rtol=0)
    assert got.min() == -1.0
    assert got.max() == 1.0


def test_the_dataset_itself_is_left_as_it_was() -> None:
    dataset = in_memory()
    drawn(Batches(dataset, batch_size=4, seed=0), 0, 5)
    assert torch.equal(dataset.images, in_memory().images)


def test_unlabelled_images_come_without_labels(tmp_path: Path) -> None:
    for dataset in (in_memory(labels=False), on_disk(tmp_path, labels=False)):
        [(_, labels)] = drawn(Batches(dataset, batch_size=4, seed=0), 0, 1)
        assert labels is None


def test_the_same_seed_gives_the_same_batches(dataset: ImageDataset) -> None:
    one = drawn(Batches(dataset, batch_size=4, seed=7), 0, 6)
    assert_same(one, drawn(Batches(dataset, batch_size=4, seed=7), 0, 6))


def test_another_seed_gives_another_order() -> None:
    orders = {
        tuple(Batches(in_memory(), batch_size=SIZE, seed=seed).indices(0)) for seed in range(5)
    }
    assert len(orders) == 5


def test_another_epoch_gives_another_order() -> None:
    batches = Batches(in_memory(), batch_size=SIZE, seed=0)
    assert len({tuple(batches.indices(epoch)) for epoch in range(5)}) == 5


def test_starting_late_gives_what_starting_early_gives_there(dataset: ImageDataset) -> None:
    whole = drawn(Batches(dataset, batch_size=4, seed=1), 0, 20)
    assert_same(drawn(Batches(dataset, batch_size=4, seed=1), 10, 20), whole[10:])


def test_steps_can_be_asked_for_in_any_order() -> None:
    batches = Batches(in_memory(), batch_size=4, seed=1)
    forwards = [batches.indices(step).tolist() for step in range(30)]
    backwards = [batches.indices(step).tolist() for step in reversed(range(30))]
    assert forwards == backwards[::-1]


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 25])
def test_each_epoch_has_every_image_once(batch_size: int) -> None:
    batches = Batches(in_memory(), batch_size=batch_size, seed=2)
    steps = 5 * SIZE // batch_size
    order = np.concatenate([batches.indices(step) for step in range(steps)])
    epochs = order[: len(order) // SIZE * SIZE].reshape(-1, SIZE)
    assert len(epochs) >= 4
    assert (np.sort(epochs, axis=1) == np.arange(SIZE)).all()


def test_the_order_of_images_does_not_depend_on_the_batch_size() -> None:
    small, large = (Batches(in_memory(), batch_size=size, seed=2) for size in (5, 15))
    assert np.concatenate([small.indices(s) for s in range(3)]).tolist() == list(large.indices(0))


def test_a_batch_may_be_larger_than_the_dataset() -> None:
    [(images, _)] = drawn(Batches(in_memory(3), batch_size=8, seed=0), 4, 5)
    counts = [numbers(images).count(number) for number in range(3)]
    assert sum(counts) == 8
    assert min(counts) >= 2


def test_a_large_step_needs_none_of_those_before_it() -> None:
    batches = Batches(in_memory(), batch_size=4, seed=2**63 - 1)
    assert len(batches.indices(10**12)) == 4


def test_the_rows_of_two_processes_are_those_of_one(dataset: ImageDataset) -> None:
    whole = drawn(Batches(dataset, batch_size=6, seed=4), 0, 5)
    parts = [
        drawn(Batches(dataset, batch_size=6, seed=4, rows=rows), 0, 5)
        for rows in (slice(0, 3), slice(3, 6))
    ]
    for (images, labels), *halves in zip(whole, *parts, strict=True):
        assert torch.equal(images, torch.cat([half[0] for half in halves]))
        assert labels is not None
        assert labels.tolist() == [
            label for half in halves if half[1] is not None for label in half[1].tolist()
        ]


def test_workers_give_what_this_process_gives(tmp_path: Path) -> None:
    dataset = on_disk(tmp_path)
    alone = drawn(Batches(dataset, batch_size=4, seed=5), 3, 9)
    assert_same(drawn(Batches(dataset, batch_size=4, seed=5, workers=2), 3, 9), alone)


def test_iterating_leaves_the_global_generator_alone(dataset: ImageDataset) -> None:
    before = torch.get_rng_state()
    drawn(Batches(dataset, batch_size=4, seed=0), 0, 2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_file_is_named(tmp_path: Path, workers: int) -> None:
    dataset = on_disk(tmp_path)
    (tmp_path / "low" / "3.png").write_bytes(b"not a picture")
    batches = Batches(dataset, batch_size=SIZE, seed=0, workers=workers)
    with pytest.raises(DataError) as raised:
        drawn(batches, 0, 1)
    assert str(tmp_path / "low" / "3.png") in raised.value.message
    assert raised.value.hint
    assert "Traceback" not in str(raised.value)


def test_batches_before_a_corrupt_file_still_come(tmp_path: Path) -> None:
    dataset = on_disk(tmp_path)
    batches = Batches(dataset, batch_size=1, seed=0)
    first = batches.indices(0)[0]
    for index, file in enumerate(dataset.files):
        if index != first:
            Path(file).write_bytes(b"")
    assert len(list(islice(batches.iterate(0, 2), 1))) == 1


def test_an_empty_dataset_is_refused() -> None:
    with pytest.raises(DataError, match="empty"):
        Batches(in_memory(0), batch_size=4, seed=0)
