"""What several processes draw and measure is what one does, and one of them says it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
SAMPLE = ["sample", "mlp-gan-digits", "-n", "44", "--batch-size", "16", "--labels", "0-9"]
MEASURED = ["evaluate", "mlp-gan-digits", "--samples", "300", "--batch-size", "128", "--json"]


def genzoo(*arguments: str, processes: int, folder: Path) -> str:
    """Run the command line in one or two processes on the CPU; return what they printed."""
    launcher = TORCHRUN if processes == 2 else []
    command = [sys.executable, *launcher, "-m", "genzoo", *arguments, "--device=cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_processes_draw_the_images_of_one(tmp_path: Path) -> None:
    said = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        output = ["--seed", "3", "-o", "grid.png"]
        said.append(genzoo(*SAMPLE, *output, processes=processes, folder=folder))
    one, two = ((tmp_path / name / "grid.png").read_bytes() for name in ("1", "2"))
    assert one == two
    assert said[0] == said[1]
    assert said[0].count("44 images") == 1


def test_without_a_seed_they_agree_on_one(tmp_path: Path) -> None:
    said = genzoo(*SAMPLE, "-o", "grid.png", processes=2, folder=tmp_path)
    seed = said.split()[-1]
    genzoo(*SAMPLE, "--seed", seed, "-o", "again.png", processes=1, folder=tmp_path)
    assert (tmp_path / "grid.png").read_bytes() == (tmp_path / "again.png").read_bytes()


def figures(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_two_processes_measure_what_one_does(tmp_path: Path) -> None:
    one, two = (figures(genzoo(*MEASURED, processes=n, folder=tmp_path)) for n in (1, 2))
    for kind in ("figures", "floor"):
        assert two[kind] == pytest.approx(one[kind], rel=1e-6)
    assert two["protocol"] == one["protocol"]
    assert two["by_class"] == one["by_class"]
