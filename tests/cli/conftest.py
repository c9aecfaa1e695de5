"""A person's seat: the command line, and models to use it on, trained for a moment on `digits`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

import genzoo
from genzoo.cli.main import app

Genzoo = Callable[..., Any]
Process = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPES: dict[str, dict[str, Any]] = {
    "tiny-gan": {
        "classes": 10,
        "architecture": {
            "name": "mlp-gan",
            "config": {"latent_dim": 8, "generator_widths": [16], "discriminator_widths": [16]},
        },
        "objective": {"name": "adversarial"},
    },
    "tiny-vae": {
        "classes": 10,
        "architecture": {"name": "vae", "config": {"latent_dim": 4, "channels": 16}},
        "objective": {"name": "variational"},
    },
    "tiny-unconditional": {
        "classes": None,
        "architecture": {
            "name": "mlp-gan",
            "config": {"latent_dim": 8, "generator_widths": [16], "discriminator_widths": [16]},
        },
        "objective": {"name": "adversarial"},
    },
}


def recipe(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "requires": ["genzoo-vae" if "vae" in name else "genzoo-mlp-gan"],
        "image": {"channels": 1, "height": 8, "width": 8},
        **RECIPES[name],
        "dataset": {"name": "digits"},
        "training": {"steps": 2, "batch_size": 8, "log_every": 1, "preview_every": 100},
        "card": {
            "summary": "Two steps of training.",
            "licence": "Apache-2.0",
            "dataset_licence": "CC-BY-4.0",
            "intended_use": "Tests.",
        },
    }


@pytest.fixture(scope="session")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the zoo configs NAME.yaml."""
    folder = tmp_path_factory.mktemp("recipes")
    for name in RECIPES:
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe(name), sort_keys=False))
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, recipes: Path) -> Path:
    """The folder of the finished runs NAME/."""
    folder = tmp_path_factory.mktemp("runs")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name in RECIPES:
        genzoo.train(recipes / f"{name}.yaml", folder / name, device="cpu", progress=False)
    torch.set_num_threads(threads)
    return folder


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Genzoo:
    """Run `genzoo ARGUMENTS` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="genzoo")

    return call


@pytest.fixture
def done(cli: Genzoo) -> Genzoo:
    """Run `genzoo ARGUMENTS`, which must succeed, and return its standard output."""

    def call(*arguments: object) -> Any:
        result = cli(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    return call


@pytest.fixture
def refused(cli: Genzoo) -> Genzoo:
    """Run `genzoo ARGUMENTS`, which must be refused in one message, and return that message."""

    def call(*arguments: object) -> Any:
        result = cli(*arguments)
        assert result.exit_code == 2, result.output
        assert isinstance(result.exception, SystemExit)
        assert result.stdout == ""
        assert result.stderr.startswith("Error: ")
        assert "Traceback" not in result.stderr
        return result.stderr

    return call


@pytest.fixture
def environment() -> dict[str, str]:
    """What a process of its own inherits."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("GENZOO_")}
    return {**inherited, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def process(tmp_path: Path, environment: dict[str, str]) -> Process:
    """Run Python with these arguments in a process of its own."""

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return call
