from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .environment import EXAMPLES, ROOT, SHIPPED, THIRD_PARTY, Environment, build_wheels

PARTS = (".gitignore", "CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml")
FOLDERS = ("examples", "genzoo", "plugins", "zoo_configs")


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the distributions are built from, so that work may go on while tests run."""
    copy = tmp_path_factory.mktemp("sources")
    for name in PARTS:
        shutil.copy(ROOT / name, copy)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory, sources: Path) -> Path:
    """A folder with the wheels of genzoo, of its plugins and of the third parties."""
    folder = tmp_path_factory.mktemp("wheels")
    plugins = [sources / "plugins" / name for name in SHIPPED]
    others = [path.parent for path in THIRD_PARTY.glob("*/pyproject.toml")]
    plugins += [sources / "examples" / name for name in EXAMPLES]
    build_wheels(folder, sources, *plugins, *others)
    return folder


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Environment:
    """One environment for all tests: each says by `hold` what it wants installed."""
    return Environment(tmp_path_factory.mktemp("environment"), wheels)
