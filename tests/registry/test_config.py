from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import genzoo
from genzoo.building import build_networks, build_objective
from genzoo.errors import ConfigError
from genzoo.registry.builtin import genzoo_zoo_configs
from genzoo.registry.config import parse_overrides, read_config, zoo_config
from genzoo.registry.specs import ImageSpec
from genzoo.registry.training_config import AdamConfig, SGDConfig

SHA256 = "0" * 64


@pytest.fixture
def file(tmp_path: Path, zoo_data: dict[str, Any]) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(zoo_data))
    return path


def problem(file: Path, **overrides: Any) -> str:
    """Return what is said of a file with these values, without the name of the file."""
    with pytest.raises(ConfigError) as caught:
        read_config(file, {key.replace("__", "."): value for key, value in overrides.items()})
    assert caught.value.message.startswith(f"{file}: ")
    return caught.value.message.removeprefix(f"{file}: ")


@pytest.mark.parametrize(
    "path", sorted(genzoo_zoo_configs()[0].glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_shipped_zoo_config_is_valid(path: Path) -> None:
    config = read_config(path)
    assert config.name == path.stem
    assert config.source == str(path)


def test_the_least_zoo_config_has_sensible_defaults(file: Path) -> None:
    config = read_config(file)
    assert config.name == "toy-digits"
    assert config.image_spec == ImageSpec(1, 8, 8, 10)
    assert config.training.optimizer == AdamConfig()
    assert config.training.ema is not None
    assert config.architecture.config == {}
    assert config.weights is None
    assert config.trained is None


def test_an_unconditional_model_says_null(file: Path) -> None:
    assert read_config(file, {"classes": None}).image_spec == ImageSpec(1, 8, 8, None)


def test_numbers_in_scientific_notation_are_numbers(file: Path) -> None:
    file.write_text(file.read_text() + "\n# recipe\n")
    text = file.read_text().replace("steps: 10", "steps: 10\n  optimizer: {name: adam, lr: 3e-4}")
    file.write_text(text)
    assert read_config(file).training.optimizer.lr == 3e-4


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"classes": "10"}, "classes: found '10', must be a whole number."),
        ({"classes": 0}, "classes: found 0, must be greater than or equal to 1."),
        ({"image": [1, 8, 8]}, "image: found [1, 8, 8], must be a map."),
        ({"image__channels": 2}, "image.channels: found 2, must be 1 or 3."),
        ({"image__height": 0}, "image.height: found 0, must be greater than or equal to 1."),
        ({"image__width": 8.5}, "image.width: found 8.5, must be a whole number."),
        ({"image__widht": 8}, "image.widht: unknown key. Did you mean 'width'?"),
        ({"achitecture": {}}, "achitecture: unknown key. Did you mean 'architecture'?"),
        ({"architecture": "dcgan"}, "architecture: found 'dcgan', must be a map."),
        ({"architecture__config": None}, "architecture.config: found null, must be a map."),
        ({"architecture__confg": {}}, "architecture.confg: unknown key. Did you mean 'config'?"),
        ({"training__steps": "many"}, "training.steps: found 'many', must be a whole number."),
        ({"training__step": 5}, "training.step: unknown key. Did you mean 'steps'?"),
        (
            {"training__precision": "fp8"},
            "training.precision: found 'fp8', must be 'fp32', 'tf32', 'bf16' or 'fp16'.",
        ),
        ({"training__seed": 2**63}, f"training.seed: found {2**63}, must be less than {2**63}."),
        (
            {"training__optimizer": {"name": "sgdd"}},
            "training.optimizer.name: found 'sgdd', must be one of "
            "'adam', 'adamw', 'rmsprop', 'sgd'.",
        ),
        (
            {"training__optimizer__lr": 1e-3},
            "training.optimizer.name: missing. It is required: one of "
            "'adam', 'adamw', 'rmsprop', 'sgd'.",
        ),
        (
            {"training__optimizer": {"name": "adam", "lr": float("nan")}},
            "training.optimizer.lr: found .nan, must be a finite number.",
        ),
        (
            {"training__optimizer": {"name": "adam", "lr": float("inf")}},
            "training.optimizer.lr: found .inf, must be a finite number.",
        ),
        (
            {"objective__config__instance_noise": float("inf")},
            "objective.config.instance_noise: found .inf, must be a finite number.",
        ),
        (
            {"training__optimizer": {"name": "adam", "betas": [0.9, 1.0]}},
            "training.optimizer.betas.1: found 1.0, must be less than 1.",
        ),
        (
            {"training__optimizer": {"name": "adam", "betas": [0.9]}},
            "training.optimizer.betas.1: missing. It is required.",
        ),
        (
            {"training__optimizer": {"name": "sgd", "betas": [0.9, 0.9]}},
            "training.optimizer.betas: unknown key. "
            "Known: lr, momentum, name, nesterov, weight_decay.",
        ),
        (
            {"training__optimizers": {"generator": {"name": "adam", "lrr": 1}}},
            "training.optimizers.generator.lrr: unknown key. Did you mean 'lr'?",
        ),
        (
            {"training__schedule": {"name": "cosin"}},
            "training.schedule.name: found 'cosin', must be 'constant' or 'cosine'.",
        ),
        ({"training__ema": {"decay": 1}}, "training.ema.decay: found 1, must be less than 1."),
        ({"card__license": "MIT"}, "card.license: unknown key. Did you mean 'licence'?"),
        (
            {
                "evaluated": {
                    "figures": {"fid": "low"},
                    "floor": {},
                    "protocol": {},
                    "weights_sha256": "",
                    "date": "",
                }
            },
            "evaluated.figures.fid: found 'low', must be a number.",
        ),
        ({"aliases": "toy"}, "aliases: found 'toy', must be a list."),
        ({"requires": ["a", 1]}, "requires.1: found 1, must be a text."),
    ],
)
def test_an_error_names_file_path_value_and_what_is_allowed(
    file: Path, overrides: dict[str, Any], expected: str
) -> None:
    assert problem(file, **overrides) == expected


@pytest.mark.parametrize("key", ["name", "image", "classes", "objective", "training", "card"])
def test_a_missing_part_is_named(file: Path, zoo_data: dict[str, Any], key: str) -> None:
    del zoo_data[key]
    file.write_text(yaml.safe_dump(zoo_data))
    assert problem(file) == f"{key}: missing. It is required."


@pytest.mark.parametrize("name", ["Toy", "toy digits", "toy/digits", "", "-toy"])
def test_a_name_is_made_of_lower_case_words(file: Path, name: str) -> None:
    assert problem(file, name=name).startswith(f"name: found {name!r}, must be lower-case letters")


@pytest.mark.parametrize(
    "uri",
    [
        "pkg://toy/weights/toy.safetensors",
        "https://example.org/toy.safetensors",
        "hf://owner/repo/toy.safetensors@main",
        "file:///tmp/toy.safetensors",
        "weights/toy.safetensors",
        "../toy.safetensors",
    ],
)
def test_where_weights_may_be(file: Path, uri: str) -> None:
    weights = {"uri": uri, "sha256": SHA256, "size": 1, "parameters": 1}
    config = read_config(file, {"weights": weights})
    assert config.weights is not None
    assert config.weights.uri == uri


@pytest.mark.parametrize(
    "uri",
    ["", "http://example.org/x", "ftp://x/y", "pkg://toy", "https://", "hf://toy", "hf://a/b"],
)
def test_where_weights_may_not_be(file: Path, uri: str) -> None:
    weights = {"uri": uri, "sha256": SHA256, "size": 1, "parameters": 1}
    assert problem(file, weights=weights).startswith(f"weights.uri: found {uri!r}, must match")


@pytest.mark.parametrize(
    "sha256", ["", SHA256[1:], SHA256 + "0", "G" + SHA256[1:], SHA256.replace("0", "A")]
)
def test_a_hash_is_64_hex_digits(file: Path, sha256: str) -> None:
    weights = {"uri": "x", "sha256": sha256, "size": 1, "parameters": 1}
    assert problem(file, weights=weights).startswith("weights.sha256: found ")


def test_a_hash_that_looks_like_a_number_is_read_as_it_stands(file: Path) -> None:
    sha256 = "5e3" + "f" * 61
    block = f"weights: {{uri: x, sha256: {sha256}, size: 1, parameters: 1}}\n"
    file.write_text(file.read_text() + block)
    config = read_config(file)
    assert config.weights is not None
    assert config.weights.sha256 == sha256


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml"):
        read_config(tmp_path / "missing.yaml")


def test_the_recipe_is_all_but_what_came_of_it(zoo_data: dict[str, Any]) -> None:
    weights = {"uri": "x", "sha256": SHA256, "size": 1, "parameters": 1}
    recipe = zoo_config({**zoo_data, "weights": weights}, source="here").recipe()
    assert "weights" not in recipe
    assert "trained" not in recipe
    again = zoo_config(recipe, source="there")
    assert again.recipe() == recipe
    assert again.image_spec == ImageSpec(1, 8, 8, 10)


def test_errors_of_the_parts_name_the_file_and_the_path(file: Path) -> None:
    config = read_config(file, {"architecture.config.drop_out": 8})
    with pytest.raises(ConfigError) as caught:
        build_networks(config, build_objective(config))
    assert caught.value.message == (
        f"{file}: architecture.config.drop_out: unknown key. Did you mean 'dropout'?"
    )
    config = read_config(file, {"objective.config.penalties.r1": "strong"})
    with pytest.raises(ConfigError) as caught:
        build_objective(config)
    assert caught.value.message == (
        f"{file}: objective.config.penalties.r1: found 'strong', must be a number."
    )


def test_errors_of_created_models_name_the_call() -> None:
    with pytest.raises(ConfigError) as caught:
        genzoo.create("mlp-gan", latent_dim=0)
    assert caught.value.message == (
        "create('mlp-gan'): architecture.config.latent_dim: found 0, "
        "must be greater than or equal to 1."
    )


def test_overrides_of_a_file_are_validated(file: Path) -> None:
    overrides = parse_overrides(["training.optimizer={name: sgd, lr: 1e-2}", "training.ema=null"])
    training = read_config(file, overrides).training
    assert training.optimizer == SGDConfig(lr=1e-2)
    assert training.ema is None
    assert problem(file, training__stesp=5) == "training.stesp: unknown key. Did you mean 'steps'?"


def test_nesterov_without_momentum_is_refused(zoo_data: dict[str, Any]) -> None:
    optimizer = {"name": "sgd", "nesterov": True}
    data = {**zoo_data, "training": {**zoo_data["training"], "optimizer": optimizer}}
    with pytest.raises(ConfigError, match=r"training\.optimizer: .* a momentum above 0"):
        zoo_config(data, source="here")
