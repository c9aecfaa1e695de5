"""The likelihood of test images: whose is stated, and in which units."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import genzoo
from genzoo.data.load import load_dataset, load_named
from genzoo.errors import DataError
from genzoo.evaluation.evaluate import Evaluation, evaluate
from genzoo.evaluation.ruler import Ruler
from genzoo.evaluation.sources import shuffled
from genzoo.model import Model
from genzoo.objectives.base import HasLogLikelihood
from genzoo.registry.config import ZooConfig, apply_overrides, zoo_config

IMAGES = 24
DRAWS = 3


def vae(
    likelihood: str, dataset: str = "digits", size: int = 8, classes: int | None = 10, **config: Any
) -> Model:
    """Return an untrained VAE of grey images, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = genzoo.create(
            "vae", (1, size, size), classes, latent_dim=2, channels=16, likelihood=likelihood
        )
    data = apply_overrides(
        model.config.model_dump(mode="json"),
        {"dataset.name": dataset, "dataset.config": config},
        source="test",
    )
    model.config = zoo_config(data, source="test")
    return model


def measure(model: Model, **options: Any) -> Evaluation:
    few = {"samples": 20, "likelihood_images": IMAGES, "importance_samples": DRAWS}
    return evaluate(model, **{**few, **options})


def images_of(config: ZooConfig, root: Path | None = None) -> tuple[Tensor, Tensor]:
    """Return the test images that are measured with seed 0, and their labels."""
    split = load_dataset(config, "test", root)
    pairs = [split[i] for i in shuffled(len(split), 0)[:IMAGES]]
    return torch.stack([image for image, _ in pairs]), torch.tensor([label for _, label in pairs])


@pytest.mark.parametrize("likelihood", ["categorical", "discretized-logistic"])
def test_a_probability_of_grey_levels_gives_nats_and_bits(likelihood: str) -> None:
    model = vae(likelihood)
    found = measure(model)
    images, labels = images_of(model.config)
    nats = -model.log_likelihood(images, labels, samples=DRAWS, seed=0).double()
    assert found.figures["nll"] == pytest.approx(float(nats.mean()), rel=1e-5)
    error = float(nats.std(correction=0)) / math.sqrt(IMAGES)
    assert found.figures["nll_error"] == pytest.approx(error, rel=1e-4)
    bits = found.figures["nll"] / (math.log(2) * 1 * 8 * 8)
    assert found.figures["bits_per_dim"] == pytest.approx(bits)
    assert 0 < found.figures["bits_per_dim"] < 20
    assert (found.protocol["importance_samples"], found.protocol["likelihood_images"]) == (3, 24)
    # A model that is told the class is not to be compared with one that is not.
    assert found.protocol["likelihood_of"] == "images given their labels"
    assert found.notes == ()
    assert not {"nll", "bits_per_dim"} & found.floor.keys()


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_what_is_no_probability_of_grey_levels_gives_a_note(likelihood: str) -> None:
    found = measure(vae(likelihood))
    assert not {"nll", "nll_error", "bits_per_dim"} & found.figures.keys()
    (note,) = found.notes
    assert "no nll" in note
    assert not {"importance_samples", "likelihood_images"} & found.protocol.keys()


def test_the_nll_does_not_depend_on_the_batch_size() -> None:
    model = vae("categorical")
    figures = [measure(model, batch_size=size).figures for size in (1, 7, 500)]
    for name in ("nll", "nll_error", "bits_per_dim"):
        one, *others = (each[name] for each in figures)
        assert others == pytest.approx([one] * 2, rel=1e-5)


def test_more_draws_tighten_the_bound_and_another_seed_draws_others() -> None:
    model = vae("categorical")
    with torch.no_grad():  # so that what the decoder makes of a latent hangs on the latent
        for parameter in model.networks["decoder"].parameters():
            parameter.mul_(3)
    few, many = (measure(model, importance_samples=k).figures["nll"] for k in (1, 40))
    assert many < few
    assert measure(model, importance_samples=1, seed=1).figures["nll"] != few


def test_no_more_images_than_there_are() -> None:
    found = measure(vae("categorical"), likelihood_images=10_000, importance_samples=1)
    assert found.protocol["likelihood_images"] == 297


def idx(array: np.ndarray[Any, Any]) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with MNIST in torchvision's layout, of 40 grey blots a split."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    draws = np.random.default_rng(0)
    for prefix in ("train", "t10k"):
        pixels = draws.integers(1, 255, (40, 28, 28), dtype=np.uint8)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx(pixels))
        labels = np.arange(40, dtype=np.uint8) % 10
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
    return tmp_path


def test_another_dataset_than_the_model_s_own(root: Path) -> None:
    found = evaluate("mlp-gan-digits", dataset="mnist", data=root, samples=20, device="cpu")
    assert (found.protocol["dataset"], found.protocol["extractor"]) == ("mnist", "mnist")
    assert (found.protocol["reference_images"], found.protocol["training_images"]) == (40, 40)
    assert found.pictures["real"].shape[1:] == (1, 8, 8)  # made as small as the model's own
    assert found.figures["label_agreement"] > 0.5
    assert found.figures["fid_ratio"] > 2  # blots are no digits


def test_another_dataset_that_is_damaged_keeps_its_own_hint(root: Path) -> None:
    (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(b"no labels")
    with pytest.raises(DataError) as own:
        load_named("mnist", "test", root)
    with pytest.raises(DataError) as raised:
        evaluate("mlp-gan-digits", dataset="mnist", data=root, samples=20, device="cpu")
    assert (raised.value.message, raised.value.hint) == (own.value.message, own.value.hint)


def test_a_bernoulli_is_a_probability_of_black_and_white_images(root: Path) -> None:
    model = vae("bernoulli", "binarized-mnist", 28)
    found = measure(model, data=root)
    images, labels = images_of(model.config, root)
    nats = -model.log_likelihood(images, labels, samples=DRAWS, seed=0).double()
    assert found.figures["nll"] == pytest.approx(float(nats.mean()), rel=1e-5)
    bits = found.figures["nll"] / (math.log(2) * 28 * 28)
    assert found.figures["bits_per_dim"] == pytest.approx(bits)
    # Untrained, it knows next to nothing: each pixel is black or white, one bit.
    assert found.figures["bits_per_dim"] == pytest.approx(1, abs=0.1)


def test_the_floor_of_a_binarized_set_is_black_and_white_too(root: Path) -> None:
    model = vae("bernoulli", "binarized-mnist", 28)
    ruler = Ruler(model, samples=20, data=root)
    for sight in (ruler.reference, ruler.floor):
        assert set(sight.images.unique().tolist()) == {0, 255}
    again = Ruler(model, samples=20, data=root, batch_size=3)
    assert torch.equal(again.floor.images, ruler.floor.images)


def test_one_grey_image_among_black_and_white_ones_makes_it_no_probability(tmp_path: Path) -> None:
    """Wherever it stands, and in whatever batch."""
    last = shuffled(12, 0)[-1]
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for i in range(12):
            pixels = np.full((8, 8), 255 * (i % 2), dtype=np.uint8)
            pixels[i % 8] = 100 if split == "test" and i == last else 255
            Image.fromarray(pixels).save(tmp_path / split / f"{i:02d}.png")
    model = vae("bernoulli", "folder", classes=None, path=str(tmp_path))
    for batch_size in (1, 500):
        found = measure(model, samples=12, extractor="digits", batch_size=batch_size)
        assert len(found.notes) == 1
        assert "nll" not in found.figures
    found = measure(model, samples=12, extractor="digits", likelihood_images=11)
    assert found.notes == ()
    assert found.protocol["likelihood_of"] == "images"
    assert found.figures["nll"] > 0


def test_a_likelihood_by_any_objective_that_has_one(
    planted: Callable[..., Model], training: Any
) -> None:
    model = planted(lambda indices, labels: training.images[indices].float())
    assert not isinstance(model.objective, HasLogLikelihood)
    seen: list[int] = []

    class Unsaid(type(model.objective)):  # type: ignore[misc]
        def log_likelihood(
            self, networks: Any, images: Tensor, labels: Any, noise: Any, samples: int
        ) -> Tensor:
            seen.append(samples)
            return torch.full((len(images),), -64 * math.log(256))

    class Uniform(Unsaid):
        def is_probability(self, networks: Any, images: Tensor, labels: Any) -> bool:
            return True

    draw = model.objective.draw
    model.objective = Unsaid(draw)
    (note,) = measure(model).notes
    assert "does not say" in note
    model.objective = Uniform(draw)
    found = measure(model)
    assert found.figures["bits_per_dim"] == pytest.approx(8)
    assert found.figures["nll_error"] == pytest.approx(0, abs=1e-4)
    assert seen == [DRAWS]


def test_a_likelihood_is_computed_without_tf32(
    planted: Callable[..., Model], training: Any
) -> None:
    model = planted(lambda indices, labels: training.images[indices].float())
    backends = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [backend.allow_tf32 for backend in backends]
    found: list[bool] = []

    class Looks(type(model.objective)):  # type: ignore[misc]
        def is_probability(self, networks: Any, images: Tensor, labels: Any) -> bool:
            return True

        def log_likelihood(
            self, networks: Any, images: Tensor, labels: Any, noise: Any, samples: int
        ) -> Tensor:
            found.extend(backend.allow_tf32 for backend in backends)
            return torch.zeros(len(images))

    model.objective = Looks(model.objective.draw)
    try:
        for backend in backends:
            backend.allow_tf32 = True
        measure(model)
        assert found
        assert not any(found)
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value
