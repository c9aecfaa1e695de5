"""What is and what is not a run to go on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

import genzoo
from genzoo.errors import OutputError, TrainingError
from genzoo.registry.config import ZooConfig
from genzoo.training.api import resolve_config
from genzoo.training.callbacks import Callback, Run
from genzoo.training.publish import publish

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]

CONSTANT = {"training__schedule": {"name": "constant"}, "training__checkpoint_every": 2}


class Stop(Exception):
    """As a kill would, leaves the run where it is."""


class StopAt(Callback):
    """Stops a run after a step, by force."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, run: Run) -> None:
        if run.step == self.step:
            raise Stop


def test_what_a_shorter_run_left_does_not_pass_for_the_longer_one(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    run = tmp_path / "run"
    train(recipe(training__steps=2, **CONSTANT), run)
    with pytest.raises(Stop):
        train(recipe(training__steps=6, **CONSTANT), run, StopAt(5), resume=True)
    newest = genzoo.load(run / "checkpoints" / "step-00000004" / "weights.safetensors")
    assert torch.equal(genzoo.load(run).sample(4, seed=0), newest.sample(4, seed=0))
    card = tmp_path / "card.yaml"
    card.write_text((run / "config.yaml").read_text())
    with pytest.raises(TrainingError, match="not a finished run"):
        publish(run, card)


def test_a_record_of_fewer_steps_is_not_published(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    train(recipe(training__steps=2), tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    data = yaml.safe_load(config.read_text())
    data["training"]["steps"] = 3
    config.write_text(yaml.safe_dump(data))
    card = tmp_path / "card.yaml"
    card.write_text(config.read_text())
    with pytest.raises(TrainingError, match="2 of 3 steps") as caught:
        publish(tmp_path / "run", card)
    assert "--resume" in caught.value.hint


def test_a_finished_run_keeps_its_record(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    train(recipe(training__steps=2), tmp_path)
    record = tmp_path / "trained.json"
    data = {**json.loads(record.read_text()), "machine": "another"}
    record.write_text(json.dumps(data))
    train(recipe(training__steps=2), tmp_path, resume=True)
    assert json.loads(record.read_text())["machine"] == "another"


def test_a_record_names_every_machine_once(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    for stop in (3, 5):
        with pytest.raises(Stop):
            train(recipe(training__steps=6, **CONSTANT), tmp_path, StopAt(stop), resume=True)
        (position,) = sorted(tmp_path.glob("checkpoints/step-*/position.json"))[-1:]
        state = json.loads(position.read_text())
        here = state["machines"][-1]
        position.write_text(json.dumps({**state, "machines": ["there"]}))
    train(recipe(training__steps=6, **CONSTANT), tmp_path, resume=True)
    assert json.loads((tmp_path / "trained.json").read_text())["machine"] == f"there; {here}"


def test_one_flipped_byte_of_a_checkpoint_is_seen(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    with pytest.raises(Stop):
        train(recipe(training__steps=6, **CONSTANT), tmp_path, StopAt(3))
    file = tmp_path / "checkpoints" / "step-00000002" / "training.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(TrainingError, match="step-00000002 is damaged"):
        train(recipe(training__steps=6, **CONSTANT), tmp_path, resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_checkpoints_of_an_unknown_run_are_not_adopted(
    tmp_path: Path, recipe: Recipe, train: Train, resume: bool
) -> None:
    train(recipe(training__steps=2), tmp_path)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(OutputError, match=r"not its config\.yaml"):
        train(recipe(training__steps=2), tmp_path, resume=resume)


def test_nothing_to_resume_is_said(
    tmp_path: Path, recipe: Recipe, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    train(recipe(training__steps=1), tmp_path / "mistyped", resume=True)
    assert "nothing to resume" in capsys.readouterr().err


def test_a_zoo_config_may_be_called_anything_but_a_model_comes_first(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = yaml.safe_dump(recipe().recipe())
    for name in ("mine.txt", "mlp-gan-digits"):
        Path(name).write_text(text)
    assert resolve_config("mine.txt", {}).name == "tiny-mlp-gan"
    assert resolve_config("mlp-gan-digits", {}).name == "mlp-gan-digits"
    assert resolve_config("./mlp-gan-digits", {}).name == "tiny-mlp-gan"
