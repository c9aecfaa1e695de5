"""Alarms: which faults raise them, for how long those must last, and that no sound run has one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import genzoo
from genzoo.data.fitting import ImageDataset, TensorImages
from genzoo.data.folder import FolderImages
from genzoo.registry.config import ZooConfig, read_config
from genzoo.registry.specs import ImageSpec
from genzoo.training import alarms
from genzoo.training.alarms import FIGURES, STEPS, Alarms
from genzoo.training.callbacks import Callback, MetricsFile, Run
from genzoo.training.run_folder import read_lines

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]

ACCURACY, NORM = "discriminator/accuracy", "generator/grad_norm"
TWO_WINDOWS = range(50, 2 * STEPS + 1, 50)


def told(folder: Path) -> list[tuple[int, str, str]]:
    """Return step, alarm and state of each line that a run has in alarms.jsonl."""
    path = folder / "alarms.jsonl"
    rows = map(json.loads, path.read_text().splitlines() if path.exists() else [])
    return [(row["step"], row["alarm"], row["state"]) for row in rows]


@pytest.fixture
def run(tmp_path: Path, recipe: Recipe) -> Run:
    return Run(recipe(), tmp_path, genzoo.create("mlp-gan", (1, 8, 8)))


@pytest.fixture
def watched(run: Run) -> Callable[..., list[tuple[int, str, str]]]:
    """Return a function that tells alarms the values of a figure at steps, and what they raise."""
    watch = Alarms()
    watch.on_start(run)

    def tell(figure: str, steps: Iterable[int], value: Callable[[int], float] | float) -> Any:
        for step in steps:
            run.step = step
            watch.on_figures(run, {figure: value(step) if callable(value) else value})
        return told(run.folder)

    return tell


@pytest.mark.parametrize(
    ("accuracy", "alarm"),
    [
        (lambda step: 1.0, "discriminator-wins"),
        (lambda step: 0.997 + 0.003 * (-1) ** step, "discriminator-wins"),
        (lambda step: 0.99, None),
        (lambda step: 0.75, None),
        # In equilibrium it guesses: right or wrong by chance, as is every mean of so many pairs.
        (lambda step: 0.5 + 0.01 * math.sin(step), None),
        (lambda step: 0.5, "discriminator-loses"),  # all logits are the same
        (lambda step: 0.4, "discriminator-loses"),
        (lambda step: 0.0, "discriminator-loses"),
    ],
)
def test_a_discriminator_that_ranks_all_or_nothing_rightly_raises_an_alarm(
    watched: Any, accuracy: Callable[[int], float], alarm: str | None
) -> None:
    found = watched(ACCURACY, TWO_WINDOWS, accuracy)
    assert found == ([(2 * STEPS, alarm, "raised")] if alarm else [])


def test_a_discriminator_may_win_for_the_first_steps_and_now_and_then(watched: Any) -> None:
    young = lambda step: 1.0 if step <= STEPS else 0.9  # noqa: E731
    assert watched(ACCURACY, TWO_WINDOWS, young) == []
    blips = lambda step: 0.8 if step % STEPS == 0 else 1.0  # noqa: E731
    assert watched(ACCURACY, range(2 * STEPS + 50, 6 * STEPS, 50), blips) == []


def test_a_window_has_enough_steps_and_enough_lines(watched: Any, run: Run) -> None:
    assert watched(ACCURACY, range(1, 2 * STEPS), 1.0) == []  # many lines, too few steps
    assert len(watched(ACCURACY, [2 * STEPS], 1.0)) == 1


def test_where_lines_are_far_apart_a_window_has_as_many(watched: Any) -> None:
    every = STEPS // 2
    steps = [STEPS + every * line for line in range(1, FIGURES + 1)]
    assert watched(ACCURACY, steps[:-1], 1.0) == []
    assert watched(ACCURACY, steps[-1:], 1.0) == [(steps[-1], "discriminator-wins", "raised")]


def test_an_alarm_is_raised_once_until_what_it_is_about_is_over(
    watched: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    found = watched(ACCURACY, range(50, 4 * STEPS, 50), 1.0)
    assert len(found) == 1
    found = watched(ACCURACY, range(4 * STEPS, 6 * STEPS, 50), 0.8)
    assert [(alarm, state) for _, alarm, state in found[1:]] == [("discriminator-wins", "over")]
    found = watched(ACCURACY, range(6 * STEPS, 8 * STEPS, 50), 1.0)
    assert [state for _, _, state in found] == ["raised", "over", "raised"]
    message = capsys.readouterr().err
    assert message.count("genzoo: step ") == 2
    assert "the discriminator wins: over the last 1,000 steps it ranked 100.0%" in message
    assert "objective.config.penalties.r1" in message


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        (lambda step: 1.0 if step <= STEPS else 1e-5, ["gradients-vanish/generator"]),
        (lambda step: 1.0 if step <= STEPS else 1e3, ["gradients-explode/generator"]),
        (lambda step: 0.0, ["gradients-vanish/generator"]),  # dead from the first step on
        (lambda step: 1e-5, []),  # as small as it has always been
        (lambda step: 1e3 * math.exp(-step / STEPS), []),
        (lambda step: math.nan if step % 100 else 1.0, []),
    ],
)
def test_gradients_are_compared_with_those_of_the_same_phase_before(
    watched: Any, norm: Callable[[int], float], expected: list[str]
) -> None:
    found = watched(NORM, range(50, 3 * STEPS + 1, 50), norm)
    assert [alarm for _, alarm, _ in found] == expected


def test_what_an_alarm_is_about_never_becomes_what_is_usual(watched: Any) -> None:
    vanished = lambda step: 1.0 if step <= STEPS else 1e-5  # noqa: E731
    assert len(watched(NORM, range(50, 20 * STEPS, 50), vanished)) == 1


def test_a_resumed_run_repeats_no_alarm_and_forgets_none(run: Run) -> None:
    def session(steps: Iterable[int], accuracy: float) -> None:
        metrics, watch = MetricsFile(), Alarms()
        for callback in (metrics, watch):
            callback.on_start(run)
        for step in steps:
            run.step = step
            for callback in (metrics, watch):
                callback.on_figures(run, {ACCURACY: accuracy})

    session(range(50, 2 * STEPS - 100, 50), 1.0)
    assert told(run.folder) == []
    session(range(2 * STEPS - 100, 3 * STEPS, 50), 1.0)  # the window began in the session before
    raised = [(2 * STEPS, "discriminator-wins", "raised")]
    assert told(run.folder) == raised
    session(range(3 * STEPS, 4 * STEPS, 50), 1.0)
    assert told(run.folder) == raised
    session(range(4 * STEPS, 4 * STEPS + 500, 50), 0.5)
    assert [state for _, _, state in told(run.folder)] == ["raised", "over"]
    run.step = 2 * STEPS - 50  # from a checkpoint before the alarm
    session(range(2 * STEPS, 3 * STEPS, 50), 1.0)
    assert told(run.folder) == raised


def adam(lr: float) -> dict[str, Any]:
    return {"name": "adam", "lr": lr}


WINDOW = 100  # steps, for real runs: a tenth of what it is, so that they are short
BROKEN: dict[str, dict[str, Any]] = {
    "discriminator-wins": {
        "training__optimizers": {"discriminator": adam(1e-2), "generator": adam(1e-7)}
    },
    "discriminator-loses": {
        "training__optimizers": {"discriminator": adam(1e-7), "generator": adam(1e-2)}
    },
    "samples-alike": {"training__optimizers": {"generator": adam(1.0)}},
    "gradients-vanish/generator": {
        "objective__config": {"loss": "wasserstein"},
        "training__optimizer": adam(0.1),
    },
    "gradients-explode/discriminator": {
        "objective__config": {"loss": "wasserstein"},
        "architecture__config__discriminator_widths": [16] * 5,
        "training__optimizers": {"discriminator": adam(1e-3), "generator": adam(1e-5)},
    },
}
LENGTH = {
    "training__steps": 260,
    "training__batch_size": 16,
    "training__log_every": 5,
    "training__preview_every": 50,
    "training__checkpoint_every": 260,
    "training__schedule": {"name": "constant"},
}


@pytest.mark.parametrize("alarm", BROKEN)
def test_a_run_that_is_broken_on_purpose_raises_the_alarm_for_it(
    alarm: str,
    tmp_path: Path,
    recipe: Recipe,
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(alarms, "STEPS", WINDOW)
    train(recipe(**LENGTH, **BROKEN[alarm]), tmp_path)
    assert alarm in {name for _, name, state in told(tmp_path) if state == "raised"}
    message = capfd.readouterr().err
    assert "training." in message
    assert "without it" not in message


class Preempted(Callback):
    """Ends a session as soon as a checkpoint is written."""

    def on_checkpoint(self, run: Run, folder: Path) -> None:
        raise ZeroDivisionError


def test_samples_that_are_alike_are_told_of_in_a_run_that_is_stopped_after_every_preview(
    tmp_path: Path, recipe: Recipe, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "STEPS", WINDOW)
    config = recipe(
        **{**LENGTH, "training__checkpoint_every": 50, "training__steps": 250},
        **BROKEN["samples-alike"],
    )
    train(config, tmp_path / "whole", without=["previews"])
    for _ in range(250 // 50):
        with pytest.raises(ZeroDivisionError):
            train(config, tmp_path / "cut", Preempted(), resume=True, without=["previews"])
    assert "samples-alike" in {alarm for _, alarm, _ in told(tmp_path / "whole")}
    assert told(tmp_path / "cut") == told(tmp_path / "whole")
    ratios = [
        [(row["step"], row["class"], row["ratio"]) for row in read_lines(path / "variety.jsonl")]
        for path in (tmp_path / "cut", tmp_path / "whole")
    ]
    assert [step for step, _, _ in ratios[0]] == list(range(WINDOW, 251, 50))
    assert ratios[0] == ratios[1]


@pytest.fixture
def collapsed(
    tmp_path: Path, recipe: Recipe
) -> Callable[[ImageDataset], list[tuple[int, str, str]]]:
    """Return a function that tells what alarms a model raises that draws one image and no other."""

    def tell(dataset: ImageDataset) -> list[tuple[int, str, str]]:
        model = genzoo.create("mlp-gan", (1, 8, 8), classes=200)
        for parameter in model.parameters():
            torch.nn.init.zeros_(parameter)
        run = Run(recipe(classes=200), tmp_path, model, dataset=dataset)
        watch = Alarms()
        watch.on_start(run)
        for run.step in range(STEPS, 2 * STEPS + 1, STEPS // 2):
            watch.on_step(run)
        return told(tmp_path)

    return tell


RAISED = [(2 * STEPS, "samples-alike", "raised")]


def test_of_many_classes_enough_images_are_looked_for(collapsed: Any) -> None:
    labels = torch.arange(6000) % 200  # so that a thousand hold five of each
    pixels = torch.randint(256, (6000, 1, 8, 8), dtype=torch.uint8)
    spec = ImageSpec(1, 8, 8, 200)
    assert collapsed(TensorImages(pixels, labels, spec, ("",) * 200)) == RAISED


def test_of_many_files_those_of_the_classes_that_are_shown_are_decoded(
    collapsed: Any, tmp_path: Path
) -> None:
    for place in range(8):
        genzoo.save_image(torch.rand(1, 1, 8, 8), tmp_path / f"{place}.png")
    shown = [(str(tmp_path / f"{place}.png"), label) for place in range(8) for label in range(10)]
    others = [(str(tmp_path / "none.png"), 10 + place % 190) for place in range(3000)]
    files, labels = zip(*shown, *others, strict=True)
    spec = ImageSpec(1, 8, 8, 200)
    assert collapsed(FolderImages(files, labels, spec, ("",) * 200, "crop")) == RAISED


def test_classes_with_too_few_images_are_not_judged(collapsed: Any) -> None:
    labels = torch.arange(1000) % 200
    pixels = torch.randint(256, (1000, 1, 8, 8), dtype=torch.uint8)
    assert collapsed(TensorImages(pixels, labels, ImageSpec(1, 8, 8, 200), ("",) * 200)) == []


@pytest.mark.parametrize(
    "line", ['{"step": 4}', '{"step": 4, "alarm": ["x"]}', '{"step": "4"}', "3"]
)
def test_a_line_that_no_run_writes_takes_no_alarm_away(
    line: str, tmp_path: Path, recipe: Recipe, train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    config = recipe(training__schedule={"name": "constant"}, training__steps=4)
    train(config, tmp_path)
    for name in ("alarms.jsonl", "variety.jsonl", "metrics.jsonl", "evaluations.jsonl"):
        with (tmp_path / name).open("ab") as file:
            file.write(f"{line}\n".encode() + b"\xff")
    train(config, tmp_path, resume=True, **{"training.steps": 8})
    assert "without it" not in capfd.readouterr().err
    assert [row["step"] for row in read_lines(tmp_path / "metrics.jsonl")][-1] == 8


def test_a_sound_run_raises_none_and_learns_the_same_as_without_them(
    tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "STEPS", WINDOW)
    zoo = Path(__file__).resolve().parents[2] / "zoo_configs" / "mlp-gan-digits.yaml"
    length = {key.replace("__", "."): value for key, value in LENGTH.items()}
    config = read_config(zoo, {**length, "training.batch_size": 64})
    for name, without in (("with", ()), ("without", ("alarms", "previews"))):
        train(config, tmp_path / name, without=without)
    assert told(tmp_path / "with") == []
    weights = [load_file(tmp_path / n / "weights.safetensors") for n in ("with", "without")]
    assert all(weights[0][key].equal(weights[1][key]) for key in weights[0])


def test_a_model_without_classes_is_compared_as_a_whole(
    tmp_path: Path, recipe: Recipe, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "STEPS", WINDOW)
    stuck = {"training__optimizers": {"generator": adam(1.0)}}
    train(recipe(**LENGTH, **stuck, classes=None), tmp_path)
    messages = [json.loads(line)["message"] for line in (tmp_path / "alarms.jsonl").open()]
    assert any(message and message.startswith("samples are alike") for message in messages)


def test_a_variational_model_is_told_of_its_own_remedies(
    tmp_path: Path, recipe: Recipe, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "STEPS", WINDOW)
    collapsed = {"objective__config": {"beta": 1000.0}, "training__optimizer": adam(1e-3)}
    train(recipe("vae", **LENGTH, **collapsed), tmp_path)
    (message,) = (json.loads(line)["message"] for line in (tmp_path / "alarms.jsonl").open())
    assert "are alike" in message
    assert "objective.config.beta" in message


def test_a_run_of_some_steps_raises_none(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    train(recipe(training__log_every=1, training__preview_every=1), tmp_path)
    assert not (tmp_path / "alarms.jsonl").exists()
