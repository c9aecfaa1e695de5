"""FID while a model trains: it tells how training goes, and is no part of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import genzoo
from genzoo.errors import OutputError, TrainingError
from genzoo.evaluation.ruler import Ruler
from genzoo.evaluation.sources import Sight
from genzoo.registry.config import ZooConfig, read_config
from genzoo.training.callbacks import Callback, Run
from genzoo.training.evaluations import best_step, fid_ratio_by_step
from genzoo.training.publish import publish

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]
State = Callable[[Path], dict[str, Tensor]]

SETTINGS = {"training__steps": 6, "training__checkpoint_every": 3}
FILE = "evaluations.jsonl"


class Crash(Callback):
    """Ends a run after a step, as a killed process would: without a checkpoint."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_step(self, run: Run) -> None:
        if run.step == self.at:
            raise ZeroDivisionError


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Path:
    """A run without evaluations."""
    folder = tmp_path_factory.mktemp("plain")
    genzoo.train(recipe(**SETTINGS), folder, device="cpu", progress=False)
    return folder


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Path:
    """The same run, evaluated every 2 of its 6 steps."""
    folder = tmp_path_factory.mktemp("evaluated")
    genzoo.train(recipe(**SETTINGS), folder, device="cpu", progress=False, evaluate_every=2)
    return folder


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / FILE).read_text().splitlines()]


def without_time(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows(folder)]


def test_a_line_every_so_many_steps(evaluated: Path) -> None:
    found = rows(evaluated)
    assert [row["step"] for row in found] == [2, 4, 6]
    for row in found:
        assert list(row) == ["step", "seconds", "samples", "fid", "fid_ratio", "coverage"]
        assert row["samples"] == 1500  # all that digits has, of the 2,000 that are usual
        assert row["fid_ratio"] > 1
        assert 0 <= row["coverage"] <= 1


def test_the_last_step_is_evaluated_always(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    train(recipe(training__steps=5), tmp_path, evaluate_every=3)
    assert [row["step"] for row in rows(tmp_path)] == [3, 5]


def test_the_figures_are_those_of_the_weights_that_are_saved(evaluated: Path) -> None:
    model = genzoo.load(evaluated, device="cpu")
    ruler = Ruler(model, samples=1500)
    fid = ruler.fid(ruler.look_at(model))
    last = rows(evaluated)[-1]
    assert last["fid"] == pytest.approx(fid, rel=1e-5)
    assert last["fid_ratio"] == pytest.approx(fid / ruler.fid(ruler.floor), rel=1e-5)


def test_without_it_there_is_no_file(plain: Path) -> None:
    assert not (plain / FILE).exists()
    assert fid_ratio_by_step(plain) == {}
    assert json.loads((plain / "trained.json").read_text())["fid_ratio_by_step"] == {}


def test_it_changes_no_weight(plain: Path, evaluated: Path, state: State) -> None:
    one, other = state(plain), state(evaluated)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_a_resumed_run_writes_again_what_it_does_again(
    tmp_path: Path, recipe: Recipe, train: Train, evaluated: Path, state: State
) -> None:
    with pytest.raises(ZeroDivisionError):
        train(recipe(**SETTINGS), tmp_path, Crash(at=5), evaluate_every=2)
    assert [row["step"] for row in rows(tmp_path)] == [2, 4]
    for kept in (tmp_path / "checkpoints").iterdir():
        if kept.name != "step-00000003":  # so that step 4 comes again
            shutil.rmtree(kept)

    train(recipe(**SETTINGS), tmp_path, resume=True, evaluate_every=2)
    assert without_time(tmp_path) == without_time(evaluated)
    one, other = state(tmp_path), state(evaluated)
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert fid_ratio_by_step(tmp_path) == fid_ratio_by_step(evaluated)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that says what FIDs a run's evaluations will find, one after the other."""
    fid = Ruler.fid

    def score(*values: float) -> None:
        left = iter(values)

        def found(ruler: Ruler, sight: Sight) -> float:
            return fid(ruler, sight) if sight is ruler.floor else next(left)

        monkeypatch.setattr(Ruler, "fid", found)

    return score


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_the_best_is_kept_beside_the_newest(
    tmp_path: Path, recipe: Recipe, train: Train, scored: Callable[..., None]
) -> None:
    config = recipe(training__steps=8, training__checkpoint_every=3, training__keep=1)
    scored(9.0, 3.0, 5.0, 3.0)
    train(config, tmp_path, evaluate_every=2)
    assert kept(tmp_path) == ["step-00000004", "step-00000008"]
    assert best_step(tmp_path, 8) == 4
    assert best_step(tmp_path, 3) == 2
    best = genzoo.load(tmp_path / "checkpoints" / "step-00000004" / "weights.safetensors")
    assert not torch.equal(best.sample(2, seed=0), genzoo.load(tmp_path).sample(2, seed=0))


def test_a_resumed_run_keeps_the_best_of_before(
    tmp_path: Path, recipe: Recipe, train: Train, scored: Callable[..., None]
) -> None:
    """Evaluated or not."""
    short = {"training__checkpoint_every": 2, "training__keep": 1}
    constant = {"training__schedule": {"name": "constant"}}
    first = recipe(training__steps=4, **short, **constant)
    scored(3.0, 9.0)
    train(first, tmp_path, evaluate_every=2)
    train(recipe(training__steps=6, **short, **constant), tmp_path, resume=True)
    assert kept(tmp_path) == ["step-00000002", "step-00000006"]


def test_a_line_cut_short_by_a_kill_is_dropped(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    """By a run that goes on without evaluations, too."""
    with pytest.raises(ZeroDivisionError):
        train(recipe(**SETTINGS), tmp_path, Crash(at=5), evaluate_every=2)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"step": 5, "fid_ra')
    train(recipe(**SETTINGS), tmp_path, resume=True)
    record = json.loads((tmp_path / "trained.json").read_text())
    assert list(record["fid_ratio_by_step"]) == ["2", "4"]


def test_a_ratio_that_is_no_number_is_left_out(tmp_path: Path) -> None:
    lines = [{"step": 10, "fid_ratio": None}, {"step": 20, "fid_ratio": 1.23456}]
    (tmp_path / FILE).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert fid_ratio_by_step(tmp_path) == {20: 1.235}


def test_the_record_and_the_card_tell_how_it_went(evaluated: Path, tmp_path: Path) -> None:
    ratios = {row["step"]: float(f"{row['fid_ratio']:.4g}") for row in rows(evaluated)}
    assert fid_ratio_by_step(evaluated) == ratios
    record = json.loads((evaluated / "trained.json").read_text())
    assert record["fid_ratio_by_step"] == {str(step): ratio for step, ratio in ratios.items()}

    card = tmp_path / "card.yaml"
    card.write_text((evaluated / "config.yaml").read_text())
    publish(evaluated, card)
    trained = read_config(card).trained
    assert trained is not None
    assert trained.fid_ratio_by_step == ratios
    genzoo.load(card, device="cpu")


@pytest.mark.parametrize("every", [0, -5])
def test_every_is_1_or_more(every: int, tmp_path: Path, recipe: Recipe, train: Train) -> None:
    with pytest.raises(TrainingError, match=f"cannot evaluate every {every} steps") as raised:
        train(recipe(), tmp_path / "run", evaluate_every=every)
    assert raised.value.hint
    assert not (tmp_path / "run").exists()


def test_a_dataset_that_no_extractor_is_made_for_stops_it_before_the_first_step(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for i in range(20):
        genzoo.save_image(torch.rand(1, 1, 8, 8), images / f"{i}.png")
    config = recipe(
        classes=None, dataset__name="folder", dataset__config={"path": str(images)}, **SETTINGS
    )
    with pytest.raises(
        TrainingError, match="no extractor is made for the dataset 'folder'"
    ) as error:
        train(config, tmp_path / "run", evaluate_every=2)
    assert "--evaluate-every" in error.value.hint
    assert not (tmp_path / "run").exists()
    train(config, tmp_path / "run")


def test_a_file_that_cannot_be_written_stops_it_before_the_first_step(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(OutputError, match=r"evaluations\.jsonl"):
        train(recipe(**SETTINGS), tmp_path, evaluate_every=2)
    assert not list(tmp_path.glob("checkpoints/*"))
