"""What a run shows and writes while it goes."""

from __future__ import annotations

import io
import json
import math
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageSequence
from rich.console import Console

import genzoo
from genzoo.errors import OutputError
from genzoo.registry.config import ZooConfig
from genzoo.training.callbacks import Callback, MetricsFile, ProgressBar, Run
from genzoo.training.interrupt import Interrupted

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]
Stopped = dict[str, tuple[Path, str]]


class Record(Callback):
    """Keeps every call, and optionally raises or interrupts after a step."""

    def __init__(self, *, fail_at: int = 0, interrupt_at: int = 0) -> None:
        self.calls: list[str] = []
        self.fail_at = fail_at
        self.interrupt_at = interrupt_at

    def on_start(self, run: Run) -> None:
        self.calls.append(f"start {run.step}/{run.steps}")

    def on_step(self, run: Run) -> None:
        self.calls.append(f"step {run.step}")
        if run.step == self.fail_at:
            raise ZeroDivisionError
        if run.step == self.interrupt_at:
            signal.raise_signal(signal.SIGINT)

    def on_figures(self, run: Run, figures: Mapping[str, float]) -> None:
        self.calls.append(f"figures {run.step}")

    def on_checkpoint(self, run: Run, folder: Path) -> None:
        assert (folder / "position.json").is_file()
        self.calls.append(f"checkpoint {run.step} {folder.name}")

    def on_end(self, run: Run) -> None:
        self.calls.append(f"end {run.step}")


SMALL = {"training__steps": 5, "training__log_every": 2, "training__checkpoint_every": 3}


def test_callbacks_are_called_in_order(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    record = Record()
    train(recipe(**SMALL), tmp_path, record)
    assert record.calls == [
        "start 0/5",
        "step 1",
        "figures 2",
        "step 2",
        "step 3",
        "checkpoint 3 step-00000003",
        "figures 4",
        "step 4",
        "figures 5",
        "step 5",
        "checkpoint 5 step-00000005",
        "end 5",
    ]


def test_a_checkpoint_on_the_last_step_is_told_once(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    record = Record()
    train(recipe(training__steps=4, training__checkpoint_every=2), tmp_path, record)
    told = [call for call in record.calls if call.startswith("checkpoint")]
    assert told == ["checkpoint 2 step-00000002", "checkpoint 4 step-00000004"]


def test_callbacks_of_a_resumed_run_start_where_it_stands(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    first, second = Record(interrupt_at=2), Record()
    with pytest.raises(Interrupted):
        train(recipe(**SMALL), tmp_path, first)
    assert first.calls[-2:] == ["checkpoint 2 step-00000002", "end 2"]
    train(recipe(**SMALL), tmp_path, second, resume=True)
    assert second.calls[:2] == ["start 2/5", "step 3"]


def test_all_are_told_the_end_when_a_step_raises(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    before, after = Record(), Record()
    with pytest.raises(ZeroDivisionError):
        train(recipe(), tmp_path, before, Record(fail_at=2), after)
    assert before.calls[-2:] == ["step 2", "end 2"]
    assert after.calls[-1] == "end 2"


def test_all_are_told_the_end_when_a_start_raises(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    class Fail(Callback):
        def on_start(self, run: Run) -> None:
            raise ZeroDivisionError

    record = Record()
    with pytest.raises(ZeroDivisionError):
        train(recipe(), tmp_path, record, Fail())
    assert record.calls == ["start 0/20", "end 0"]


@pytest.mark.usefixtures("toy")
def test_the_callbacks_of_plugins_are_called(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    train(recipe(training__steps=2), tmp_path / "run")
    assert (tmp_path / "run" / "note.txt").read_text() == "2 of 2"


def test_speed_is_images_a_second(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    class Slow(Callback):
        def __init__(self) -> None:
            self.times: list[float] = []
            self.speeds: list[float] = []

        def on_step(self, run: Run) -> None:
            time.sleep(0.02)

        def on_figures(self, run: Run, figures: Mapping[str, float]) -> None:
            self.times.append(time.perf_counter())
            self.speeds.append(run.speed)

    slow = Slow()
    config = recipe(training__steps=12, training__log_every=4, training__preview_every=100)
    start = time.perf_counter()
    train(config, tmp_path, slow)
    whole = time.perf_counter() - start
    assert slow.speeds[1] == pytest.approx(4 * 8 / (slow.times[1] - slow.times[0]), rel=0.3)
    assert max(slow.speeds[1:]) <= 8 / 0.02
    assert 12 * 0.02 <= rows(tmp_path)[-1]["seconds"] <= whole


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_metrics_have_a_line_each_time_figures_come(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    train(recipe(**SMALL), tmp_path)
    found = rows(tmp_path)
    assert [row["step"] for row in found] == [2, 4, 5]
    for row in found:
        assert list(row)[:3] == ["step", "seconds", "images_per_second"]
        assert {"discriminator/loss", "discriminator/r1", "generator/loss"} < row.keys()
        assert all(math.isfinite(value) for value in row.values())


def test_figures_are_means_over_the_steps_since_the_last(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    settings = {"training__steps": 6, "objective__config__discriminator_steps": 2}
    train(recipe(**settings, training__log_every=1), tmp_path / "each")
    train(recipe(**settings, training__log_every=3), tmp_path / "thirds")
    each, thirds = (rows(tmp_path / name) for name in ("each", "thirds"))
    for name in ("discriminator/loss", "generator/loss"):  # the generator's on every other step
        for part, third in ((each[:3], thirds[0]), (each[3:], thirds[1])):
            values = [row[name] for row in part if name in row]
            assert third[name] == pytest.approx(sum(values) / len(values), rel=1e-5)
    assert ["generator/loss" in row for row in each] == [False, True] * 3


def test_a_figure_that_is_no_number_is_null(tmp_path: Path, recipe: Recipe) -> None:
    run = Run(recipe(), tmp_path, genzoo.create("mlp-gan", (1, 8, 8)))
    metrics = MetricsFile()
    metrics.on_start(run)
    metrics.on_figures(run, {"a": math.nan, "b": -math.inf, "c": 1.5})
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert [json.loads(text)[name] for name in "abc"] == [None, None, 1.5]


def test_a_metrics_file_that_cannot_be_written_stops_the_run_before_its_first_step(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    record = Record()
    with pytest.raises(OutputError, match=r"metrics\.jsonl"):
        train(recipe(), tmp_path, record)
    assert not any(call.startswith("step") for call in record.calls)


def test_a_metrics_file_that_fails_later_is_an_output_error(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    class Replace(Callback):
        def on_start(self, run: Run) -> None:
            (run.folder / "metrics.jsonl").unlink()
            (run.folder / "metrics.jsonl").mkdir()

    with pytest.raises(OutputError, match=r"cannot write .*metrics\.jsonl") as raised:
        train(recipe(), tmp_path, Replace())
    assert raised.value.hint


def test_previews_are_written_at_the_start_on_the_way_and_at_the_end(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    train(recipe(training__steps=5, training__preview_every=2), tmp_path)
    files = sorted(tmp_path.glob("previews/*"))
    assert [f.name for f in files] == [f"step-{s:08d}.png" for s in (0, 2, 4, 5)]
    assert len({file.read_bytes() for file in files}) == 4
    for file, step in zip(files, (0, 2, 4, 5), strict=True):
        with Image.open(file) as picture:
            assert picture.info["step"] == str(step)
            assert picture.info["model"] == "tiny-mlp-gan"


def test_an_animation_shows_the_previews_one_after_the_other(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    train(recipe(training__steps=5, training__preview_every=2), tmp_path)
    with Image.open(tmp_path / "previews.gif") as film:
        assert film.info["loop"] == 0
        assert b"model: tiny-mlp-gan; step: 5; seed: 0" in film.info["comment"]
        frames = [(f.info["duration"], f.convert("RGB")) for f in ImageSequence.Iterator(film)]
    assert [duration for duration, _ in frames] == [100, 100, 100, 2000]
    for (_, frame), file in zip(frames, sorted(tmp_path.glob("previews/*")), strict=True):
        with Image.open(file) as picture:
            assert frame.tobytes() == picture.tobytes()


def test_a_run_that_stops_has_an_animation_and_one_that_goes_on_a_longer_one(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    config = recipe(training__steps=6, training__preview_every=2)
    with pytest.raises(Interrupted):
        train(config, tmp_path, Record(interrupt_at=2))
    lengths = []
    for resume in (False, True):
        if resume:
            train(config, tmp_path, resume=True)
        with Image.open(tmp_path / "previews.gif") as film:
            lengths.append(film.n_frames)  # type: ignore[attr-defined]
    assert lengths == [2, 4]


def test_a_preview_that_cannot_be_read_costs_the_animation_and_not_the_run(
    tmp_path: Path, recipe: Recipe, train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    class Spoil(Callback):
        def on_step(self, run: Run) -> None:
            (run.folder / "previews" / "step-00000000.png").write_text("no picture")

    train(recipe(training__steps=2, training__preview_every=2), tmp_path, Spoil())
    assert (tmp_path / "trained.json").is_file()
    assert not (tmp_path / "previews.gif").exists()
    assert "step-00000000.png" in capfd.readouterr().err


def test_a_preview_is_drawn_once_a_step_for_all_who_look(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    class Twice(Callback):
        def on_step(self, run: Run) -> None:
            self.same = run.preview() is run.preview()
            self.changed = getattr(self, "last", None) is not run.preview()
            self.last = run.preview()

    twice = Twice()
    train(recipe(training__steps=3), tmp_path, twice)
    assert twice.same
    assert twice.changed


@pytest.mark.parametrize(("classes", "columns"), [(10, 10), (None, 8)])
def test_a_preview_shows_a_column_for_each_class(
    classes: int | None, columns: int, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    train(recipe(training__steps=1, classes=classes), tmp_path)
    with Image.open(tmp_path / "previews" / "step-00000001.png") as picture:
        # Images of 8 pixels with 2 between and around, 8 rows, each pixel enlarged alike.
        assert picture.width / picture.height == pytest.approx((10 * columns + 2) / 82)


def test_previews_always_show_the_same_noise(
    tmp_path: Path, stopped: Stopped, recipe: Recipe, train: Train
) -> None:
    train(recipe(), tmp_path)
    name = Path("previews") / "step-00000010.png"
    assert (tmp_path / name).read_bytes() == (stopped["killed-mlp-gan"][0] / name).read_bytes()


def test_without_a_terminal_progress_is_plain_lines(
    tmp_path: Path, recipe: Recipe, train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    train(recipe(**SMALL), tmp_path, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    first, *_, last = err.splitlines()
    assert first.startswith("tiny-mlp-gan 2/5 discriminator/loss ")
    assert " images/s " in first
    assert last.startswith("tiny-mlp-gan 5/5 ")
    assert last.endswith(" 0 s left")
    assert "\x1b" not in err


def test_plain_lines_are_seconds_apart(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    text = io.StringIO()
    train(recipe(**SMALL), tmp_path, ProgressBar(Console(file=text)))
    assert [line.split()[1] for line in text.getvalue().splitlines()] == ["2/5", "5/5"]


def test_on_a_terminal_progress_is_a_bar(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=200)
    train(recipe(**SMALL), tmp_path, ProgressBar(console))
    lines = text.getvalue().splitlines()
    bar = next(line for line in reversed(lines) if "5/5" in line)
    assert "tiny-mlp-gan" in bar
    assert "images/s" in bar
    losses = next(line for line in reversed(lines) if "generator/loss" in line)
    assert "discriminator/loss" in losses
