from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

import genzoo
from genzoo.errors import ConfigError
from genzoo.registry.config import ZooConfig
from genzoo.training.callbacks import Callback, Run

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]


class FailAt3(Callback):
    """Ends a run as a fault of a callback would."""

    def on_step(self, run: Run) -> None:
        if run.step == 3:
            raise ZeroDivisionError


def events(folder: Path) -> dict[str, list[int]]:
    """Return the steps of each tag that TensorBoard shows."""
    shown = EventAccumulator(str(folder / "tensorboard")).Reload()
    kinds = (("scalars", shown.Scalars), ("images", shown.Images))
    return {tag: [e.step for e in read(tag)] for kind, read in kinds for tag in shown.Tags()[kind]}


def test_tensorboard_shows_figures_and_previews(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    train(
        recipe(training__steps=5, training__log_every=2, training__preview_every=2),
        tmp_path,
        tensorboard=True,
    )
    shown = events(tmp_path)
    phases = ("discriminator", "generator")
    for name in (f"{p}/{f}" for p in phases for f in ("loss", "grad_norm", "lr")):
        assert shown[name] == [2, 4, 5]
    assert shown["discriminator/accuracy"] == [2, 4, 5]
    assert shown["images_per_second"] == [2, 4, 5]
    assert shown["preview"] == [2, 4, 5]


def test_tensorboard_shows_evaluations(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    config = recipe(training__steps=4)
    train(config, tmp_path, tensorboard=True, evaluate_every=2)
    shown = events(tmp_path)
    assert shown["evaluation/fid"] == shown["evaluation/coverage"] == [2, 4]


def test_tensorboard_shows_every_step_of_a_resumed_run_once(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    config = recipe(training__steps=6, training__log_every=1, training__checkpoint_every=2)
    with pytest.raises(ZeroDivisionError):
        train(config, tmp_path, FailAt3(), tensorboard=True)
    train(config, tmp_path, resume=True, tensorboard=True)
    assert events(tmp_path)["generator/loss"] == [1, 2, 3, 4, 5, 6]


def test_without_tensorboard_the_error_says_how_to_get_it(
    tmp_path: Path, recipe: Recipe, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as where it is not installed
    with pytest.raises(ConfigError, match="not installed") as raised:
        train(recipe(), tmp_path / "run", tensorboard=True)
    assert "genzoo[tensorboard]" in raised.value.hint
    assert not (tmp_path / "run").exists()
