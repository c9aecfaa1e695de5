"""What a model promises, for each architecture installed: untrained, small, on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import genzoo
from genzoo.errors import LabelError, OutputError, UnsupportedError
from genzoo.objectives.base import CanInterpolate

NAMES = genzoo.list_architectures()
SIZE = (1, 16, 16)
CLASSES = 10

every_name = pytest.mark.parametrize("name", NAMES)


def assert_same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@every_name
@pytest.mark.parametrize("classes", [CLASSES, None])
def test_images_are_float32_between_zero_and_one(
    name: str, classes: int | None, model: Any
) -> None:
    images = model(name, classes).sample(3, seed=0)
    assert (images.shape, images.dtype) == ((3, *SIZE), torch.float32)
    assert images.min() >= 0
    assert images.max() <= 1
    assert not images.requires_grad


@every_name
def test_colour_images_of_other_shapes(name: str, model: Any) -> None:
    shape = (3, 32, 32)
    assert model(name, None, shape).sample(2, seed=0).shape == (2, *shape)


@every_name
@pytest.mark.parametrize("classes", [CLASSES, None])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_an_image_depends_on_seed_and_index_alone(
    name: str, classes: int | None, batch_size: int, model: Any
) -> None:
    drawn = model(name, classes)
    many = drawn.sample(64, seed=7)
    few = drawn.sample(16, seed=7, batch_size=batch_size)
    assert_same(few, many[:16])
    assert_same(drawn.sample(64, seed=7, batch_size=batch_size), many)


@every_name
@pytest.mark.parametrize(
    "rows", [range(10), range(3, 7), range(0, 10, 2), range(9, -1, -3), range(4, 4), range(20, 20)]
)
def test_rows_are_those_images_of_all(name: str, rows: range, model: Any) -> None:
    drawn = model(name)
    found = drawn.sample(10, seed=7, batch_size=4, rows=rows)
    assert_same(found, drawn.sample(10, seed=7)[list(rows)])
    mixed = drawn.sample(10, seed=7, labels=[1, 2, 3], rows=rows)
    assert_same(mixed, drawn.sample(10, seed=7, labels=[1, 2, 3])[list(rows)])


@pytest.mark.parametrize(
    "rows", [range(5, 20), range(-1, 3), range(3, -2, -1), range(10, 11), [0, 1], 3, slice(2)]
)
def test_rows_that_are_not_there(rows: Any, model: Any) -> None:
    with pytest.raises(UnsupportedError, match="rows are") as raised:
        model("mlp-gan").sample(10, seed=0, rows=rows)
    assert "range(10)" in raised.value.hint


@every_name
def test_seeds_and_indices_differ(name: str, model: Any) -> None:
    one, other = (model(name).sample(4, seed=s, labels=3) for s in (0, 1))
    assert torch.equal(one, model(name).sample(4, seed=0, labels=3))
    everything = torch.cat([one, other])
    for i in range(8):
        for j in range(i):
            assert (everything[i] - everything[j]).abs().max() > 1e-3


@every_name
def test_without_a_seed_every_call_draws_anew(name: str, model: Any) -> None:
    assert not torch.equal(model(name).sample(2), model(name).sample(2))


@every_name
def test_a_seed_leaves_the_global_generator_alone(name: str, model: Any) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    model(name).sample(2, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    again = model(name).sample(2, seed=0)
    torch.manual_seed(5)
    assert torch.equal(model(name).sample(2, seed=0), again)


@every_name
def test_labels_steer_the_image(name: str, model: Any) -> None:
    drawn = model(name)
    threes, fours = drawn.sample(3, seed=0, labels=3), drawn.sample(3, seed=0, labels=4)
    assert (threes - fours).abs().amax(dim=(1, 2, 3)).min() > 1e-4
    mixed = drawn.sample(3, seed=0, labels=[3, 4, 3])
    assert_same(mixed[[0, 2]], threes[[0, 2]])
    assert_same(mixed[1], fours[1])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (3, [3, 3, 3, 3, 3]),
        ([1, 2], [1, 2, 1, 2, 1]),
        ((1, 2), [1, 2, 1, 2, 1]),
        (range(4), [0, 1, 2, 3, 0]),
        (range(10), [0, 1, 2, 3, 4]),
        (torch.tensor(3), [3, 3, 3, 3, 3]),
        (torch.tensor([4, 5, 6], dtype=torch.int32), [4, 5, 6, 4, 5]),
        (torch.tensor([9], dtype=torch.uint8), [9, 9, 9, 9, 9]),
        (np.array([7, 8]), [7, 8, 7, 8, 7]),
        (np.int64(2), [2, 2, 2, 2, 2]),
    ],
)
def test_labels_are_handed_out_in_turn(labels: Any, expected: list[int], model: Any) -> None:
    drawn = model("mlp-gan")
    found = drawn.labels(5, seed=0, labels=labels)
    assert found is not None
    assert (found.dtype, found.tolist()) == (torch.int64, expected)
    images = drawn.sample(5, seed=0, labels=labels)
    assert torch.equal(images, drawn.sample(5, seed=0, labels=expected))


def test_labels_left_out_are_drawn_per_image_from_the_seed(model: Any) -> None:
    drawn = model("mlp-gan")
    labels, shorter, others = (
        drawn.labels(n, seed=seed) for n, seed in ((1000, 7), (10, 7), (1000, 8))
    )
    assert labels is not None
    assert shorter is not None
    assert others is not None
    assert torch.equal(shorter, labels[:10])
    assert not torch.equal(labels, others)
    counts = torch.bincount(labels, minlength=CLASSES)
    assert ((counts - 100).abs() < 50).all()
    assert torch.equal(drawn.sample(10, seed=7), drawn.sample(10, seed=7, labels=shorter))


def test_an_unconditional_model_has_no_labels(model: Any) -> None:
    assert model("mlp-gan", None).labels(5, seed=0) is None
    with pytest.raises(LabelError, match="mlp-gan is unconditional"):
        model("mlp-gan", None).sample(2, seed=0, labels=3)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (10, "label 10 is out of range"),
        (-1, "label -1 is out of range"),
        ([0, 10, 11], "label 10 is out of range"),
        (torch.tensor([3, -4]), "label -4 is out of range"),
        (torch.tensor([300], dtype=torch.int16), "label 300 is out of range"),
        (3.0, "not one or more whole numbers"),
        ([1, 2.5], "not one or more whole numbers"),
        (torch.tensor([1.0]), "not one or more whole numbers"),
        (True, "not one or more whole numbers"),
        ([True, False], "not one or more whole numbers"),
        (1j, "not one or more whole numbers"),
        ([], "not one or more whole numbers"),
        (torch.tensor([], dtype=torch.int64), "not one or more whole numbers"),
        ([[1, 2], [3, 4]], "not one or more whole numbers"),
        ("3", "labels '3' are not one or more whole numbers"),
        (["a", "b"], "not one or more whole numbers"),
        ([None], "not one or more whole numbers"),
        ([[1], [2, 3]], "not one or more whole numbers"),
        ({1, 2}, "not one or more whole numbers"),
        (2**70, "not one or more whole numbers"),
        (object(), "not one or more whole numbers"),
    ],
)
def test_impossible_labels(labels: Any, reason: str, model: Any) -> None:
    with pytest.raises(LabelError, match=reason) as caught:
        model("mlp-gan").sample(4, seed=0, labels=labels)
    assert "0 to 9" in caught.value.hint
    assert len(str(caught.value).splitlines()) == 2


def test_a_long_list_of_labels_is_cut_in_the_message(model: Any) -> None:
    with pytest.raises(LabelError) as caught:
        model("mlp-gan").sample(4, seed=0, labels=torch.rand(100, 100))
    assert len(caught.value.message) < 200


@every_name
def test_no_images_at_all(name: str, model: Any) -> None:
    drawn = model(name)
    assert drawn.sample(0, seed=0).shape == (0, *SIZE)
    if isinstance(drawn.objective, CanInterpolate):
        assert drawn.interpolate(0, 3, seed=0).shape == (0, 3, *SIZE)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"n": -1}, "n is -1"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**63}, f"seed {2**63}"),
        ({"seed": 1.5}, "seed 1.5"),
        ({"seed": "7"}, "seed '7'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": -5}, "batch_size is -5"),
    ],
)
def test_impossible_numbers(arguments: dict[str, Any], reason: str, model: Any) -> None:
    with pytest.raises(UnsupportedError, match=reason) as caught:
        model("mlp-gan").sample(**{"n": 2, "seed": 0, **arguments})
    assert caught.value.hint


def test_the_largest_seed_is_fine(model: Any) -> None:
    assert model("mlp-gan").sample(1, seed=2**63 - 1).shape == (1, *SIZE)


@every_name
def test_a_model_says_what_it_is(name: str, model: Any) -> None:
    drawn = model(name)
    count = sum(p.numel() for p in drawn.parameters())
    assert repr(drawn) == f"Model({name!r}, 1x16x16, 10 classes, {count:,} parameters)"
    assert "unconditional" in repr(model(name, None))
    assert (drawn.name, drawn.classes, str(drawn.image)) == (name, CLASSES, "1x16x16, 10 classes")
    assert (drawn.device, drawn.dtype) == (torch.device("cpu"), torch.float32)
    assert drawn.sha256 is None
    assert not drawn.training


@pytest.mark.parametrize("name", ["mlp-gan"])
def test_a_model_is_not_saved_where_that_is_impossible(
    name: str, tmp_path: Path, model: Any
) -> None:
    (tmp_path / "file").write_text("x")
    for target in (tmp_path / "file" / "toy.safetensors", tmp_path):
        with pytest.raises(OutputError, match="cannot write"):
            model(name).save(target)
