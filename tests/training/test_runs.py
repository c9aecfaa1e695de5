"""What run folders tell, whatever state a stop, a kill or a person has left them in."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import genzoo
from genzoo.errors import UnknownNameError
from genzoo.registry.config import ZooConfig
from genzoo.training.callbacks import Callback, Run
from genzoo.training.run_folder import best, number, read_evaluations, read_lines
from genzoo.training.runs import find_runs, locate_run, status

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]
Stopped = dict[str, tuple[Path, str]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    settings = recipe(training__steps=6, training__log_every=2, training__checkpoint_every=3)
    genzoo.train(settings, folder, device="cpu", progress=False)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, which a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_a_finished_run_says_how_far_how_long_and_on_what(run: Path) -> None:
    found, trained = status(run), json.loads((run / "trained.json").read_text())
    assert (found.state, found.step, found.config and found.config.name) == (
        *("finished", 6),
        "tiny-mlp-gan",
    )
    assert (found.seconds, found.machines) == (trained["seconds"], (trained["machine"],))
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert found.losses == {p: last[f"{p}/loss"] for p in ("discriminator", "generator")}
    assert found.figures["images_per_second"] == last["images_per_second"]
    assert (found.last, found.best) == (None, None)


def test_a_stopped_run_stands_where_it_goes_on_from(stopped: Stopped) -> None:
    killed, interrupted = (status(stopped[name][0]) for name in ("killed-mlp-gan", "interrupted"))
    assert (killed.state, killed.step) == ("stopped", 10)  # of 13: the others are lost
    assert killed.lost == 2  # as far as its lines tell, of which one comes every four steps
    rows = {row["step"]: row for row in read_lines(stopped["killed-mlp-gan"][0] / "metrics.jsonl")}
    assert set(rows) == {4, 8, 12}
    assert killed.losses["generator"] == rows[8]["generator/loss"]
    assert (interrupted.state, interrupted.step) == ("stopped", 13)
    assert interrupted.seconds > 0
    assert interrupted.machines


def test_a_run_at_work_is_running_as_far_as_its_last_figures(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    class Look(Callback):
        def on_figures(self, run: Run, figures: Mapping[str, float]) -> None:
            self.seen = status(run.folder)

    look = Look()
    config = recipe(training__steps=5, training__log_every=4, training__checkpoint_every=2)
    train(config, tmp_path, look)
    assert (look.seen.state, look.seen.step) == ("running", 5)
    assert status(tmp_path).state == "finished"


def test_a_run_that_has_saved_nothing_is_new(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / "trained.json").unlink()
    (run / "evaluations.jsonl").write_text('{"step": 2, "fid": 3.0}\n')
    found = status(run)
    assert (found.state, found.step, found.seconds) == ("new", 0, 0)
    assert (found.lost, found.figures, found.last, found.best) == (6, {}, None, None)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("config.yaml", "name: [", "not valid YAML"),
        ("config.yaml", "name: x\n", "training"),
        ("config.yaml", "", "found nothing"),
        ("trained.json", "{", "trained.json"),
        ("trained.json", '{"steps": "six"}', "steps"),
    ],
)
def test_what_cannot_be_read_is_damaged_and_no_error(
    run: Path, file: str, text: str, says: str
) -> None:
    (run / file).write_text(text)
    found = status(run)
    assert found.state == "damaged"
    assert says in found.problem
    assert found.to_dict()["problem"] == found.problem


def test_a_line_that_a_kill_cut_short_is_passed_over(run: Path) -> None:
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        with (run / name).open("a") as file:
            file.write('{"step": 6, "fi')
    assert status(run).state == "finished"
    assert [row["step"] for row in read_lines(run / "metrics.jsonl")] == [2, 4, 6]
    assert read_lines(run / "no-such-file") == []


def test_a_damaged_checkpoint_counts_as_none(run: Path) -> None:
    (run / "trained.json").unlink()
    (run / "checkpoints" / "step-00000006" / "position.json").write_text("{")
    found = status(run)
    assert (found.state, found.step) == ("stopped", 3)
    (run / "checkpoints" / "step-00000003" / "position.json").unlink()
    found = status(run)
    assert found.state == "damaged"
    assert "step-00000006/position.json cannot be read" in found.problem


def test_the_best_evaluation_is_the_one_with_the_lowest_fid(run: Path) -> None:
    rows = [{"step": 2, "fid": 3.0}, {"step": 3, "fid": 1.5}, {"step": 4, "fid": None}]
    rows.append({"step": 6, "fid": 2.0})
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (run / "evaluations.jsonl").write_text(text)
    found = status(run)
    assert found.best is not None
    assert found.last is not None
    assert (found.best.step, found.best.fid) == (3, 1.5)
    assert (found.last.step, found.last.fid) == (6, 2.0)


def test_a_figure_that_comes_seldom_keeps_its_last_value(run: Path) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "seconds": 1.0, "discriminator/loss": 0.25, "x": null}\n')
    found = status(run)
    assert found.losses["discriminator"] == 0.25
    assert "generator" in found.losses
    assert "x" not in found.figures


def test_of_a_long_file_only_the_end_is_read(run: Path) -> None:
    line = json.dumps({"step": 1, "seconds": 0.0, "generator/loss": 1.0})
    last = json.dumps({"step": 6, "seconds": 0.0, "generator/loss": 2.0})
    (run / "metrics.jsonl").write_text(f"{line}\n" * 50_000 + f"{last}\n")
    assert status(run).losses == {"generator": 2.0}


def test_lines_that_are_lost_may_be_more_than_the_end(run: Path) -> None:
    (run / "trained.json").unlink()
    saved = json.dumps({"step": 6, "seconds": 0.0, "generator/loss": 1.0})
    lost = (json.dumps({"step": step, "generator/loss": 2.0}) for step in range(7, 20_000))
    (run / "metrics.jsonl").write_text("\n".join([saved, *lost]))
    found = status(run)
    assert (found.step, found.lost, found.losses) == (6, 19_993, {"generator": 1.0})


def test_a_number_that_json_has_not_is_none(tmp_path: Path) -> None:
    values = [*("1", "2.5", "-3e2", "NaN", "-Infinity", "1e999", '"4"', "true", "null", "[5]")]
    values.append("1" + 30 * "0")
    text = "".join(f'{{"step": {step}, "x": {value}}}\n' for step, value in enumerate(values))
    (tmp_path / "lines").write_text(text)
    found = [number(row, "x") for row in read_lines(tmp_path / "lines")]
    assert found == [1.0, 2.5, -300.0, *[None] * 7, 1e30]


def test_the_best_of_equals_is_the_first(tmp_path: Path) -> None:
    rows = [{"step": 2, "fid": 3.0}, {"step": 4, "fid": 1.5}, {"step": 6, "fid": 1.5}]
    (tmp_path / "evaluations.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    steps = [(found := best(read_evaluations(tmp_path, done))) and found.step for done in (1, 3, 9)]
    assert steps == [None, 2, 4]


def test_runs_are_found_three_levels_down_newest_first(finished: Path, tmp_path: Path) -> None:
    places = ["a", "sweep/b", "sweep/inner/c", "too/deep/for/d", ".hidden/e"]
    for age, place in enumerate(places, start=1):
        shutil.copytree(finished, tmp_path / place)
        os.utime(tmp_path / place / "metrics.jsonl", (age, age))
    found = find_runs(tmp_path)
    assert [run.folder.relative_to(tmp_path).as_posix() for run in found] == places[2::-1]
    assert [run.folder for run in find_runs(tmp_path / "a")] == [tmp_path / "a"]
    assert find_runs(tmp_path / "too" / "deep" / "for" / "d" / "previews") == []


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no folder") as raised:
        find_runs(tmp_path / "none")
    assert "genzoo train" in raised.value.hint


def test_a_run_is_named_by_its_folder_or_its_place_among_runs(run: Path) -> None:
    assert locate_run(str(run)) == run
    assert locate_run("run", run.parent) == run
    with pytest.raises(UnknownNameError) as raised:
        locate_run("runn", run.parent)
    assert "'run'" in raised.value.hint


def test_values_for_programs_are_plain(run: Path) -> None:
    plain: dict[str, Any] = json.loads(json.dumps(status(run).to_dict(), allow_nan=False))
    assert (plain["state"], plain["step"], plain["steps"]) == ("finished", 6, 6)
    assert plain["updated"].endswith("+00:00")
