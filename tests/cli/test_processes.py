"""What several processes draw and measure is what one does, and one of them says it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genzoo.cli.main import app
from genzoo.evaluation import ruler
from genzoo.processes import ALONE, join

COMMANDS = {
    "grid": "sample mlp-gan-digits -n 44 --batch-size 16 --labels 0-9 --seed 3 -o grid.png",
    "arrays": "sample mlp-gan-digits -n 44 --batch-size 16 --labels 0-9 --seed 3 -o arrays.npz",
    "unseeded": "sample mlp-gan-digits -n 44 --batch-size 16 -o unseeded.png",
    "worth": "evaluate mlp-gan-digits --samples 300 --batch-size 128 --json",
}
KEPT = 100
"""Images that are kept of all that are seen: fewer than come before the second process's share."""


def run(command: str) -> str:
    """Run the command line on the CPU in this process; return what it printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        app([*shlex.split(command), "--device=cpu"], standalone_mode=False)
    return said.getvalue()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two processes ran all commands; each has printed to NAME.RANK."""
    folder = tmp_path_factory.mktemp("two")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *launcher, __file__]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_processes_draw_the_images_of_one(two: Path, one: Path) -> None:
    said = run(COMMANDS["grid"])
    assert (two / "grid.png").read_bytes() == (one / "grid.png").read_bytes()
    assert (two / "grid.0").read_text() == said
    assert (two / "grid.1").read_text() == ""


def test_two_processes_draw_the_arrays_of_one(two: Path, one: Path) -> None:
    run(COMMANDS["arrays"])
    with np.load(two / "arrays.npz") as found, np.load(one / "arrays.npz") as expected:
        assert found["images"].dtype == np.float32
        for name in ("images", "labels"):
            np.testing.assert_array_equal(found[name], expected[name])


def test_the_main_process_alone_is_given_what_is_gathered_there(two: Path) -> None:
    assert (two / "gathered.0").read_text() == "['of 0', 'of 1']"
    assert (two / "gathered.1").read_text() == "[]"
    assert ALONE.gather_on_main("mine") == ["mine"]


def test_without_a_seed_they_agree_on_one(two: Path, one: Path) -> None:
    seed = (two / "unseeded.0").read_text().split()[-1]
    run(f"{COMMANDS['unseeded']} --seed {seed}")
    assert (two / "unseeded.png").read_bytes() == (one / "unseeded.png").read_bytes()


def test_two_processes_measure_what_one_does(
    two: Path, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ruler, "MEMORIZATION", KEPT)
    found: dict[str, Any] = json.loads((two / "worth.0").read_text())
    expected = json.loads(run(COMMANDS["worth"]))
    for kind in ("figures", "floor"):
        assert found[kind] == pytest.approx(expected[kind], rel=1e-6)
    assert found["protocol"] == expected["protocol"]
    assert found["by_class"] == expected["by_class"]
    assert (two / "worth.1").read_text() == ""


if __name__ == "__main__":
    ruler.MEMORIZATION = KEPT
    for name, command in COMMANDS.items():
        Path(f"{name}.{os.environ['RANK']}").write_text(run(command))
    gathered = join("cpu").gather_on_main(f"of {os.environ['RANK']}")
    Path(f"gathered.{os.environ['RANK']}").write_text(repr(gathered))
