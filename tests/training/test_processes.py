"""Two processes train what one would, and stop together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

import genzoo
from genzoo.data.batches import Batches
from genzoo.data.folder import FolderImages
from genzoo.data.load import load_dataset
from genzoo.images import save_image
from genzoo.registry.config import ZooConfig, read_config
from genzoo.training.callbacks import Callback, Run
from genzoo.training.lock import locked

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]
State = Callable[[Path], dict[str, Tensor]]

RESETS = [{"role": "generator", "every": 2}]
JOBS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "mlp-gan": ("mlp-gan", {}),
    "dcgan": ("dcgan", {}),
    "vae": ("vae", {"training__steps": 5}),
    "pixel-transformer": ("pixel-transformer", {"training__steps": 5}),
    "transformer-gan": ("transformer-gan", {"training__steps": 5}),
    "free-bits": ("vae", {"training__steps": 5, "objective__config": {"free_bits": 0.05}}),
    "stabilized": (
        "mlp-gan",
        {
            "training__steps": 5,
            "objective__config": {
                "label_smoothing": 0.1,
                "discriminators": 2,
                "discriminator_focus": 2.0,
                "spectral_norm": "both",
                "instance_noise": 0.1,
                "augmentation": {"colour": 1.0},
            },
        },
    ),
    "clipped": ("mlp-gan", {"training__steps": 5, "training__clip_norm": 0.01}),
    "in-parts": ("dcgan", {"training__steps": 5, "training__accumulate": 2}),
    "reset": ("mlp-gan", {"training__steps": 5, "training__resets": RESETS}),
    "odd": ("mlp-gan", {"training__batch_size": 7}),
    "odd-parts": ("mlp-gan", {"training__batch_size": 6, "training__accumulate": 2}),
    "evaluated": (
        "vae",
        {
            "training__steps": 5,
            "training__keep": 1,
            "training__ema": None,
            "training__optimizer": {"name": "sgd", "lr": 0.03},
            "training__resets": [{"role": "decoder", "every": 4}],  # so that the last is no best
        },
    ),
    "apart": ("mlp-gan", {}),
    "at-work": ("mlp-gan", {}),
    "damaged": (
        "mlp-gan",
        {"classes": None, "dataset": {"name": "folder", "config": {"path": "PHOTOS"}}},
    ),
    "interrupted": ("toy", {"objective__config": {"interrupt_at": 7, "process": 1}}),
    "not-finite": ("toy", {"objective__config": {"nan_at": 13, "process": 1}}),
}


OPTIONS: Mapping[str, dict[str, Any]] = {
    "mlp-gan": {"tensorboard": True},
    "evaluated": {"evaluate_every": 2},
    "apart": {"resume": True},
}
FOLDERS: Mapping[str, str] = {"apart": "apart-{rank}"}
DAMAGED_AT = 3  # the step, from 0, at which the second process meets an image that it cannot read


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    toy_site: Path,
    launch: Callable[..., str],
    recipe: Recipe,
) -> Path:
    """Run all JOBS in the same two processes, and return the folder of their runs."""
    folder = tmp_path_factory.mktemp("processes")
    listing = {}
    installed = {*genzoo.list_architectures(), "toy"}
    for name, (architecture, settings) in JOBS.items():
        if architecture not in installed:
            continue
        file = folder / f"{name}.yaml"
        plain = yaml.safe_dump(recipe(architecture, **settings).recipe())
        file.write_text(plain.replace("PHOTOS", str(folder / "photos")))
        listing[name] = (str(file), FOLDERS.get(name, name), OPTIONS.get(name, {}))
    (folder / "jobs.json").write_text(json.dumps(listing))
    draw_photos(folder / "photos", read_config(folder / "damaged.yaml"))
    begin(folder / "apart-0", folder / "apart.yaml")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = Path(__file__).parent / "two_processes.py"
    with locked(folder / "at-work"):
        launch(*torchrun, script, folder / "jobs.json", folder, path=toy_site)
    return folder


def draw_photos(folder: Path, config: ZooConfig) -> None:
    """Make forty images, of which one is damaged: that of the last row at DAMAGED_AT."""
    pixels = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    folder.mkdir()
    for number, image in enumerate(pixels):
        save_image(image, folder / f"{number:02}.png")
    settings = config.training
    dataset = load_dataset(config, "train")
    assert isinstance(dataset, FolderImages)
    batches = Batches(dataset, batch_size=settings.batch_size, seed=settings.seed)
    order = [batches.indices(step) for step in range(DAMAGED_AT + 1)]
    row = order[-1][-1]
    assert row not in np.concatenate([*order[:-1], order[-1][: settings.batch_size // 2]])
    Path(dataset.files[row]).write_bytes(b"no image")


def begin(folder: Path, config: Path) -> None:
    """Train up to step 12, of which the state after step 10 is kept."""

    class End(Callback):
        def on_step(self, run: Run) -> None:
            if run.step == 12:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        genzoo.train(config, folder, device="cpu", progress=False, callbacks=[End()])


def endings(folder: Path, name: str) -> list[tuple[str, int]]:
    """Return how each process ended, and the steps that its callback heard of."""
    return [json.loads((folder / f"{rank}.json").read_text())[name] for rank in (0, 1)]


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


ENDED = ("odd", "odd-parts", "at-work", "damaged", "interrupted", "not-finite")
SHARED = [name for name in JOBS if name not in (*ENDED, "apart")]


@pytest.mark.parametrize("name", SHARED)
def test_two_processes_train_what_one_would(
    name: str, folder: Path, tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    assert [ending for ending, _ in endings(folder, name)] == ["finished", "finished"]
    architecture, settings = JOBS[name]
    train(recipe(architecture, **settings), tmp_path, **OPTIONS.get(name, {}))
    two, one = state(folder / name), state(tmp_path)
    assert two.keys() == one.keys()
    for key, tensor in one.items():
        torch.testing.assert_close(two[key], tensor, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(lines(folder / name), lines(tmp_path), strict=True):
        losses = {k: v for k, v in theirs.items() if k == "step" or k.endswith("loss")}
        assert {k: ours[k] for k in losses} == pytest.approx(losses, rel=1e-4)


def test_a_resumed_run_goes_on_from_what_the_main_process_has(
    folder: Path, tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    """Machines need not share a drive: the run folder is that of the first."""
    assert [ending for ending, _ in endings(folder, "apart")] == ["finished", "finished"]
    assert not (folder / "apart-1").exists()
    train(recipe(), tmp_path)
    resumed, straight = state(folder / "apart-0"), state(tmp_path)
    for key, tensor in straight.items():
        torch.testing.assert_close(resumed[key], tensor, rtol=1e-5, atol=1e-5)


def test_processes_that_somebody_else_has_joined_are_found(folder: Path) -> None:
    found = [json.loads((folder / f"{rank}.json").read_text())["joined"] for rank in (0, 1)]
    assert found == [[0, 2], [1, 2]]


def test_the_main_process_alone_evaluates(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "evaluated/evaluations.jsonl").open()]
    assert [row["step"] for row in rows] == [2, 4, 5]
    assert all(row["fid_ratio"] > 1 for row in rows)
    assert min(rows, key=lambda row: row["fid"])["step"] == 4
    kept = sorted(path.name for path in (folder / "evaluated/checkpoints").iterdir())
    assert kept == ["step-00000004", "step-00000005"]


def test_the_main_process_alone_writes_and_hears(folder: Path) -> None:
    assert [steps for _, steps in endings(folder, "mlp-gan")] == [20, 0]
    run = folder / "mlp-gan"
    assert len(list((run / "tensorboard").iterdir())) == 1
    assert [line["step"] for line in lines(run)] == [4, 8, 12, 16, 20]
    record = json.loads((run / "trained.json").read_text())
    assert (record["processes"], record["images"]) == (2, 20 * 8)


@pytest.mark.parametrize(
    ("name", "batch", "parts"),
    [("odd", "7", "multiple of 2"), ("odd-parts", "6", "multiple of 4")],
)
def test_a_batch_that_cannot_be_shared_is_refused(
    name: str, batch: str, parts: str, folder: Path
) -> None:
    for ending, _ in endings(folder, name):
        assert ending.startswith(f"ConfigError: training.batch_size {batch} cannot be shared")
        assert parts in ending
    assert not (folder / name).exists()


@pytest.mark.parametrize(
    ("name", "message", "step"),
    [
        ("damaged", "DataError: ", DAMAGED_AT),
        ("interrupted", "Interrupted: stopped after step 7;", 7),
        ("not-finite", "TrainingError: the loss of the phase 'generator' at step 13", 10),
    ],
)
def test_what_one_process_meets_stops_both(
    name: str, message: str, step: int, folder: Path
) -> None:
    for ending, _ in endings(folder, name):
        assert ending.startswith(message)
    saved = [path.name for path in folder.glob(f"{name}/checkpoints/*")]
    assert saved == [f"step-{step:08d}"]


def test_what_the_main_process_is_refused_is_refused_to_both(folder: Path) -> None:
    for ending, _ in endings(folder, "at-work"):
        assert ending.startswith("OutputError: another training is at work")


@pytest.mark.parametrize("name", ["odd", "at-work", "damaged", "not-finite"])
def test_one_process_says_what_is_wrong(name: str, folder: Path) -> None:
    (main, _), (other, _) = endings(folder, name)
    assert not main.endswith("(told elsewhere)")
    assert other == f"{main}\n(told elsewhere)"
