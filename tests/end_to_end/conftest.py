from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from .environment import EXAMPLES, ROOT, SHIPPED, THIRD_PARTY, Environment, build_wheels

PARTS = (".gitignore", "CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml")
FOLDERS = ("examples", "genzoo", "plugins", "zoo_configs")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `sources` and `wheels`, which all processes of a test run share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "built"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            try:
                _build(folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    return folder


def _build(folder: Path) -> None:
    copy, wheels = folder / "sources", folder / "wheels"
    copy.mkdir(parents=True)
    wheels.mkdir()
    for name in PARTS:
        shutil.copy(ROOT / name, copy)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    plugins = [copy / "plugins" / name for name in SHIPPED]
    others = [path.parent for path in THIRD_PARTY.glob("*/pyproject.toml")]
    plugins += [copy / "examples" / name for name in EXAMPLES]
    build_wheels(wheels, copy, *plugins, *others)


@pytest.fixture(scope="session")
def sources(built: Path) -> Path:
    """A copy of what the distributions are built from, so that work may go on while tests run."""
    return built / "sources"


@pytest.fixture(scope="session")
def wheels(built: Path) -> Path:
    """A folder with the wheels of genzoo, of its plugins and of the third parties."""
    return built / "wheels"


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Iterator[Environment]:
    """One environment for all tests: each says by `hold` what it wants installed."""
    made = Environment(tmp_path_factory.mktemp("environment"), wheels)
    yield made
    made.close()
