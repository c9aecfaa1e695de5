"""What a model promises, for each architecture installed: untrained, small, on the CPU."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import genzoo
from genzoo import Model
from genzoo.errors import LabelError, OutputError, UnsupportedError
from genzoo.noise import Noise
from genzoo.objectives.base import CanEncode, CanInterpolate, CanReconstruct
from genzoo.registry.discovery import registry

NAMES = genzoo.list_architectures()
ENCODERS = [n for n in NAMES if registry().architectures[n].objective == "variational"]
OTHERS = [n for n in NAMES if registry().architectures[n].objective == "adversarial"]
SIZE = (1, 16, 16)
CLASSES = 10

every_name = pytest.mark.parametrize("name", NAMES)


@cache
def model(name: str, classes: int | None = CLASSES, image: tuple[int, int, int] = SIZE) -> Model:
    """Return a model with weights far from their initial, timid ones, so that images differ."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = genzoo.create(name, image, classes)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    return made


def assert_same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def pictures(n: int = 5, image: tuple[int, int, int] = SIZE) -> Tensor:
    return torch.rand(n, *image, generator=torch.Generator().manual_seed(1))


# sample


@every_name
@pytest.mark.parametrize("classes", [CLASSES, None])
def test_images_are_float32_between_zero_and_one(name: str, classes: int | None) -> None:
    images = model(name, classes).sample(3, seed=0)
    assert (images.shape, images.dtype) == ((3, *SIZE), torch.float32)
    assert images.min() >= 0
    assert images.max() <= 1
    assert not images.requires_grad


@every_name
def test_colour_images_of_other_shapes(name: str) -> None:
    shape = (3, 32, 32)
    assert model(name, None, shape).sample(2, seed=0).shape == (2, *shape)


@every_name
@pytest.mark.parametrize("classes", [CLASSES, None])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_an_image_depends_on_seed_and_index_alone(
    name: str, classes: int | None, batch_size: int
) -> None:
    drawn = model(name, classes)
    many = drawn.sample(64, seed=7)
    few = drawn.sample(16, seed=7, batch_size=batch_size)
    assert_same(few, many[:16])
    assert_same(drawn.sample(64, seed=7, batch_size=batch_size), many)


@every_name
def test_seeds_and_indices_differ(name: str) -> None:
    one, other = (model(name).sample(4, seed=s, labels=3) for s in (0, 1))
    assert torch.equal(one, model(name).sample(4, seed=0, labels=3))
    everything = torch.cat([one, other])
    for i in range(8):
        for j in range(i):
            assert (everything[i] - everything[j]).abs().max() > 1e-3


@every_name
def test_without_a_seed_every_call_draws_anew(name: str) -> None:
    assert not torch.equal(model(name).sample(2), model(name).sample(2))


@every_name
def test_a_seed_leaves_the_global_generator_alone(name: str) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    model(name).sample(2, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    again = model(name).sample(2, seed=0)
    torch.manual_seed(5)
    assert torch.equal(model(name).sample(2, seed=0), again)


@every_name
def test_labels_steer_the_image(name: str) -> None:
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
def test_labels_are_handed_out_in_turn(labels: Any, expected: list[int]) -> None:
    drawn = model("mlp-gan")
    found = drawn.labels(5, seed=0, labels=labels)
    assert found is not None
    assert (found.dtype, found.tolist()) == (torch.int64, expected)
    images = drawn.sample(5, seed=0, labels=labels)
    assert torch.equal(images, drawn.sample(5, seed=0, labels=expected))


def test_labels_left_out_are_drawn_per_image_from_the_seed() -> None:
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


def test_an_unconditional_model_has_no_labels() -> None:
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
def test_impossible_labels(labels: Any, reason: str) -> None:
    with pytest.raises(LabelError, match=reason) as caught:
        model("mlp-gan").sample(4, seed=0, labels=labels)
    assert "0 to 9" in caught.value.hint
    assert len(str(caught.value).splitlines()) == 2


def test_a_long_list_of_labels_is_cut_in_the_message() -> None:
    with pytest.raises(LabelError) as caught:
        model("mlp-gan").sample(4, seed=0, labels=torch.rand(100, 100))
    assert len(caught.value.message) < 200


@every_name
def test_no_images_at_all(name: str) -> None:
    assert model(name).sample(0, seed=0).shape == (0, *SIZE)
    assert model(name).interpolate(0, 3, seed=0).shape == (0, 3, *SIZE)


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
def test_impossible_numbers(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason) as caught:
        model("mlp-gan").sample(**{"n": 2, "seed": 0, **arguments})
    assert caught.value.hint


def test_the_largest_seed_is_fine() -> None:
    assert model("mlp-gan").sample(1, seed=2**63 - 1).shape == (1, *SIZE)


# interpolate


@every_name
def test_a_walk_starts_at_an_image_of_sample_and_ends_elsewhere(name: str) -> None:
    drawn = model(name)
    walks = drawn.interpolate(3, 4, seed=7, labels=[1, 2])
    assert (walks.shape, walks.dtype) == ((3, 4, *SIZE), torch.float32)
    images = drawn.sample(3, seed=7, labels=[1, 2])
    assert_same(walks[:, 0], images)
    assert (walks[:, -1] - images).abs().amax(dim=(1, 2, 3)).min() > 1e-3
    assert 0 <= walks.min() <= walks.max() <= 1


@every_name
def test_both_ends_stay_when_the_frames_between_change(name: str) -> None:
    drawn = model(name)
    two, five = drawn.interpolate(2, 2, seed=7), drawn.interpolate(2, 5, seed=7, batch_size=3)
    assert_same(five[:, [0, -1]], two)
    assert_same(drawn.interpolate(3, 5, seed=7)[:2], five)


def test_a_walk_follows_the_great_circle() -> None:
    """The latents of a walk, by the closed form of White 2016, in float64."""
    drawn = model("mlp-gan")
    objective = drawn.objective
    assert isinstance(objective, CanInterpolate)
    start, end = (
        objective.latents(drawn.networks, Noise(7, [0], stream=s)).double()
        for s in ("sample", "interpolate")
    )
    angle = torch.acos((start * end).sum() / (start.norm() * end.norm()))
    way = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
    latents = (torch.sin((1 - way) * angle) * start + torch.sin(way * angle) * end) / angle.sin()
    label = torch.full((5,), 3)
    expected = objective.decode(drawn.networks, latents.float(), label) / 2 + 0.5
    assert_same(drawn.interpolate(1, 5, seed=7, labels=3)[0], expected)


@pytest.mark.parametrize("frames", [1, 0, -3])
def test_a_walk_has_two_ends(frames: int) -> None:
    with pytest.raises(UnsupportedError, match=f"frames is {frames}"):
        model("mlp-gan").interpolate(1, frames, seed=0)


# encode, reconstruct, log_likelihood


@pytest.mark.parametrize("name", ENCODERS)
def test_images_are_encoded_reconstructed_and_given_a_likelihood(name: str) -> None:
    drawn, images, labels = model(name), pictures(), [1, 2, 3, 4, 5]
    latents = drawn.encode(images, labels)
    assert latents.shape[0] == 5
    assert latents.ndim == 2
    made = drawn.reconstruct(images, labels)
    assert (made.shape, made.dtype) == (images.shape, torch.float32)
    assert 0 <= made.min() <= made.max() <= 1
    nats = drawn.log_likelihood(images, labels, samples=3)
    assert (nats.shape, nats.dtype) == ((5,), torch.float32)
    assert nats.isfinite().all()


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_what_becomes_of_an_image_does_not_depend_on_the_others(name: str, batch_size: int) -> None:
    drawn, images, labels = model(name), pictures(), [1, 2, 3, 4, 5]
    for verb in (drawn.encode, drawn.reconstruct):
        whole = verb(images, labels)
        assert_same(verb(images, labels, batch_size), whole)
        assert_same(verb(images[:2], labels[:2]), whole[:2])
    whole = drawn.log_likelihood(images, labels, samples=3, seed=4)
    split = drawn.log_likelihood(images, labels, samples=3, seed=4, batch_size=batch_size)
    torch.testing.assert_close(split, whole, rtol=1e-5, atol=1e-3)
    other = drawn.log_likelihood(images, labels, samples=3, seed=5)
    assert not torch.equal(other, whole)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_reconstruction_is_the_image_of_the_code(name: str) -> None:
    drawn, images = model(name), pictures()
    assert isinstance(drawn.objective, CanInterpolate)
    labels = torch.full((5,), 2)
    decoded = drawn.objective.decode(drawn.networks, drawn.encode(images, 2), labels)
    assert_same(drawn.reconstruct(images, 2), decoded / 2 + 0.5)


@pytest.mark.parametrize("name", ENCODERS)
def test_bytes_are_images_too(name: str) -> None:
    raw = (pictures() * 255).to(torch.uint8)
    drawn = model(name)
    assert torch.equal(drawn.encode(raw, 1), drawn.encode(raw / 255, 1))
    assert torch.equal(drawn.reconstruct(raw, 1), drawn.reconstruct(raw / 255, 1))


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("verb", ["encode", "reconstruct", "log_likelihood"])
class TestWhatCannotBeEncoded:
    @pytest.mark.parametrize(
        "shape", [(5, 1, 16, 17), (5, 3, 16, 16), (1, 16, 16), (5, 256), (0, 1, 16, 16)]
    )
    def test_images_of_another_shape(self, name: str, verb: str, shape: tuple[int, ...]) -> None:
        with pytest.raises(UnsupportedError, match="images have shape") as caught:
            getattr(model(name), verb)(torch.zeros(shape), 1)
        assert "(B, 1, 16, 16)" in caught.value.message
        assert caught.value.hint

    @pytest.mark.parametrize(
        "images",
        [pictures() * 2 - 1, pictures() * 255, pictures().long(), pictures() * float("nan")],
    )
    def test_images_of_other_values(self, name: str, verb: str, images: Tensor) -> None:
        with pytest.raises(UnsupportedError, match="have values from") as caught:
            getattr(model(name), verb)(images, 1)
        assert "[0, 1]" in caught.value.hint

    @pytest.mark.parametrize(
        ("labels", "reason"),
        [
            (None, "conditional: it needs the labels"),
            ([1, 2], "2 labels for 5 images"),
            (range(6), "6 labels for 5 images"),
            (10, "label 10 is out of range"),
            ([1, 2, 3, 4, -5], "label -5 is out of range"),
        ],
    )
    def test_labels_that_do_not_fit(self, name: str, verb: str, labels: Any, reason: str) -> None:
        with pytest.raises(LabelError, match=reason) as caught:
            getattr(model(name), verb)(pictures(), labels)
        assert caught.value.hint

    def test_labels_for_an_unconditional_model(self, name: str, verb: str) -> None:
        drawn = model(name, None)
        assert len(getattr(drawn, verb)(pictures())) == 5
        with pytest.raises(LabelError, match="unconditional"):
            getattr(drawn, verb)(pictures(), 1)

    def test_batches_of_nothing(self, name: str, verb: str) -> None:
        with pytest.raises(UnsupportedError, match="batch_size is 0"):
            getattr(model(name), verb)(pictures(), 1, batch_size=0)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_likelihood_needs_a_sample_and_a_seed(name: str) -> None:
    with pytest.raises(UnsupportedError, match="at least one sample"):
        model(name).log_likelihood(pictures(), 1, samples=0)
    with pytest.raises(UnsupportedError, match="seed -1"):
        model(name).log_likelihood(pictures(), 1, seed=-1)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("verb", ["encode", "reconstruct", "log_likelihood"])
def test_a_gan_cannot_encode(name: str, verb: str) -> None:
    with pytest.raises(UnsupportedError, match=f"{name} cannot {verb}") as caught:
        getattr(model(name), verb)(pictures(), 1)
    assert "adversarial" in caught.value.message
    assert "variational" in caught.value.hint


@every_name
def test_what_a_model_can_do_is_asked_by_protocol(name: str) -> None:
    drawn = model(name)
    for protocol in (CanEncode, CanReconstruct):
        assert isinstance(drawn.objective, protocol) == (name in ENCODERS)
    assert drawn.require(CanInterpolate, "interpolate") is drawn.objective


# the rest


@every_name
def test_a_model_says_what_it_is(name: str) -> None:
    drawn = model(name)
    count = sum(p.numel() for p in drawn.parameters())
    assert repr(drawn) == f"Model({name!r}, 1x16x16, 10 classes, {count:,} parameters)"
    assert "unconditional" in repr(model(name, None))
    assert (drawn.name, drawn.classes, str(drawn.image)) == (name, CLASSES, "1x16x16, 10 classes")
    assert (drawn.device, drawn.dtype) == (torch.device("cpu"), torch.float32)
    assert drawn.sha256 is None
    assert not drawn.training


@pytest.mark.parametrize("name", ["mlp-gan"])
def test_a_model_is_not_saved_where_that_is_impossible(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for target in (tmp_path / "file" / "toy.safetensors", tmp_path):
        with pytest.raises(OutputError, match="cannot write"):
            model(name).save(target)
