"""Two processes train what one would, and stop together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

import genzoo
from genzoo.registry.config import ZooConfig

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]
State = Callable[[Path], dict[str, Tensor]]


@pytest.fixture
def jobs(recipe: Recipe) -> dict[str, tuple[ZooConfig, bool]]:
    """Return configs by name, and whether to write for TensorBoard."""
    alone = {"process": 1}
    return {
        "shared": (recipe(), True),
        "variational": (recipe("vae", training__steps=5), False),
        "odd": (recipe(training__batch_size=7), False),
        "interrupted": (recipe("toy", objective__config={"interrupt_at": 7, **alone}), False),
        "not-finite": (recipe("toy", objective__config={"nan_at": 13, **alone}), False),
    }


def test_two_processes(
    jobs: dict[str, tuple[ZooConfig, bool]],
    toy: Path,
    tmp_path: Path,
    launch: Callable[..., str],
    recipe: Recipe,
    train: Train,
    state: State,
) -> None:
    # One test, because to start the processes is most of the work.
    listing = {}
    for name, (config, tensorboard) in jobs.items():
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(config.recipe()))
        listing[name] = (str(file), tensorboard)
    (tmp_path / "jobs.json").write_text(json.dumps(listing))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = Path(__file__).parent / "two_processes.py"
    launch(*torchrun, script, tmp_path / "jobs.json", tmp_path, path=toy)
    main, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))

    for name in ("shared", "variational"):
        assert (main[name][0], other[name][0]) == ("finished", "finished")
        train(jobs[name][0], tmp_path / f"{name}-alone")
        two, one = state(tmp_path / name), state(tmp_path / f"{name}-alone")
        assert two.keys() == one.keys()
        for key, tensor in one.items():
            torch.testing.assert_close(two[key], tensor, rtol=1e-5, atol=1e-5, msg=f"{name} {key}")
    record = json.loads((tmp_path / "shared" / "trained.json").read_text())
    assert (record["processes"], record["images"]) == (2, 20 * 8)

    # The main process alone hears of steps, and writes.
    assert (main["shared"][1], other["shared"][1]) == (20, 0)
    assert len(list((tmp_path / "shared" / "tensorboard").iterdir())) == 1
    lines = (tmp_path / "shared" / "metrics.jsonl").read_text().splitlines()
    alone = (tmp_path / "shared-alone" / "metrics.jsonl").read_text().splitlines()
    for ours, theirs in zip(map(json.loads, lines), map(json.loads, alone), strict=True):
        assert ours["step"] == theirs["step"]
        assert ours["generator/loss"] == pytest.approx(theirs["generator/loss"], rel=1e-4)

    # Whatever one process meets, both stop at the same step.
    for endings in (main, other):
        assert endings["odd"][0].startswith("ConfigError: training.batch_size 7 ")
        assert endings["interrupted"][0].startswith("Interrupted: stopped after step 7;")
        assert "phase 'generator' at step 13 is not finite" in endings["not-finite"][0]
    names = {name: sorted(p.name for p in tmp_path.glob(f"{name}/checkpoints/*")) for name in jobs}
    assert names["interrupted"] == ["step-00000007"]
    assert names["not-finite"] == ["step-00000010"]
    assert not (tmp_path / "odd").exists()
