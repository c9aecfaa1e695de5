"""What tests of several rooms share: distributions made on the spot, and a zoo config."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import genzoo
from genzoo.registry import catalog, discovery

if TYPE_CHECKING:
    from genzoo import Model

FIRST = ("tests/end_to_end/", "tests/training/", "tests/testing/test_faults.py", "plugins/")
"""The tests that take longest: begun last, they would leave one process to end alone."""
TOGETHER = FIRST[:2]
"""Folders whose tests share what takes long to make: an environment, runs that were stopped."""

SMALL: Mapping[str, dict[str, Any]] = {
    "pixel-transformer": {"levels": 8, "patch_size": 4, "width": 16, "depth": 1, "heads": 2},
}
"""Configs of `model` for architectures whose own are slow to draw from."""

Distribution = Callable[..., Path]
Python = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take longest; pass over those of a plugin that is not there."""
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))
    absent = _absent()
    for item in items:
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        for name in (p for p in parameters if isinstance(p, str) and p in absent):
            item.add_marker(pytest.mark.skip(reason=f"{name}: {absent[name]}"))


def _absent() -> dict[str, str]:
    """Return the models of the zoo whose plugin is not installed, and their architectures: why."""
    known = discovery.registry()
    found = {}
    for name, entry in catalog.catalog().items():
        architecture, objective = entry.config.architecture.name, entry.config.objective.name
        if architecture not in known.architectures or objective not in known.objectives:
            reason = f"{' '.join(entry.config.requires)} is not installed"
            found |= {name: reason, architecture: reason}
    return found


@pytest.fixture(scope="session")
def every_plugin() -> None:
    """Skip what is about all plugins that ship together where one of them is not installed."""
    if absent := _absent():
        pytest.skip(next(iter(absent.values())))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what was imported: it stays, and is most of what is."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let one process run all tests of a folder that shares what takes long to make."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            scope: str = super()._split_scope(nodeid)
            return next((folder for folder in TOGETHER if scope.startswith(folder)), scope)

    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # in the order of above, not by the number of tests
    return Scheduling(config, log)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return the folder that `distribution` writes to."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def distribution(site: Path) -> Distribution:
    """Return a function that writes an installed distribution, as pip would leave it."""

    def write(
        name: str, version: str, entry_points: Mapping[str, str], files: Mapping[str, str]
    ) -> Path:
        for path, text in files.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(textwrap.dedent(text), encoding="utf-8")
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata)
        points = "".join(f"{key} = {value}\n" for key, value in entry_points.items())
        (info / "entry_points.txt").write_text(f"[genzoo]\n{points}")
        record = [*files, *(f"{info.name}/{n}" for n in ("METADATA", "entry_points.txt", "RECORD"))]
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in record))
        return site

    return write


@pytest.fixture
def python(site: Path, tmp_path: Path) -> Python:
    """Return a function that runs code in an interpreter of its own, which sees `site`."""

    def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("GENZOO_")}
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={**inherited, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture
def installed(
    site: Path, distribution: Distribution, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Distribution]:
    """Return `distribution` for this very process: what it writes is found from then on."""

    def forget() -> None:
        discovery.registry.cache_clear()
        catalog.catalog.cache_clear()

    def write(*args: Any, **kwargs: Any) -> Path:
        distribution(*args, **kwargs)
        forget()
        return site

    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(site))
    yield write
    forget()
    for name in set(sys.modules) - before:
        facts = vars(sys.modules[name])  # modules of torch answer getattr with anything
        places = (facts.get("__file__"), *(facts.get("__path__") or ()))
        if any(str(place).startswith(str(site)) for place in places):
            del sys.modules[name]


@pytest.fixture
def zoo_data() -> dict[str, Any]:
    """Return the least that a zoo config must say, as plain values."""
    return {
        "name": "toy-digits",
        "image": {"channels": 1, "height": 8, "width": 8},
        "classes": 10,
        "architecture": {"name": "mlp-gan"},
        "objective": {"name": "adversarial"},
        "dataset": {"name": "digits"},
        "training": {"steps": 10},
        "card": {
            "summary": "A toy.",
            "licence": "Apache-2.0",
            "dataset_licence": "CC-BY-4.0",
            "intended_use": "Tests.",
        },
    }


@pytest.fixture(scope="session")
def model() -> Callable[..., Model]:
    """Return a function that makes small models, whose weights are far from their timid start."""
    import torch

    @cache
    def make(
        name: str = "mlp-gan",
        classes: int | None = 10,
        image: tuple[int, int, int] = (1, 16, 16),
    ) -> Model:
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            made = genzoo.create(name, image, classes, **SMALL.get(name, {}))
            for parameter in made.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        return made

    return make


@pytest.fixture
def saved(model: Callable[..., Model], tmp_path: Path) -> Path:
    """Return the weights file of a small model."""
    return model().save(tmp_path / "toy.safetensors")
