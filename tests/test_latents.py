"""Walks through latent space, and from images to it: for each architecture that has them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import genzoo
from genzoo.errors import LabelError, UnsupportedError
from genzoo.noise import Noise
from genzoo.objectives.base import CanEncode, CanInterpolate, CanReconstruct
from genzoo.registry.discovery import registry
from genzoo.registry.specs import resolve

NAMES = genzoo.list_architectures()
ENCODERS = [n for n in NAMES if registry().architectures[n].objective == "variational"]
GANS = [n for n in NAMES if registry().architectures[n].objective == "adversarial"]
WALKERS = [
    n
    for n in NAMES
    if issubclass(
        resolve(registry().objectives[registry().architectures[n].objective].factory),
        CanInterpolate,
    )
]
SIZE = (1, 16, 16)
CLASSES = 10

every_walker = pytest.mark.parametrize("name", WALKERS)


def assert_same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def pictures(n: int = 5, image: tuple[int, int, int] = SIZE) -> Tensor:
    return torch.rand(n, *image, generator=torch.Generator().manual_seed(1))


@every_walker
def test_a_walk_starts_at_an_image_of_sample_and_ends_elsewhere(name: str, model: Any) -> None:
    drawn = model(name)
    walks = drawn.interpolate(3, 4, seed=7, labels=[1, 2])
    assert (walks.shape, walks.dtype) == ((3, 4, *SIZE), torch.float32)
    images = drawn.sample(3, seed=7, labels=[1, 2])
    assert_same(walks[:, 0], images)
    assert (walks[:, -1] - images).abs().amax(dim=(1, 2, 3)).min() > 1e-3
    assert 0 <= walks.min() <= walks.max() <= 1


@every_walker
def test_both_ends_stay_when_the_frames_between_change(name: str, model: Any) -> None:
    drawn = model(name)
    two, five = drawn.interpolate(2, 2, seed=7), drawn.interpolate(2, 5, seed=7, batch_size=3)
    assert_same(five[:, [0, -1]], two)
    assert_same(drawn.interpolate(3, 5, seed=7)[:2], five)


def test_a_walk_follows_the_great_circle(model: Any) -> None:
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
def test_a_walk_has_two_ends(frames: int, model: Any) -> None:
    with pytest.raises(UnsupportedError, match=f"frames is {frames}"):
        model("mlp-gan").interpolate(1, frames, seed=0)


@pytest.mark.parametrize("name", ENCODERS)
def test_images_are_encoded_reconstructed_and_given_a_likelihood(name: str, model: Any) -> None:
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
def test_what_becomes_of_an_image_does_not_depend_on_the_others(
    name: str, batch_size: int, model: Any
) -> None:
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
def test_a_reconstruction_is_the_image_of_the_code(name: str, model: Any) -> None:
    drawn, images = model(name), pictures()
    assert isinstance(drawn.objective, CanInterpolate)
    labels = torch.full((5,), 2)
    decoded = drawn.objective.decode(drawn.networks, drawn.encode(images, 2), labels)
    assert_same(drawn.reconstruct(images, 2), decoded / 2 + 0.5)


@pytest.mark.parametrize("name", ENCODERS)
def test_bytes_are_images_too(name: str, model: Any) -> None:
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
    def test_images_of_another_shape(
        self, name: str, verb: str, shape: tuple[int, ...], model: Any
    ) -> None:
        with pytest.raises(UnsupportedError, match="images have shape") as caught:
            getattr(model(name), verb)(torch.zeros(shape), 1)
        assert "(B, 1, 16, 16)" in caught.value.message
        assert caught.value.hint

    @pytest.mark.parametrize(
        "images",
        [pictures() * 2 - 1, pictures() * 255, pictures().long(), pictures() * float("nan")],
    )
    def test_images_of_other_values(self, name: str, verb: str, images: Tensor, model: Any) -> None:
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
    def test_labels_that_do_not_fit(
        self, name: str, verb: str, labels: Any, reason: str, model: Any
    ) -> None:
        with pytest.raises(LabelError, match=reason) as caught:
            getattr(model(name), verb)(pictures(), labels)
        assert caught.value.hint

    def test_labels_for_an_unconditional_model(self, name: str, verb: str, model: Any) -> None:
        drawn = model(name, None)
        assert len(getattr(drawn, verb)(pictures())) == 5
        with pytest.raises(LabelError, match="unconditional"):
            getattr(drawn, verb)(pictures(), 1)

    def test_batches_of_nothing(self, name: str, verb: str, model: Any) -> None:
        with pytest.raises(UnsupportedError, match="batch_size is 0"):
            getattr(model(name), verb)(pictures(), 1, batch_size=0)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_likelihood_needs_a_sample_and_a_seed(name: str, model: Any) -> None:
    with pytest.raises(UnsupportedError, match="at least one sample"):
        model(name).log_likelihood(pictures(), 1, samples=0)
    with pytest.raises(UnsupportedError, match="seed -1"):
        model(name).log_likelihood(pictures(), 1, seed=-1)


@pytest.mark.parametrize("name", GANS)
@pytest.mark.parametrize("verb", ["encode", "reconstruct", "log_likelihood"])
def test_a_gan_cannot_encode(name: str, verb: str, model: Any) -> None:
    with pytest.raises(UnsupportedError, match=f"{name} cannot {verb}") as caught:
        getattr(model(name), verb)(pictures(), 1)
    assert "adversarial" in caught.value.message
    assert "variational" in caught.value.hint


@pytest.mark.parametrize("name", sorted({*NAMES} - {*WALKERS}))
def test_a_model_without_latents_cannot_walk(name: str, model: Any) -> None:
    with pytest.raises(UnsupportedError, match=f"{name} cannot interpolate") as caught:
        model(name).interpolate(2, 2)
    for able in ("'adversarial'", "'variational'"):
        assert able in caught.value.hint


@pytest.mark.parametrize("name", NAMES)
def test_what_a_model_can_do_is_asked_by_protocol(name: str, model: Any) -> None:
    drawn = model(name)
    for protocol in (CanEncode, CanReconstruct):
        assert isinstance(drawn.objective, protocol) == (name in ENCODERS)
    assert isinstance(drawn.objective, CanInterpolate) == (name in WALKERS)
    if name in WALKERS:
        assert drawn.require(CanInterpolate, "interpolate") is drawn.objective


def test_a_hint_passes_over_objectives_that_cannot_be_imported_or_are_no_classes(
    installed: Any, model: Any
) -> None:
    plugin = """
        import genzoo

        @genzoo.hookimpl
        def genzoo_objectives():
            words = {"summary": "odd", "config": "odd:Config"}
            gone = genzoo.Objective(name="gone", factory="odd_gone:Objective", **words)
            made = genzoo.Objective(name="made", factory="odd_made:make", **words)
            able = genzoo.Objective(name="able", factory="odd_made:Able", **words)
            return [gone, made, able]
        """
    made = "def make(config): ...\nclass Able:\n    def encode(self): ...\n"
    installed("odd", "1.0", {"odd": "odd"}, {"odd.py": plugin, "odd_made.py": made})
    with pytest.raises(UnsupportedError) as caught:
        model("mlp-gan").encode(pictures(), 1)
    assert caught.value.hint.startswith("Models with the objective 'able' or 'variational' can")


def test_a_hint_says_what_to_build_where_nothing_that_is_installed_can(python: Any) -> None:
    code = """
        import genzoo, torch
        genzoo.create("mlp-gan", (1, 8, 8), None).complete(torch.zeros(1, 1, 8, 8), 4)
        """
    answer = python(code, GENZOO_DISABLE="genzoo-transformer")
    assert "One can where the objective is a genzoo.objectives.base.CanComplete." in answer.stderr
