"""The extractors that ship: what their descriptors state, and what a ruler must keep to."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from genzoo.data.fitting import TensorImages
from genzoo.data.load import load_named
from genzoo.errors import PluginError, UnknownNameError, WeightsError
from genzoo.evaluation.features import find_extractor, load_extractor
from genzoo.evaluation.train_extractor import RECIPES, accuracy
from genzoo.registry.catalog import find, package_file
from genzoo.registry.discovery import registry
from genzoo.registry.specs import Extractor
from genzoo.weights import format as weights_format

CPU = torch.device("cpu")
SHIPPED = {name: spec for name, spec in registry().extractors.items() if spec.weights}
LEAST = {"mnist": 0.995, "fashion-mnist": 0.925}
"""The accuracy that a ruler must have at least, by extractor."""

every_one = pytest.mark.parametrize("name", SHIPPED)


def file_of(spec: Extractor) -> Path:
    file = package_file(spec.weights)
    assert file is not None
    return file


def header_of(spec: Extractor) -> dict[str, object]:
    return weights_format.read(file_of(spec), sha256=spec.sha256)[1]


def some_images(spec: Extractor, count: int = 32) -> Tensor:
    assert spec.image is not None
    shape = (count, spec.image.channels, spec.image.height, spec.image.width)
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def test_there_are_extractors_for_the_sets_of_the_zoo() -> None:
    assert set(SHIPPED) >= {"digits", "mnist"}
    for dataset, name in (("mnist", "mnist"), ("binarized-mnist", "mnist"), ("digits", "digits")):
        assert find_extractor(dataset).name == name


@every_one
def test_the_file_is_the_one_that_the_descriptor_states(name: str) -> None:
    spec = SHIPPED[name]
    assert weights_format.file_sha256(file_of(spec)) == spec.sha256
    assert load_extractor(spec, CPU).sha256 == spec.sha256
    assert header_of(spec)["extractor"] == name


@every_one
def test_it_was_trained_by_the_recipe_in_the_code(name: str) -> None:
    assert header_of(SHIPPED[name])["recipe"] == json.loads(
        json.dumps(dataclasses.asdict(RECIPES[name]))
    )


@every_one
def test_the_accuracy_stated_is_that_recorded_in_training(name: str) -> None:
    spec = SHIPPED[name]
    assert spec.accuracy is not None
    assert round(float(header_of(spec)["accuracy"]), 4) == spec.accuracy  # type: ignore[arg-type]
    assert spec.accuracy >= LEAST.get(name, 0.99)


def accuracy_on_test_split(spec: Extractor) -> float:
    split = load_named(spec.name, "test")
    assert isinstance(split, TensorImages)
    return accuracy(load_extractor(spec, CPU), split)


def test_the_digits_extractor_is_as_good_as_stated() -> None:
    spec = SHIPPED["digits"]
    assert round(accuracy_on_test_split(spec), 4) == spec.accuracy


@pytest.mark.skipif(not os.environ.get("GENZOO_DATA"), reason="needs GENZOO_DATA with the sets")
@pytest.mark.parametrize("name", sorted(set(SHIPPED) - {"digits"}))
def test_the_others_are_as_good_as_stated(name: str) -> None:
    # Another machine may round another way: one image of 10,000 is allowed for.
    assert accuracy_on_test_split(SHIPPED[name]) == pytest.approx(SHIPPED[name].accuracy, abs=2e-4)


def test_a_weights_file_of_something_else_is_named() -> None:
    """A model's weights, say, by a mistake in a descriptor."""
    weights = find("mlp-gan-digits").config.weights
    assert weights is not None
    spec = dataclasses.replace(SHIPPED["digits"], weights=weights.uri, sha256=weights.sha256)
    with pytest.raises(WeightsError, match="not hold the classifier of extractor 'digits'") as said:
        load_extractor(spec, CPU)
    assert "mlp-gan-digits.safetensors" in said.value.message
    assert said.value.hint


@pytest.mark.parametrize("other", [{"depth": 3}, {"stages": [[8], [8]]}], ids=str)
def test_weights_of_another_classifier_are_named(
    other: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, file = SHIPPED["digits"], tmp_path / "others" / "digits.safetensors"
    tensors, header = weights_format.read(file_of(spec), sha256=spec.sha256)
    file.parent.mkdir()
    (file.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    weights_format.write(file, tensors, {**header, "network": {**header["network"], **other}})
    sha256 = weights_format.file_sha256(file)
    wrong = dataclasses.replace(spec, weights="pkg://others/digits.safetensors", sha256=sha256)
    with pytest.raises(WeightsError, match="not hold the classifier"):
        load_extractor(wrong, CPU)


@every_one
def test_features_are_of_the_shape_stated(name: str) -> None:
    spec = SHIPPED[name]
    extractor = load_extractor(spec, CPU)
    features, logits = extractor(some_images(spec, 3))
    assert features.shape == (3, extractor.num_features)
    assert logits is not None
    assert spec.image is not None
    assert logits.shape == (3, spec.image.classes)


@every_one
def test_an_image_has_its_features_whatever_its_batch(name: str) -> None:
    spec = SHIPPED[name]
    extractor, images = load_extractor(spec, CPU), some_images(spec)
    whole, _ = extractor(images)
    parts = [extractor(part)[0] for size in (1, 5) for part in images.split(size)]
    for features in (torch.cat(parts[:32]), torch.cat(parts[32:])):
        torch.testing.assert_close(features, whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(extractor(images.flip(0))[0].flip(0), whole, rtol=1e-4, atol=1e-5)
    assert (whole[0] - whole[1]).abs().max() > 0.01


@every_one
def test_it_is_frozen_and_in_eval_mode(name: str) -> None:
    extractor = load_extractor(SHIPPED[name], CPU)
    assert not any(module.training for module in extractor.modules())
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    before = {key: value.clone() for key, value in extractor.state_dict().items()}
    extractor(some_images(SHIPPED[name]))
    for key, value in extractor.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_a_factory_that_builds_something_else() -> None:
    spec = Extractor(name="odd", summary="odd", factory="builtins:repr")
    with pytest.raises(PluginError, match="extractor 'odd' built ") as raised:
        load_extractor(spec, CPU)
    assert "FeatureExtractor" in raised.value.hint


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a package `held` that can be imported."""
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "held"


def test_a_damaged_weights_file_is_refused(package: Path) -> None:
    spec = SHIPPED["digits"]
    content = bytearray(file_of(spec).read_bytes())
    content[-1] ^= 1
    (package / "digits.safetensors").write_bytes(content)
    damaged = dataclasses.replace(spec, weights="pkg://held/digits.safetensors")
    with pytest.raises(WeightsError, match="damaged or not the file meant"):
        load_extractor(damaged, CPU)


def test_a_missing_weights_file_is_refused(package: Path) -> None:
    missing = dataclasses.replace(SHIPPED["digits"], weights="pkg://held/digits.safetensors")
    with pytest.raises(WeightsError, match="is missing"):
        load_extractor(missing, CPU)


def test_weights_in_a_package_that_is_not_installed() -> None:
    spec = dataclasses.replace(SHIPPED["digits"], weights="pkg://no_such_package/x.safetensors")
    with pytest.raises(WeightsError, match="no_such_package"):
        load_extractor(spec, CPU)


def test_an_extractor_by_name_comes_before_that_of_the_dataset() -> None:
    assert find_extractor("digits", "mnist").name == "mnist"


def test_no_extractor_is_made_for_a_dataset() -> None:
    with pytest.raises(UnknownNameError, match="'cifar10'") as raised:
        find_extractor("cifar10")
    for name in registry().extractors:
        assert f"--extractor {name}" in raised.value.hint


def test_an_extractor_that_does_not_exist() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        find_extractor("digits", "digit")
