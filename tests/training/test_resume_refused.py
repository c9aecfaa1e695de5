"""What a run cannot go on from, and says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import genzoo
from genzoo.errors import ConfigError, OutputError, TrainingError
from genzoo.registry.config import ZooConfig

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]
State = Callable[[Path], dict[str, Tensor]]
Stopped = dict[str, tuple[Path, str]]
Copied = Callable[[str], Path]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.batch_size", 4),
        ("training.optimizer.lr", 0.5),
        ("training.seed", 1),
        ("training.schedule.warmup_steps", 0),
        ("training.ema", None),
        ("training.steps", 30),  # the cosine spreads itself over all steps
        ("objective.config.loss", "hinge"),
        ("objective.config.penalties.r1", 0.5),
        ("architecture.config.latent_dim", 5),
        ("classes", None),
        ("name", "another"),
    ],
)
def test_a_changed_setting_is_refused_by_name(
    key: str, value: object, stopped: Stopped, recipe: Recipe, train: Train
) -> None:
    folder = stopped["killed-mlp-gan"][0]
    before = (folder / "config.yaml").read_bytes()
    with pytest.raises(ConfigError, match="cannot resume") as raised:
        train(recipe(), folder, resume=True, **{key: value})
    assert key in raised.value.message
    assert repr(value) in raised.value.message or value is None
    assert raised.value.hint
    assert (folder / "config.yaml").read_bytes() == before


def test_what_decides_no_step_may_change(copied: Copied, recipe: Recipe, train: Train) -> None:
    folder = copied("killed-mlp-gan")
    changed = {
        "training.log_every": 2,
        "training.preview_every": 3,
        "training.checkpoint_every": 5,
        "training.keep": 1,
        "training.workers": 1,
        "card.summary": "better",
        "aliases": ["short"],
        "requires": ["genzoo-mlp-gan"],
    }
    train(recipe(), folder, resume=True, **changed)
    assert [p.name for p in folder.glob("checkpoints/*")] == ["step-00000020"]
    assert genzoo.load(folder).config.card.summary == "better"


def test_a_run_cannot_be_cut_to_fewer_steps_than_it_has_done(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    config = recipe(training__schedule={}, training__steps=5)
    train(config, tmp_path)
    with pytest.raises(TrainingError, match=r"has done 5 steps, training\.steps is 4"):
        train(config, tmp_path, resume=True, **{"training.steps": 4})


def test_a_run_is_not_overwritten(stopped: Stopped, recipe: Recipe, train: Train) -> None:
    with pytest.raises(OutputError, match="holds a training run") as raised:
        train(recipe(), stopped["killed-mlp-gan"][0])
    assert "--resume" in raised.value.hint


def damage_tensors(folder: Path) -> None:
    file = folder / "training.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def damage_position(folder: Path) -> None:
    (folder / "position.json").write_text('{"step": 2')


def lose_tensors(folder: Path) -> None:
    (folder / "training.safetensors").unlink()


@pytest.mark.parametrize("damage", [damage_tensors, damage_position, lose_tensors])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_will_do(
    damage: Callable[[Path], None],
    tmp_path: Path,
    recipe: Recipe,
    train: Train,
    state: State,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = recipe(training__steps=6, training__checkpoint_every=2)
    train(config, tmp_path / "resumed")
    train(config, tmp_path / "straight")
    checkpoints = tmp_path / "resumed" / "checkpoints"
    damage(checkpoints / "step-00000006")
    train(config, tmp_path / "resumed", resume=True)
    said = capsys.readouterr().err
    assert f"{checkpoints / 'step-00000006'} is damaged" in said
    assert "It is damaged-step-00000006 now." in said
    assert f"going on from {checkpoints / 'step-00000004'}, after step 4." in said
    assert (checkpoints / "damaged-step-00000006").is_dir()
    resumed, straight = (state(tmp_path / name) for name in ("resumed", "straight"))
    assert [key for key in straight if not torch.equal(resumed[key], straight[key])] == []


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_again_in_silence(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    config = recipe(training__steps=4, training__checkpoint_every=2)
    train(config, tmp_path)
    for folder in tmp_path.glob("checkpoints/step-*"):
        damage_tensors(folder)
    before = (tmp_path / "weights.safetensors").read_bytes()
    with pytest.raises(TrainingError, match="step-00000004 is damaged") as raised:
        train(config, tmp_path, resume=True)
    assert "start another run" in raised.value.hint
    assert (tmp_path / "weights.safetensors").read_bytes() == before
    assert len(list(tmp_path.glob("checkpoints/step-*"))) == 2


def test_a_checkpoint_of_other_networks_is_refused(
    tmp_path: Path, copied: Copied, recipe: Recipe, train: Train
) -> None:
    folder = copied("killed-mlp-gan")
    (folder / "checkpoints").rename(tmp_path / "away")
    shutil.copytree(copied("killed-dcgan") / "checkpoints", folder / "checkpoints")
    with pytest.raises(TrainingError, match="other networks") as raised:
        train(recipe(), folder, resume=True)
    assert "version" in raised.value.hint
