"""The nearest training images, against a search by brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from genzoo.evaluation.metrics import copied, nearest


def pixels(seed: int, count: int, size: int) -> Tensor:
    draws = np.random.default_rng(seed).integers(0, 256, (count, size), dtype=np.uint8)
    return torch.from_numpy(draws)


def by_brute_force(images: Tensor, training: Tensor, k: int) -> np.ndarray:
    """Return the distances (M, k) to the k nearest, from all pairs in float64."""
    one, other = images.numpy() / 255, training.numpy() / 255
    found = [np.sqrt(((other - image) ** 2).sum(1)) for image in one]
    return np.sort(np.stack(found), axis=1)[:, :k]


def assert_nearest(images: Tensor, training: Tensor, k: int) -> Tensor:
    """Check distances, and that the images at the indices are at them; return the indices."""
    distances, indices = nearest(images, training, k)
    np.testing.assert_allclose(distances, by_brute_force(images, training, k), atol=1e-5)
    there = (training[indices].double() - images[:, None].double()).norm(dim=2) / 255
    np.testing.assert_allclose(distances, there, atol=1e-5)
    assert all(len(set(row)) == len(row) for row in indices.tolist())
    return indices


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_nearest_are_found(k: int) -> None:
    assert_nearest(pixels(0, 20, 12), pixels(1, 300, 12), k)


@pytest.mark.parametrize("extra", [-1, 0, 1, 2])
def test_across_the_borders_of_chunks(extra: int) -> None:
    training = pixels(0, 2 * 8192 + extra, 16)
    last = len(training) - 1
    here = torch.tensor([0, 8191, 8192, last])
    indices = assert_nearest(training[here], training, 3)
    assert indices[:, 0].tolist() == here.tolist()


def test_a_training_set_of_fewer_images_than_asked_for() -> None:
    distances, indices = nearest(pixels(0, 3, 4), pixels(1, 2, 4), 5)
    assert (distances.shape, indices.shape) == ((3, 2), (3, 2))


def test_duplicates_are_found_each_and_are_at_no_distance() -> None:
    training = pixels(0, 9000, 16)
    training[8500] = training[17]
    distances, indices = nearest(training[17:18], training, 3)
    assert sorted(indices[0, :2].tolist()) == [17, 8500]
    assert distances[0, :2].tolist() == [0, 0]
    assert distances[0, 2] > 0


def test_a_copy_is_at_no_distance_though_its_pixels_are_many() -> None:
    # An expanded square loses so small a difference to the rounding of so large a sum.
    training = pixels(0, 50, 3072)
    almost = training[7].clone()
    almost[0] ^= 1
    distances, indices = nearest(torch.stack([training[7], almost]), training, 2)
    assert indices[:, 0].tolist() == [7, 7]
    assert distances[:, 0].tolist() == pytest.approx([0, 1 / 255])


def test_a_copy_is_three_times_nearer_than_the_second_nearest() -> None:
    distances = torch.tensor([[0.0, 1.0], [1.0, 3.1], [1.0, 2.9], [0.0, 0.0], [2.0, 2.0]])
    assert copied(distances) == pytest.approx(3 / 5)
