from __future__ import annotations

from pathlib import Path

import pytest

from .environment import ROOT, SHIPPED, THIRD_PARTY, Environment, build_wheels


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of genzoo, of its plugins and of the third parties."""
    folder = tmp_path_factory.mktemp("wheels")
    plugins = [ROOT / "plugins" / name for name in SHIPPED]
    others = [path.parent for path in THIRD_PARTY.glob("*/pyproject.toml")]
    build_wheels(folder, ROOT, *plugins, *others)
    return folder


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Environment:
    """One environment for all tests: each says by `hold` what it wants installed."""
    return Environment(tmp_path_factory.mktemp("environment"), wheels)
