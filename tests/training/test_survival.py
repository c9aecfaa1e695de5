"""What can happen to a run while it trains: it says what, and can be gone on with."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import genzoo
from genzoo.data.fitting import TensorImages, fingerprint
from genzoo.data.load import load_dataset
from genzoo.errors import DataError, OutputError, TrainingError
from genzoo.images import save_image
from genzoo.registry.config import ZooConfig
from genzoo.registry.specs import ImageSpec
from genzoo.training.callbacks import Callback, Run

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]
State = Callable[[Path], dict[str, Tensor]]
Stopped = dict[str, tuple[Path, str]]

STEPS = {"training__steps": 12, "training__checkpoint_every": 4}


class At(Callback):
    """Does something after a step."""

    def __init__(self, step: int, action: Callable[[], object]) -> None:
        self.step, self.action = step, action

    def on_step(self, run: Run) -> None:
        if run.step == self.step:
            self.action()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty images of noise, which are a dataset of their own."""
    folder = tmp_path / "photos"
    pixels = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for number, image in enumerate(pixels):
        folder.mkdir(exist_ok=True)
        save_image(image, folder / f"{number:02}.png")
    return folder


def of(recipe: Recipe, photos: Path, **settings: Any) -> ZooConfig:
    dataset = {"name": "folder", "config": {"path": str(photos)}}
    return recipe(classes=None, dataset=dataset, **STEPS, **settings)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in other)


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_an_image_that_is_gone_stops_the_run_and_costs_not_one_step(
    photos: Path, tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    straight, run = tmp_path / "straight", tmp_path / "run"
    train(of(recipe, photos), straight)
    away = tmp_path / "away"
    with pytest.raises(DataError, match=r"photos.*\.png cannot be read") as raised:
        train(of(recipe, photos), run, At(6, lambda: photos.rename(away)))
    assert "--resume" in raised.value.hint
    assert "step-00000006" in checkpoints(run)
    away.rename(photos)
    train(of(recipe, photos), run, resume=True)
    assert same(state(run), state(straight))


@pytest.mark.parametrize(("gone", "left"), [(("00.png", "01.png"), 35), (("00.png",), 36)])
def test_a_run_goes_on_with_the_images_that_it_began_with_or_not_at_all(
    gone: tuple[str, ...], left: int, photos: Path, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    """Every tenth file is held out: with one gone, as many may be left, and all be others."""
    with pytest.raises(ZeroDivisionError):
        train(of(recipe, photos), tmp_path / "run", At(6, lambda: 1 / 0))
    for name in gone:
        (photos / name).unlink()
    with pytest.raises(TrainingError, match=rf"trained on 36 images.*now has {left} images"):
        train(of(recipe, photos), tmp_path / "run", resume=True)


def test_a_folder_that_has_moved_is_the_same_dataset(
    photos: Path, tmp_path: Path, recipe: Recipe
) -> None:
    def said(path: Path) -> str:
        return fingerprint(load_dataset(of(recipe, path), "train"))

    before = said(photos)
    moved = photos.rename(tmp_path / "moved")
    assert said(moved) == before
    (moved / "00.png").rename(moved / "00-renamed.png")
    assert said(moved) != before


def test_a_set_in_memory_is_known_by_its_images_and_labels() -> None:
    images, labels = torch.arange(8, dtype=torch.uint8).view(2, 1, 2, 2), torch.tensor([0, 1])
    spec = ImageSpec(1, 2, 2, 2)
    sets = [
        TensorImages(images, labels, spec, ("a", "b")),
        TensorImages(images.flip(0), labels, spec, ("a", "b")),
        TensorImages(images, labels.flip(0), spec, ("a", "b")),
        TensorImages(images, None, spec, ("a", "b")),
    ]
    assert len({fingerprint(each) for each in sets}) == len(sets)
    assert fingerprint(sets[0]) == fingerprint(TensorImages(images.clone(), labels, spec, ("c",)))


def kill_a_worker() -> None:
    workers = multiprocessing.active_children()
    assert workers
    assert workers[0].pid is not None
    os.kill(workers[0].pid, signal.SIGKILL)
    time.sleep(0.2)


def test_a_worker_that_is_killed_is_named_and_the_run_can_be_gone_on_with(
    photos: Path, tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    config = of(recipe, photos, training__workers=2)
    with pytest.raises(DataError, match="ended unexpectedly") as raised:
        train(config, tmp_path / "run", At(6, kill_a_worker))
    assert "--resume" in raised.value.hint
    assert "training.workers" in raised.value.hint
    assert "step-00000004" in checkpoints(tmp_path / "run")
    train(of(recipe, photos), tmp_path / "run", resume=True)
    train(of(recipe, photos), tmp_path / "straight")
    assert same(state(tmp_path / "run"), state(tmp_path / "straight"))


@pytest.mark.parametrize("resume", [False, True])
def test_two_runs_in_one_folder_do_not_meet(
    tmp_path: Path, recipe: Recipe, train: Train, state: State, resume: bool
) -> None:
    config, refused = recipe(**STEPS), []

    def another() -> None:
        with pytest.raises(OutputError) as raised:
            train(config, tmp_path / "run", resume=resume)
        refused.append(raised.value)

    train(config, tmp_path / "run", At(6, another))
    (error,) = refused
    assert ("another training is at work" if resume else "holds a training run") in error.message
    assert "--output" in error.hint
    train(config, tmp_path / "straight")
    assert same(state(tmp_path / "run"), state(tmp_path / "straight"))
    train(config, tmp_path / "run", resume=True)  # free again


@pytest.fixture
def read_only(stopped: Stopped) -> Iterator[tuple[Path, str]]:
    folder, ending = stopped["read-only"]
    places = (folder, folder / "checkpoints")
    modes = [place.stat().st_mode for place in places]
    for place in places:
        place.chmod(0o755)
    yield folder, ending
    for place, mode in zip(places, modes, strict=True):
        place.chmod(mode)


def test_a_folder_that_may_not_be_written_to_any_more_keeps_what_it_holds(
    read_only: tuple[Path, str],
) -> None:
    folder, ending = read_only
    assert ending.startswith("OutputError: cannot write")
    assert "step-00000020: Permission denied" in ending
    assert "--resume" in ending
    assert checkpoints(folder) == ["step-00000010"]
    model = genzoo.load(folder, device="cpu")
    assert model.sample(1, seed=0).isfinite().all()
