from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import genzoo.data
from genzoo.data.configs import DigitsConfig
from genzoo.data.datasets import digits
from genzoo.data.fitting import TensorImages
from genzoo.errors import DataError
from genzoo.registry.specs import ImageSpec

EMBEDDED = Path(genzoo.data.__file__).parent / "digits"
# optdigits.names, "number of examples in testing set" for the digits 0 to 9
COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def load(split: str, image: ImageSpec = ImageSpec(1, 8, 8, 10)) -> TensorImages:
    return digits(DigitsConfig(), image, split, None)


def rows(images: torch.Tensor, labels: torch.Tensor) -> list[tuple[int, ...]]:
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
def test_a_split_has_grey_8x8_images_with_labels(split: str, count: int) -> None:
    dataset = load(split)
    assert len(dataset) == count
    assert dataset.images.shape == (count, 1, 8, 8)
    assert dataset.images.dtype == torch.uint8
    assert dataset.labels is not None
    assert dataset.labels.dtype == torch.int64
    assert dataset.image == ImageSpec(1, 8, 8, 10)
    assert dataset.class_names == tuple("0123456789")


def test_the_splits_together_are_the_source_scaled_to_255() -> None:
    stored = load_file(EMBEDDED / "digits.safetensors")
    assert torch.bincount(stored["labels"].long()).tolist() == COUNTS
    scaled = torch.tensor([round(value * 255 / 16) for value in range(17)])
    source = rows(scaled[stored["images"].int()], stored["labels"])
    train, test = load("train"), load("test")
    both = rows(torch.cat([train.images, test.images]), torch.cat([train.labels, test.labels]))
    assert both == source


def test_the_split_is_fixed() -> None:
    labels = load("test").labels
    assert labels is not None
    assert labels[:12].tolist() == [4, 1, 5, 2, 7, 8, 2, 1, 0, 0, 3, 5]
    assert labels.bincount().min() >= 20


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(DataError) as raised:
        load("train", ImageSpec(1, 8, 8, 11))
    assert "10" in raised.value.hint
