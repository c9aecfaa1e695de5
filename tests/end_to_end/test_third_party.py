"""Distributions that are not of this repository, found and used with no change to genzoo."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from .environment import SHIPPED, Environment

EVERYTHING = ("genzoo", *SHIPPED, "genzoo-toy")

PARAMETERS = 10 * 256 + (16 * 256 + 256) + (256 * 64 + 64)
"""Of `toy-gan-digits`'s generator: class embedding, hidden layer, pixels."""


@pytest.fixture(scope="module")
def run(environment: Environment) -> Path:
    """A run folder of a few steps by the installed zoo config."""
    environment.hold(*EVERYTHING)
    shorter = ["--set", "training.steps=6", "--set", "training.checkpoint_every=3"]
    environment.genzoo("train", "toy-gan-digits", *shorter, "--output", "runs/toy", "--quiet")
    return environment.work / "runs" / "toy"


def test_what_it_brings_is_listed(environment: Environment) -> None:
    environment.hold(*EVERYTHING)
    (model,) = [row for row in environment.json("list") if row["name"] == "toy-gan-digits"]
    assert model == {
        "name": "toy-gan-digits",
        "architecture": "toy-gan",
        "objective": "adversarial",
        "dataset": "digits",
        "image": [1, 8, 8],
        "classes": 10,
        "parameters": None,
        "size_bytes": None,
        "fid": None,
        "fid_ratio": None,
        "label_agreement": None,
        "license": "Apache-2.0",
        "available": False,
    }
    architectures = environment.json("list", "--architectures")
    (toy,) = [row for row in architectures if row["name"] == "toy-gan"]
    assert (toy["distribution"], toy["version"]) == ("genzoo-toy", "0.3.0")
    (plugin,) = [row for row in environment.json("plugins") if row["name"] == "toy-gan"]
    assert plugin["brings"] == {"architectures": ["toy-gan"], "zoo_configs": ["toy-gan-digits"]}


def test_it_is_trained(run: Path) -> None:
    figures = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert figures[-1]["step"] == 6
    assert {"discriminator/loss", "generator/loss"} <= figures[-1].keys()
    assert json.loads((run / "trained.json").read_text())["images"] == 6 * 64
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["architecture"] == {"name": "toy-gan", "config": {"latent_dim": 16, "width": 256}}


LOAD = """
import shutil, sys
from pathlib import Path
import numpy, torch, genzoo
from genzoo.training.publish import publish

run, elsewhere = map(Path, sys.argv[1:])
images = genzoo.load(run, device="cpu").sample(12, seed=3, labels=range(10))

elsewhere.mkdir()
alone = Path(shutil.copy(run / "weights.safetensors", elsewhere / "alone.safetensors"))
assert torch.equal(genzoo.load(alone, device="cpu").sample(12, seed=3, labels=range(10)), images)

recipe = Path(shutil.copy(run / "config.yaml", elsewhere / "recipe.yaml"))
publish(run, recipe)
assert torch.equal(genzoo.load(recipe, device="cpu").sample(12, seed=3, labels=range(10)), images)

numpy.save(elsewhere / "images.npy", images.numpy())
try:
    genzoo.create("toy-gan", image=(1, 64, 64))
except genzoo.UnsupportedError as error:
    print(error.message)
"""


def test_it_is_loaded_from_run_folder_weights_file_and_published_config(
    environment: Environment, run: Path, tmp_path: Path
) -> None:
    environment.hold(*EVERYTHING)
    refusal, _ = environment.python("-c", LOAD, run, tmp_path / "elsewhere")
    assert refusal == "toy-gan cannot make 64x64 images: its limit is 32x32.\n"

    options = ("-n", "12", "--seed", "3", "--labels", "0-9", "-o", "drawn.npz")
    environment.genzoo("sample", run, *options, "--device", "cpu")
    with np.load(environment.work / "drawn.npz") as drawn:
        images, labels = drawn["images"], drawn["labels"]
    assert images.shape == (12, 1, 8, 8)
    assert labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    np.testing.assert_array_equal(images, np.load(tmp_path / "elsewhere" / "images.npy"))

    published = yaml.safe_load((tmp_path / "elsewhere" / "recipe.yaml").read_text())
    assert published["weights"]["parameters"] == PARAMETERS
    assert published["trained"]["steps"] == 6


def test_without_it_its_weights_say_what_to_install(environment: Environment, run: Path) -> None:
    environment.hold("genzoo")
    _, refusal = environment.genzoo("sample", run / "weights.safetensors", code=2)
    assert "'toy-gan' is not installed" in refusal
    assert "pip install genzoo-toy" in refusal
    assert "Traceback" not in refusal


def test_an_objective_a_dataset_and_a_callback_work_with_anybodys_architecture(
    environment: Environment,
) -> None:
    environment.hold("genzoo", "genzoo-toy", "genzoo-toy-parts")
    changes = {
        "objective": "{name: toy-moments, config: {deviation: 0.5}}",
        "dataset": "{name: toy-stripes, config: {count: 32}}",
        "classes": "2",
        "training.steps": "3",
    }
    settings = [f"--set={path}={value}" for path, value in changes.items()]
    environment.genzoo("train", "toy-gan-digits", *settings, "-o", "runs/parts", "--quiet")
    run = environment.work / "runs" / "parts"
    assert (run / "note.txt").read_text() == "toy-gan-digits: 3 steps\n"
    (figures,) = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    terms = figures["generator/mean"] + 0.5 * figures["generator/deviation"]
    assert figures["generator/loss"] == pytest.approx(terms, rel=1e-5)


def test_an_extractor_measures_anybodys_models(environment: Environment) -> None:
    environment.hold("genzoo", "genzoo-mlp-gan", "genzoo-toy-extractor")
    (toy,) = [e for e in environment.json("list", "--extractors") if e["name"] == "toy-filters"]
    assert toy["distribution"] == "genzoo-toy-extractor"
    options = ("--extractor", "toy-filters", "--samples", "200", "--quiet")
    worth = environment.json("evaluate", "mlp-gan-digits", *options)
    assert worth["protocol"]["extractor"] == "toy-filters"
    assert len(worth["protocol"]["extractor_sha256"]) == 64
    assert worth["figures"]["fid_ratio"] > 0
    assert "label_agreement" not in worth["figures"]  # it knows no classes


def test_they_keep_what_genzoo_asks_of_every_plugin(environment: Environment) -> None:
    names = ("genzoo-toy-parts", "genzoo-toy-extractor")
    environment.hold("genzoo", *names)
    table, _ = environment.genzoo("check", *names)
    assert table.splitlines()[-1].endswith(" checks, 0 failed.")
