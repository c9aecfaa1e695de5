"""A run that stops, however it stops, goes on as if it never had."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import genzoo
from genzoo.registry.config import ZooConfig
from genzoo.training.callbacks import Callback, Run
from genzoo.training.interrupt import Interrupted

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]
State = Callable[[Path], dict[str, Tensor]]
Stopped = dict[str, tuple[Path, str]]
Copied = Callable[[str], Path]


class Interrupt(Callback):
    """Sends this process SIGINT after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, run: Run) -> None:
        if run.step == self.step:
            signal.raise_signal(signal.SIGINT)


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    different = [name for name, tensor in first.items() if not torch.equal(tensor, second[name])]
    assert different == []


@pytest.mark.parametrize(
    "architecture", ["mlp-gan", "dcgan", "vae", "pixel-transformer", "transformer-gan"]
)
def test_killed_and_resumed_gives_the_bits_of_a_run_that_was_not(
    architecture: str,
    tmp_path: Path,
    stopped: Stopped,
    copied: Copied,
    recipe: Recipe,
    train: Train,
    state: State,
) -> None:
    name = f"killed-{architecture}"
    assert stopped[name][1] == f"signal {signal.SIGKILL.value}"
    assert [p.name for p in stopped[name][0].glob("checkpoints/*")] == ["step-00000010"]
    train(recipe(architecture), copied(name), resume=True)
    train(recipe(architecture), tmp_path / "straight")
    assert_same(state(tmp_path / name), state(tmp_path / "straight"))
    weights = [tmp_path / folder / "weights.safetensors" for folder in (name, "straight")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.parametrize("name", ["interrupted", "terminated"])
def test_interrupted_and_resumed_gives_the_bits_of_a_run_that_was_not(
    name: str,
    tmp_path: Path,
    copied: Copied,
    recipe: Recipe,
    train: Train,
    state: State,
) -> None:
    train(recipe(), copied(name), resume=True)
    train(recipe(), tmp_path / "straight")
    assert_same(state(tmp_path / name), state(tmp_path / "straight"))


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("mlp-gan", {"training__optimizer": {"name": "adamw", "weight_decay": 0.1}}),
    ("mlp-gan", {"training__optimizer": {"name": "rmsprop", "momentum": 0.5}}),
    ("mlp-gan", {"training__optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}}),
    ("mlp-gan", {"training__optimizer": {"name": "sgd"}}),
    ("mlp-gan", {"training__optimizers": {"generator": {"name": "rmsprop"}}}),
    ("mlp-gan", {"training__ema": None}),
    ("dcgan", {"training__ema": None}),
    ("mlp-gan", {"training__precision": "bf16"}),
    ("mlp-gan", {"objective__config__discriminator_steps": 3}),
    ("dcgan", {"objective__config__spectral_norm": "both"}),
    ("mlp-gan", {"objective__config__discriminators": 2, "training__precision": "bf16"}),
    (
        "mlp-gan",
        {
            "objective__config__instance_noise": 0.1,
            "objective__config__instance_noise_steps": 6,
            "objective__config__augmentation__colour": 1.0,
        },
    ),
    ("mlp-gan", {"architecture__config__dropout": 0.5}),
    ("mlp-gan", {"classes": None}),
    ("mlp-gan", {"training__seed": 2**63 - 1, "training__clip_norm": 0.1}),
    ("toy", {"objective__config__every": 2}),
    ("mlp-gan", {"training__precision": "fp16"}),
    ("dcgan", {"training__channels_last": True, "training__ema": None}),
    ("mlp-gan", {"training__accumulate": 4, "training__clip_value": 1e-3}),
    ("mlp-gan", {"training__resets": [{"role": "generator", "every": 3}]}),
    (
        "mlp-gan",
        {
            "training__resets": [{"role": "discriminator", "every": 6, "what": "optimizer"}],
            "training__pauses": [{"phase": "discriminator", "start": 2, "stop": 6}],
        },
    ),
]


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(("architecture", "settings"), VARIANTS)
def test_every_setting_resumes_exactly(
    architecture: str,
    settings: dict[str, Any],
    tmp_path: Path,
    recipe: Recipe,
    train: Train,
    state: State,
) -> None:
    config = recipe(architecture, training__steps=8, **settings)
    with pytest.raises(Interrupted):
        train(config, tmp_path / "resumed", Interrupt(5))
    train(config, tmp_path / "resumed", resume=True)
    train(config, tmp_path / "straight")
    assert_same(state(tmp_path / "resumed"), state(tmp_path / "straight"))


def test_a_run_may_be_stopped_often(
    tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    config = recipe(training__steps=6)
    for step in range(1, 6):
        with pytest.raises(Interrupted):
            train(config, tmp_path / "resumed", Interrupt(step), resume=True)
    train(config, tmp_path / "resumed", resume=True)
    train(config, tmp_path / "straight")
    assert_same(state(tmp_path / "resumed"), state(tmp_path / "straight"))


def test_a_run_without_a_schedule_can_be_made_longer(
    tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    short, long = (recipe(training__schedule={}, training__steps=steps) for steps in (5, 8))
    train(short, tmp_path / "resumed")
    train(long, tmp_path / "resumed", resume=True)
    train(long, tmp_path / "straight")
    assert_same(state(tmp_path / "resumed"), state(tmp_path / "straight"))


def test_resuming_a_finished_run_changes_nothing(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    train(recipe(training__steps=5), tmp_path)
    files = [p for p in tmp_path.rglob("*.*") if p.is_file() and p.name != "trained.json"]
    before = {file: file.read_bytes() for file in files}
    train(recipe(training__steps=5), tmp_path, resume=True)
    assert {file: file.read_bytes() for file in files} == before


def test_resuming_where_nothing_is_starts(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    train(recipe(training__steps=2), tmp_path / "new", resume=True)
    assert (tmp_path / "new" / "weights.safetensors").is_file()


def test_a_half_written_checkpoint_is_not_seen_and_is_cleaned_up(
    tmp_path: Path,
    stopped: Stopped,
    copied: Copied,
    recipe: Recipe,
    train: Train,
    state: State,
) -> None:
    name = "killed-while-saving"
    assert stopped[name][1] == f"signal {signal.SIGXFSZ.value}"
    folder = copied(name)
    assert len(list(folder.glob("checkpoints/.step-00000020*"))) == 1  # what the kill left
    assert [p.name for p in folder.glob("checkpoints/[!.]*")] == ["step-00000010"]
    train(recipe(), folder, resume=True)
    names = sorted(p.name for p in folder.glob("checkpoints/*"))
    assert names == ["step-00000010", "step-00000020"]
    train(recipe(), tmp_path / "straight")
    assert_same(state(folder), state(tmp_path / "straight"))


def test_leftovers_are_cleaned_up_and_other_files_are_not(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    leftovers = [
        ".weights.safetensors.x1",
        ".config.yaml.x1",
        ".trained.json.x1",
        ".metrics.jsonl.x1",
        "previews/.step-00000001.png.x1",
        "checkpoints/.step-00000001",
    ]
    others = [".gitignore", "notes.txt", "previews/.hidden"]
    for name in (*leftovers, *others):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("")
    train(recipe(training__steps=1), tmp_path)
    assert [name for name in leftovers if (tmp_path / name).exists()] == []
    assert [name for name in others if not (tmp_path / name).exists()] == []


def test_metrics_have_every_line_once(copied: Copied, recipe: Recipe, train: Train) -> None:
    folder = copied("killed-mlp-gan")
    file = folder / "metrics.jsonl"
    assert [json.loads(line)["step"] for line in file.read_text().splitlines()] == [4, 8, 12]
    with file.open("a") as end:
        end.write('{"step": 16, "seco')
    train(recipe(), folder, resume=True)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["step"] for row in rows] == [4, 8, 12, 16, 20]
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds)


def test_killed_at_random_moments_it_gives_the_same_bits(launch: Callable[..., str]) -> None:
    """The short form; the file itself, without arguments, is the long one."""
    said = launch(Path(__file__).parent / "killed_at_random.py", "--kills=2", "--steps=40")
    ours = {"dcgan", "mlp-gan", "pixel-transformer", "transformer-gan", "vae"}
    expected = len(ours & {*genzoo.list_architectures()})
    assert said.count("resumed: the same bits") == expected
