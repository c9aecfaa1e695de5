from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import genzoo.data
from genzoo.data.configs import DigitsConfig
from genzoo.data.embedded import digits
from genzoo.data.fitting import Split, TensorImages
from genzoo.errors import DataError
from genzoo.registry.specs import ImageSpec

EMBEDDED = Path(genzoo.data.__file__).parent / "digits"
# optdigits.names, "number of examples in testing set" for the digits 0 to 9
COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


IMAGE = ImageSpec(1, 8, 8, 10)


def load(split: Split, image: ImageSpec = IMAGE) -> TensorImages:
    return digits(DigitsConfig(), image, split, None)


def rows(images: torch.Tensor, labels: torch.Tensor | None) -> list[tuple[int, ...]]:
    assert labels is not None
    return sorted(
        (*map(int, pixels.flatten()), int(label))
        for pixels, label in zip(images, labels, strict=True)
    )


def test_the_embedded_file_is_the_one_that_its_readme_describes() -> None:
    digest = hashlib.sha256((EMBEDDED / "digits.safetensors").read_bytes()).hexdigest()
    assert digest in (EMBEDDED / "README.md").read_text()


def test_the_licence_is_beside_the_data() -> None:
    licence = (EMBEDDED / "LICENSE").read_text()
    assert "CC BY 4.0" in licence
    assert "10.24432/C50P49" in licence


@pytest.mark.parametrize(("split", "count"), [("train", 1500), ("test", 297)])
def test_a_split_has_grey_8x8_images_with_labels(split: Split, count: int) -> None:
    dataset = load(split)
    assert len(dataset) == count
    assert dataset.images.shape == (count, 1, 8, 8)
    assert dataset.images.dtype == torch.uint8
    assert dataset.labels is not None
    assert dataset.labels.dtype == torch.int64
    assert dataset.image == IMAGE
    assert dataset.class_names == tuple("0123456789")


def test_the_splits_together_are_the_source_scaled_to_255() -> None:
    stored = load_file(EMBEDDED / "digits.safetensors")
    assert torch.bincount(stored["labels"].long()).tolist() == COUNTS
    scaled = torch.tensor([round(value * 255 / 16) for value in range(17)])
    source = rows(scaled[stored["images"].int()], stored["labels"])
    train, test = load("train"), load("test")
    assert sorted(rows(train.images, train.labels) + rows(test.images, test.labels)) == source


def test_the_split_is_fixed() -> None:
    labels = load("test").labels
    assert labels is not None
    assert labels[:12].tolist() == [2, 2, 9, 8, 8, 3, 6, 0, 4, 4, 7, 6]
    assert labels.bincount().min() >= 20


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(DataError) as raised:
        load("train", ImageSpec(1, 8, 8, 11))
    assert "10" in raised.value.hint
