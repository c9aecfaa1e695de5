"""The same command gives the same figures; what is asked for wrongly is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import genzoo
from genzoo.data.fitting import TensorImages
from genzoo.errors import GenzooError, UnknownNameError, UnsupportedError
from genzoo.evaluation.evaluate import Evaluation, evaluate
from genzoo.evaluation.features import load_extractor
from genzoo.model import Model
from genzoo.registry.catalog import find
from genzoo.registry.config import ZooConfig, apply_overrides, zoo_config
from genzoo.registry.discovery import registry

NAME = "mlp-gan-digits"


def measure(**options: Any) -> Evaluation:
    return evaluate(NAME, **{"samples": 300, "device": "cpu", **options})


@pytest.fixture(scope="module")
def usual() -> Evaluation:
    return measure()


def apply_dataset(config: ZooConfig, name: str) -> ZooConfig:
    plain = apply_overrides(
        config.model_dump(mode="json"), {"dataset": {"name": name}}, source="test"
    )
    return zoo_config(plain, source="test")


def rounded(values: Any) -> dict[str, str]:
    return {name: f"{value:.3e}" for name, value in values.items()}


@pytest.mark.parametrize("batch_size", [7, 100])
def test_figures_do_not_depend_on_the_batch_size(batch_size: int, usual: Evaluation) -> None:
    found = measure(batch_size=batch_size)
    assert rounded(found.figures) == rounded(usual.figures)
    assert rounded(found.floor) == rounded(usual.floor)
    assert found.by_class == usual.by_class
    assert found.floor_by_class == usual.floor_by_class
    assert found.protocol == usual.protocol


@pytest.mark.parametrize("architecture", ["dcgan", "transformer-gan", "vae"])
def test_nor_where_convolutions_and_attention_add_up(architecture: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = genzoo.create(architecture, (1, 8, 8), 10)
    model.config = apply_dataset(model.config, "digits")
    one, few = (evaluate(model, samples=60, batch_size=size) for size in (1, 50))
    assert rounded(one.figures) == rounded(few.figures)
    assert one.by_class == few.by_class


@pytest.mark.skipif(not os.environ.get("GENZOO_DATA"), reason="needs GENZOO_DATA with MNIST")
@pytest.mark.parametrize("name", ["dcgan-mnist", "vae-binarized-mnist"])
def test_nor_for_models_that_ship(name: str) -> None:
    options = {"samples": 1000, "likelihood_images": 20, "importance_samples": 5, "device": "cpu"}
    one, other = (evaluate(name, batch_size=size, **options) for size in (50, 128))
    assert rounded(one.figures) == rounded(other.figures)
    assert rounded(one.floor) == rounded(other.floor)


def test_the_global_generator_is_no_part_of_it(usual: Evaluation) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    assert measure().figures == usual.figures
    assert torch.equal(torch.get_rng_state(), before)


def test_another_seed_draws_other_images(usual: Evaluation) -> None:
    found = measure(seed=1)
    assert found.protocol["seed"] == 1
    for name in ("fid", "kid", "nearest_train"):
        assert found.figures[name] != usual.figures[name]
    assert found.floor["fid"] != usual.floor["fid"]
    assert not torch.equal(found.pictures["generated"], usual.pictures["generated"])


def test_the_protocol_is_stated(usual: Evaluation) -> None:
    weights, spec = find(NAME).config.weights, registry().extractor("digits")
    assert weights is not None
    assert usual.model == NAME
    stated = dict(usual.protocol)
    assert stated.pop("floor_spread") > 0
    assert stated == {
        "samples": 300,
        "seed": 0,
        "labels": "as frequent as among the floor's images",
        "quantization": "uint8",
        "dataset": "digits",
        "split": "test",
        "reference_images": 297,
        "training_images": 1500,
        "extractor": "digits",
        "extractor_sha256": spec.sha256,
        "features": load_extractor(spec, torch.device("cpu")).num_features,
        "floor_draws": 5,
        "neighbours": 5,
        "kid_subsets": 100,
        "kid_subset_size": 297,
        "memorization_images": 297,
        "dtype": "float32",
        "weights_sha256": weights.sha256,
        "device": "cpu",
        "genzoo": genzoo.__version__,
        "torch": torch.__version__,
    }


def test_it_is_json_that_any_program_reads(usual: Evaluation) -> None:
    plain = usual.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert list(plain) == [
        "model",
        "figures",
        "floor",
        "by_class",
        "floor_by_class",
        "protocol",
        "notes",
    ]
    assert list(plain["figures"])[:2] == ["fid", "fid_ratio"]


def test_a_model_or_its_name(usual: Evaluation) -> None:
    model = genzoo.load(NAME, device="cpu")
    assert evaluate(model, samples=300).to_dict() == usual.to_dict()


def test_progress_is_told_of_every_stage() -> None:
    told: list[tuple[str, int, int]] = []
    measure(samples=1200, batch_size=500, progress=lambda *step: told.append(step))
    assert [step for step in told if step[0] == "samples"] == [
        ("samples", 0, 1200),
        ("samples", 500, 1200),
        ("samples", 1000, 1200),
        ("samples", 1200, 1200),
    ]
    last = {stage: (done, total) for stage, done, total in told}
    assert list(last) == [
        "test images",
        "training images",
        "metrics of the floor",
        "samples",
        "metrics",
    ]
    assert all(done == total for done, total in last.values())


def test_a_small_set_is_measured_with_all_it_has(training: TensorImages) -> None:
    found = measure(samples=None).protocol
    assert found["samples"] == len(training)
    # One draw of its training images is all that it has, so nobody knows how another would differ.
    assert (found["floor_draws"], found["floor_spread"]) == (1, None)


def test_against_the_training_split_there_is_no_floor_to_divide_by() -> None:
    found = measure(split="train")
    # The floor's images are among the reference's: FID over it would be any number.
    assert "fid_ratio" not in found.figures
    assert found.figures["fid"] > 0
    assert (found.protocol["split"], found.protocol["reference_images"]) == ("train", 1500)
    assert found.floor["copied"] == 1


@pytest.mark.parametrize("samples", [-1, 0, 5, 1501, 10_000])
def test_a_number_of_samples_that_cannot_be_measured(samples: int) -> None:
    with pytest.raises(UnsupportedError, match=f"cannot evaluate {samples} samples") as raised:
        measure(samples=samples)
    assert "digits has 1500 training images" in raised.value.message
    assert raised.value.hint == "Ask for 6 to 1500 samples."


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**64}, "seed 18446744073709551616"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"split": "validation"}, "'validation'"),
        ({"dataset": "digit"}, "'digit'"),
        ({"extractor": "digit"}, "'digit'"),
        ({"likelihood_images": 0}, "at least one image"),
        ({"samples": 100.5}, "cannot evaluate 100.5 samples"),
        ({"batch_size": 1.5}, "batch_size is 1.5"),
        ({"importance_samples": 1.5}, "at least one image"),
        ({"likelihood_images": "all"}, "at least one image"),
        ({"importance_samples": 0}, "at least one image"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(GenzooError) as raised:
        measure(**wrong)
    assert says in raised.value.message
    assert raised.value.hint


def test_a_dataset_that_no_extractor_is_made_for() -> None:
    with pytest.raises(UnknownNameError, match="'cifar10'") as raised:
        measure(dataset="cifar10")
    # Its own features are for any image; those of digits would be a last resort.
    assert raised.value.hint.startswith("Choose one: --extractor inception, --extractor digits")


def test_a_model_without_a_likelihood_has_no_nll(usual: Evaluation) -> None:
    assert not {"nll", "nll_error", "bits_per_dim"} & usual.figures.keys()
    assert usual.notes == ()
    assert "importance_samples" not in usual.protocol


def test_a_model_is_measured_in_another_dataset_s_size(
    drawing: Callable[[Tensor], Model], training: TensorImages
) -> None:
    """By an extractor for larger images: theirs are resized for it, as are those of the model."""
    found = evaluate(drawing(training.images[:60]), samples=60, extractor="mnist")
    assert (found.protocol["extractor"], found.protocol["dataset"]) == ("mnist", "digits")
    # It was trained on other digits, so it is no judge of these classes.
    assert not {"class_balance", "label_agreement"} & found.figures.keys()
