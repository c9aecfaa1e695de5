from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

import genzoo
from genzoo.registry.catalog import catalog
from genzoo.registry.config import ZooConfig, apply_overrides
from genzoo.registry.discovery import registry
from genzoo.registry.schema import validate
from genzoo.training.callbacks import Callback
from genzoo.training.interrupt import APART

HERE = Path(__file__).parent
ARCHITECTURES: Mapping[str, dict[str, Any]] = {
    "toy": {},
    "mlp-gan": {
        "latent_dim": 4,
        "class_dim": 4,
        "generator_widths": [16],
        "discriminator_widths": [16],
    },
    "dcgan": {
        "latent_dim": 4,
        "class_dim": 4,
        "generator_channels": 4,
        "discriminator_channels": 4,
    },
    "vae": {"latent_dim": 4, "channels": 16},
    "pixel-transformer": {
        "levels": 4,
        "patch_size": 4,
        "reach": 1,
        "width": 16,
        "depth": 1,
        "heads": 2,
        "symbol_features": 8,
    },
    "transformer-gan": {
        "latent_dim": 4,
        "width": 16,
        "depth": 1,
        "heads": 2,
        "pixel_features": 4,
        "discriminator_channels": 8,
    },
}
R3GAN = {"loss": "relativistic", "penalties": {"r1": 0.1, "r2": 0.1, "anneal_steps": 20}}

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]
State = Callable[[Path], dict[str, Tensor]]
Launch = Callable[..., str]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As in the processes that tests start: another number may add up in another order.

    Of module scope, so that fixtures that train once for a module have one thread too.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def toy_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that the toy plugin is installed in, as pip would."""
    site = tmp_path_factory.mktemp("site")
    installed = site / "genzoo_toy-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: genzoo-toy\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[genzoo]\ntoy = toy_plugin\n")
    shutil.copy(HERE / "toy_plugin.py", site)
    return site


@pytest.fixture
def toy(toy_site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the toy plugin where plugins are looked for."""
    monkeypatch.syspath_prepend(toy_site)
    registry.cache_clear()
    catalog.cache_clear()
    yield
    registry.cache_clear()
    catalog.cache_clear()


def make_recipe(architecture: str = "mlp-gan", /, **overrides: Any) -> ZooConfig:
    """Return a zoo config that trains in an instant; keys are paths, with __ for each dot."""
    objective = "toy" if architecture == "toy" else registry().architectures[architecture].objective
    base = {
        "name": f"tiny-{architecture}",
        "image": {"channels": 1, "height": 8, "width": 8},
        "classes": 10,
        "architecture": {"name": architecture, "config": ARCHITECTURES[architecture]},
        "objective": {"name": objective, "config": R3GAN if objective == "adversarial" else {}},
        "dataset": {"name": "digits"},
        "training": {
            "steps": 20,
            "batch_size": 8,
            "log_every": 4,
            "preview_every": 10,
            "checkpoint_every": 10,
            "schedule": {"name": "cosine", "warmup_steps": 3},
        },
        "card": {
            "summary": "tiny",
            "licence": "Apache-2.0",
            "dataset_licence": "CC-BY-4.0",
            "intended_use": "tests",
        },
    }
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return validate(ZooConfig, apply_overrides(base, dotted, source="test"), source="test")


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return make_recipe


@pytest.fixture
def train() -> Train:
    """Train on the CPU without a progress bar, callbacks given in the order they come."""

    def run(config: ZooConfig, output: Path, *callbacks: Callback, **options: Any) -> genzoo.Model:
        quiet = {"device": "cpu", "progress": False, **options}
        return genzoo.train(config, output, callbacks=callbacks, **quiet)

    return run


def read_state(folder: Path) -> dict[str, Tensor]:
    """Return all tensors that a run left: its weights', and its last checkpoint's."""
    last = max(folder.glob("checkpoints/step-*"))
    files = (folder / "weights.safetensors", last / "training.safetensors")
    return {f"{file.name}:{k}": v for file in files for k, v in load_file(file).items()}


@pytest.fixture(scope="session")
def state() -> State:
    return read_state


def run_python(*arguments: str | Path, path: Path | None = None) -> str:
    """Run Python with these arguments, one thread a process, and return what it printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    if path is not None:
        paths = [str(path), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    command = [sys.executable, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            out, err = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            process.terminate()  # and not kill: torchrun is to end its own processes
            raise
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="session")
def launch() -> Launch:
    return run_python


STOPPED_AT = 13
LATER = APART + 0.5  # a busy machine may hand the first signal on late
FILE_LIMIT = 30_000  # bytes: enough for all but the training state
JOBS: Mapping[str, dict[str, Any]] = {
    **{
        f"killed-{name}": {"architecture": name, "signals": [9]}
        for name in ARCHITECTURES
        if name in genzoo.list_architectures()
    },
    "interrupted": {"signals": [2]},
    "terminated": {"signals": [15]},
    "interrupted-twice": {"signals": [2, 2], "apart": LATER},
    "interrupted-and-told-so-again": {"signals": [2, 2]},
    "terminated-twice": {"signals": [15, 15], "apart": LATER},
    "interrupted-then-terminated": {"signals": [2, 15], "apart": LATER},
    "killed-while-saving": {"file_limit": FILE_LIMIT, "deadly_limit": True},
    "disk-full": {"file_limit": FILE_LIMIT},
    "read-only": {"read_only": True},
}


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """Start all JOBS in processes of their own; return each one's folder and how it ended.

    Their configs are those of `recipe(architecture)`.
    """
    folder = tmp_path_factory.mktemp("stopped")
    jobs = {}
    for name, job in JOBS.items():
        config = folder / f"{name}.yaml"
        config.write_text(yaml.safe_dump(make_recipe(job.get("architecture", "mlp-gan")).recipe()))
        output = str(folder / name)
        jobs[name] = {"at": STOPPED_AT, **job, "config": str(config), "output": output}
    listing = folder / "jobs.json"
    listing.write_text(json.dumps(jobs))
    endings = json.loads(run_python(HERE / "stopped_runs.py", listing))
    return {name: (folder / name, ending) for name, ending in endings.items()}


@pytest.fixture
def copied(tmp_path: Path, stopped: dict[str, tuple[Path, str]]) -> Callable[[str], Path]:
    """Copy what a stopped run left, so that a test may change it."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(stopped[name][0], tmp_path / name))

    return copy
