"""The zoo that ships: every model of the list, whatever it is."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

import genzoo
from genzoo.building import build_objective, complete, sketch_networks
from genzoo.evaluation import protocol
from genzoo.evaluation.features import find_extractor
from genzoo.model import Model
from genzoo.registry.catalog import find
from genzoo.registry.config import read_config

NAMES = genzoo.list_models()
ZOO = Path(__file__).resolve().parents[1] / "zoo_configs"
BYTES_PER_MODEL = 5e6
ROUNDING = 1e-5


@cache
def load(name: str) -> Model:
    return genzoo.load(name, device="cpu")


def labels(name: str) -> range | None:
    classes = load(name).classes
    return range(classes) if classes else None


@cache
def drawn(name: str) -> Tensor:
    """Return 32 images of each class, the classes in turn."""
    return load(name).sample(32 * (load(name).classes or 1), seed=7, labels=labels(name))


def test_there_is_a_zoo() -> None:
    assert set(NAMES) >= {
        "dcgan-fashion-mnist",
        "dcgan-mnist",
        "mlp-gan-fashion-mnist",
        "mlp-gan-digits",
        "mlp-gan-mnist",
        "pixel-transformer-binarized-mnist",
        "pixel-transformer-digits",
        "pixel-transformer-mnist",
        "transformer-gan-fashion-mnist",
        "transformer-gan-mnist",
        "vae-binarized-mnist",
        "vae-fashion-mnist",
        "vae-mnist",
    }


@pytest.mark.usefixtures("every_plugin")
def test_all_weights_together_are_small() -> None:
    sizes = [genzoo.info(name)["size_bytes"] for name in NAMES]
    assert sum(sizes) < BYTES_PER_MODEL * len(sizes)


@pytest.mark.parametrize("name", NAMES)
def test_image_i_depends_on_seed_and_i_alone(name: str) -> None:
    many, model, wanted = drawn(name)[:16], load(name), labels(name)
    for batch_size in (1, 5, 16):
        few = model.sample(16, seed=7, labels=wanted, batch_size=batch_size)
        torch.testing.assert_close(many, few, rtol=0, atol=ROUNDING)
    assert not torch.allclose(many, model.sample(16, seed=8, labels=wanted), atol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_its_card_has_the_figures_of_its_weights_by_the_extractor_that_ships(name: str) -> None:
    config = find(name).config
    assert config.measured is not None
    stated = config.measured.protocol
    spec = find_extractor(config.dataset.name)
    assert (stated["extractor"], stated["extractor_sha256"]) == (spec.name, spec.sha256)


@pytest.mark.parametrize("name", NAMES)
def test_its_card_was_measured_by_the_protocol_as_it_is(name: str) -> None:
    measured = find(name).config.measured
    assert measured is not None
    stated = measured.protocol
    training, reference = stated["training_images"], stated["reference_images"]
    assert isinstance(training, int)
    assert isinstance(reference, int)
    samples = min(protocol.SAMPLES, training)
    expected = {
        "samples": samples,
        "seed": 0,
        "split": "test",
        "quantization": "uint8",
        "floor_draws": min(protocol.FLOOR_DRAWS, training // samples),
        "neighbours": protocol.NEIGHBOURS,
        "kid_subsets": protocol.KID_SUBSETS,
        "kid_subset_size": min(protocol.KID_SUBSET_SIZE, samples, reference),
        "memorization_images": min(protocol.MEMORIZATION, samples, reference),
        "dtype": "float32",
    }
    if "nll" in measured.figures:
        if load(name).objective.likelihood_is_exact:
            expected["likelihood"] = "exact"
        else:
            expected["importance_samples"] = protocol.CARD_IMPORTANCE_SAMPLES
        expected["likelihood_images"] = reference
        expected["likelihood_of"] = "images given their labels" if load(name).classes else "images"
    assert {key: stated.get(key) for key in expected} == expected
    if find(name).config.objective.name == "variational":
        assert ("nll" in measured.figures) != bool(measured.notes)


@pytest.mark.parametrize("name", NAMES)
def test_its_card_says_how_fid_fell_while_it_was_trained(name: str) -> None:
    trained = find(name).config.trained
    assert trained is not None
    assert len(trained.fid_ratio_by_step) > 1
    assert max(trained.fid_ratio_by_step) == trained.steps


@pytest.mark.parametrize("name", NAMES)
def test_no_class_has_collapsed(name: str) -> None:
    images, classes = drawn(name), load(name).classes or 1
    by_class = images.unflatten(0, (32, classes)).flatten(2)  # (32, classes, pixels)
    assert images.min() >= 0
    assert images.max() <= 1
    # Within a class, images differ as much as strokes do; 0 would be one image again and again.
    assert (by_class.var(0).sum(1) > 0.02 * by_class.shape[2]).all()
    if classes > 1:  # and the classes' mean images differ from each other
        means = by_class.mean(0)
        apart = torch.cdist(means, means) + 1e9 * torch.eye(classes)
        assert apart.min() > 0.05 * means.shape[1] ** 0.5


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_a_person_must_know(name: str) -> None:
    config = find(name).config
    card, trained = config.card, config.trained
    assert all((card.summary, card.licence, card.dataset_licence, card.intended_use, card.paper))
    assert trained is not None
    assert trained.steps == config.training.steps
    assert trained.images == trained.steps * config.training.batch_size
    parameters = sum(p.numel() for p in load(name).networks.parameters())
    assert config.weights is not None
    assert config.weights.parameters == parameters


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shipped_is_what_samples(name: str) -> None:
    model = load(name)
    assert set(model.networks) == model.objective.sampling_roles


@pytest.mark.parametrize("name", sorted(path.stem for path in ZOO.glob("gpu/*.yaml")))
def test_a_recipe_for_a_gpu_is_whole_and_not_in_the_list(name: str) -> None:
    config = complete(read_config(ZOO / "gpu" / f"{name}.yaml"))
    networks = sketch_networks(config, build_objective(config))
    assert set(networks) == build_objective(config).roles
    assert config.weights is None
    assert config.name not in NAMES
    assert name in NAMES  # what it is a larger one of
