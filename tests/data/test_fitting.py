from __future__ import annotations

import pytest
import torch
from torch import Tensor

from genzoo.data.fitting import TensorImages, fit_images, fit_tensors
from genzoo.errors import DataError
from genzoo.registry.specs import ImageSpec

NAMES = ("cat", "dog")


def grey(*rows: list[int]) -> Tensor:
    return torch.tensor([[rows]], dtype=torch.uint8)


def fitted(image: ImageSpec) -> TensorImages:
    return fit_tensors("pets", grey([1, 2], [3, 4]), torch.tensor([1]), NAMES, image)


def test_images_that_fit_stay_as_they_are() -> None:
    dataset = fitted(ImageSpec(1, 2, 2, 2))
    assert torch.equal(dataset.images, grey([1, 2], [3, 4]))
    assert dataset[0][1] == 1


def test_images_get_the_size_asked_for_by_bilinear_interpolation() -> None:
    # The centres of the new pixels are at -1/4, 1/4, 3/4 and 5/4 of the way between the old.
    got = fit_images(grey([0, 255], [0, 255]), ImageSpec(1, 2, 4))
    assert torch.equal(got, grey([0, 64, 191, 255], [0, 64, 191, 255]))


def test_reducing_averages_all_pixels_rather_than_dropping_some() -> None:
    # One column in four is white, none beside the centre of a new pixel: a quarter of 255 is 64.
    stripes = grey(*[[255, 0, 0, 0] * 4] * 16)
    got = fit_images(stripes, ImageSpec(1, 4, 4))
    assert got[0, 0, :, 1:3].tolist() == [[64, 64]] * 4


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((255, 255, 255), 255),
        ((0, 0, 0), 0),
        ((255, 0, 0), 76),  # 0.299 * 255 = 76.2
        ((0, 255, 0), 150),  # 0.587 * 255 = 149.7
        ((0, 0, 255), 29),  # 0.114 * 255 = 29.1
    ],
)
def test_colour_becomes_grey_by_luma(colour: tuple[int, int, int], expected: int) -> None:
    images = torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1)
    assert fit_images(images, ImageSpec(1, 1, 1)).item() == expected


def test_grey_becomes_three_equal_channels() -> None:
    got = fit_images(grey([7, 9]), ImageSpec(3, 1, 2))
    assert got.dtype == torch.uint8
    assert got[0, :, 0].tolist() == [[7, 9]] * 3


def test_a_set_of_many_images_keeps_their_order() -> None:
    values = torch.arange(10_000).remainder(251).to(torch.uint8)
    got = fit_images(values.view(-1, 1, 1, 1), ImageSpec(1, 2, 2))
    assert torch.equal(got[:, 0, 1, 1], values)


def test_labels_are_dropped_where_no_classes_are_asked_for() -> None:
    dataset = fitted(ImageSpec(1, 2, 2, None))
    assert dataset.labels is None
    assert dataset[0][1] is None
    assert dataset.image.classes == 2


@pytest.mark.parametrize("channels", [2, 4])
def test_channels_other_than_grey_and_rgb_are_refused(channels: int) -> None:
    with pytest.raises(DataError, match=f"pets cannot give images of {channels} channels"):
        fitted(ImageSpec(channels, 2, 2, 2))


@pytest.mark.parametrize("classes", [1, 3])
def test_a_wrong_number_of_classes_is_refused_with_the_right_one(classes: int) -> None:
    with pytest.raises(DataError) as raised:
        fitted(ImageSpec(1, 2, 2, classes))
    assert f"pets has 2 classes, but the config asks for {classes}" in raised.value.message
    assert "classes to 2" in raised.value.hint
