"""What `genzoo.train` takes, and the folder that it leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import genzoo
from genzoo.errors import ConfigError, DeviceError, OutputError, UnknownNameError, UnsupportedError
from genzoo.registry.config import TrainedConfig, ZooConfig, read_config
from genzoo.registry.schema import validate
from genzoo.training.callbacks import Callback, Run

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]
Stopped = dict[str, tuple[Path, str]]


class Steps(Callback):
    """Counts steps."""

    count = 0

    def on_step(self, run: Run) -> None:
        self.count += 1


def test_a_run_leaves_these_files(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    train(recipe(training__steps=4, training__checkpoint_every=2, training__keep=1), tmp_path)
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert files == [
        ".lock",
        "checkpoints/step-00000004/position.json",
        "checkpoints/step-00000004/training.safetensors",
        "checkpoints/step-00000004/weights.safetensors",
        "config.yaml",
        "metrics.jsonl",
        "previews.gif",
        "previews/step-00000000.png",
        "previews/step-00000004.png",
        "trained.json",
        "weights.safetensors",
    ]


def test_a_run_says_how_it_came_to_be(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    train(recipe(training__steps=3), tmp_path)
    data = json.loads((tmp_path / "trained.json").read_text())
    record = validate(TrainedConfig, data, source="trained.json")
    assert (record.steps, record.images, record.processes) == (3, 24, 1)
    assert record.seconds >= 0
    assert record.machine
    assert (record.genzoo, record.torch) == (genzoo.__version__, torch.__version__)


def test_the_config_of_a_run_trains_the_same_again(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    train(recipe(training__steps=2), tmp_path / "first")
    again = read_config(tmp_path / "first" / "config.yaml")
    train(again, tmp_path / "second")
    first, second = (tmp_path / name / "weights.safetensors" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_weights_alone_rebuild_the_model(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    model = train(recipe("vae", training__steps=2), tmp_path / "run")
    shutil.copy(tmp_path / "run" / "weights.safetensors", tmp_path / "alone.safetensors")
    loaded = genzoo.load(tmp_path / "alone.safetensors", device="cpu")
    assert torch.equal(loaded.sample(3, seed=5), model.sample(3, seed=5))
    assert loaded.name == "tiny-vae"


def test_an_unfinished_run_gives_its_newest_checkpoint(stopped: Stopped) -> None:
    folder = stopped["interrupted"][0]
    model = genzoo.load(folder, device="cpu")
    newest = genzoo.load(
        folder / "checkpoints" / "step-00000013" / "weights.safetensors", device="cpu"
    )
    assert torch.equal(model.sample(2, seed=0), newest.sample(2, seed=0))
    assert model.sample(2, seed=0).isfinite().all()


def test_only_the_roles_that_sample_are_shipped(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    model = train(recipe(training__steps=1), tmp_path)
    assert set(model.networks) == {"generator"}
    assert set(genzoo.load(tmp_path).networks) == {"generator"}


def test_a_yaml_file_and_a_path_are_taken(tmp_path: Path, recipe: Recipe) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(recipe().recipe()))
    for config in (file, str(file)):
        output = tmp_path / type(config).__name__
        settings: dict[str, Any] = {"training.steps": 1, "objective.config.loss": "hinge"}
        model = genzoo.train(config, output, device="cpu", progress=False, **settings)
        assert model.config.objective.config["loss"] == "hinge"


def test_without_an_output_the_folder_is_named_after_the_model(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    genzoo.train(recipe(training__steps=1), device="cpu", progress=False)
    assert (tmp_path / "runs" / "tiny-mlp-gan" / "weights.safetensors").is_file()


@pytest.mark.parametrize("output", ["file", "file/run"])
def test_a_folder_that_cannot_be_made_is_an_error_before_the_first_step(
    output: str, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    (tmp_path / "file").write_text("")
    steps = Steps()
    with pytest.raises(OutputError, match="cannot write") as raised:
        train(recipe(), tmp_path / output, steps)
    assert raised.value.hint
    assert steps.count == 0


def test_a_full_disk_is_an_output_error_and_the_checkpoint_before_it_stays(
    stopped: Stopped,
) -> None:
    folder, ending = stopped["disk-full"]
    assert ending.startswith("OutputError: cannot write")
    assert "step-00000020" in ending
    assert "--resume" in ending
    assert [path.name for path in folder.glob("checkpoints/*")] == ["step-00000010"]


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"training.steps": 0}, ConfigError, r"training\.steps"),
        ({"training.step": 5}, ConfigError, "steps"),
        ({"training.optimizer.lr": "fast"}, ConfigError, r"training\.optimizer\.lr"),
        ({"architecture.config.depth": 3}, ConfigError, r"architecture\.config\.depth"),
        ({"objective.config.loss": "none"}, ConfigError, r"objective\.config\.loss"),
        ({"dataset.name": "nothing"}, UnknownNameError, "nothing"),
        ({"image.height": 256, "image.width": 256}, UnsupportedError, "mlp-gan"),
    ],
)
def test_a_wrong_setting_is_an_error_that_leaves_no_folder(
    settings: dict[str, Any],
    kind: type[Exception],
    message: str,
    tmp_path: Path,
    recipe: Recipe,
    train: Train,
) -> None:
    with pytest.raises(kind, match=message):
        train(recipe(), tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_an_unknown_device_is_an_error(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    with pytest.raises(DeviceError, match="abacus"):
        train(recipe(), tmp_path / "run", device="abacus")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["DEEPSPEED", "FSDP", "MEGATRON_LM"])
def test_what_cuts_up_the_weights_is_refused(
    name: str, tmp_path: Path, recipe: Recipe, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"ACCELERATE_USE_{name}", "true")
    with pytest.raises(UnsupportedError, match=name) as raised:
        train(recipe(), tmp_path / "run")
    assert "torchrun" in raised.value.hint
    assert not (tmp_path / "run").exists()
