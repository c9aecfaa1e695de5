"""Distributions as `genzoo new` writes them, installed for this process."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import genzoo
from genzoo.registry import catalog
from genzoo.scaffolding import Kind
from genzoo.scaffolding.write import write_distribution
from genzoo.testing import architectures
from genzoo.training.publish import publish

Made = Callable[..., str]
Published = Callable[[str], tuple[Path, Path]]
PACKAGE = "genzoo_faulty"


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Another number of threads may add up in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def made(
    tmp_path: Path,
    installed: Callable[..., Path],
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Made:
    """Return a function that writes a new distribution, changes a file, and installs it."""
    # What goes wrong does so at any size: those of plugins' own tests are more.
    monkeypatch.setattr(architectures, "GRID", architectures.GRID[:4])

    def make(kind: Kind = "architecture", file: str = "", *changes: tuple[str, str]) -> str:
        tree = write_distribution("faulty", kind, parent=tmp_path)
        source = tree / "src" / PACKAGE
        for path in (source / "config.py", source / "zoo" / "faulty-digits.yaml"):
            if path.is_file():  # small networks have the same faults
                text = path.read_text(encoding="utf-8").replace("Field(256, ge", "Field(16, ge")
                text = text.replace("channels: 16", "channels: 8").replace(
                    "Field(16, ge=8", "Field(8, ge=8"
                )
                path.write_text(text, encoding="utf-8")
        if file:
            path = source / file if (source / file).is_file() else tree / file
            text = path.read_text(encoding="utf-8")
            for old, new in changes:
                assert old in text, f"{path} does not say {old!r}"
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
        if file == "networks.py" and kind == "architecture":
            # Its model has the same networks: what is wrong with them shows twice.
            (source / "zoo" / "faulty-digits.yaml").rename(source / "zoo" / "faulty-digits.txt")
        project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        files = {
            f"{PACKAGE}/{path.relative_to(source).as_posix()}": path.read_text(encoding="utf-8")
            for path in source.rglob("*")
            if path.is_file()
        }
        installed(project["name"], project["version"], project["entry-points"]["genzoo"], files)
        (info,) = site.glob("genzoo_faulty-*.dist-info")
        with (info / "METADATA").open("a", encoding="utf-8") as metadata:
            if "license" in project:
                metadata.write(f"License-Expression: {project['license']}\n")
            metadata.writelines(f"Requires-Dist: {r}\n" for r in project["dependencies"])
        return str(project["name"])

    return make


@pytest.fixture
def published(tmp_path: Path) -> Published:
    """Return a function that trains an installed model for a step and publishes it in place."""

    def publish_model(name: str) -> tuple[Path, Path]:
        config = catalog.find(name).path
        text = config.read_text(encoding="utf-8")
        config.write_text(text.replace("steps: 1000", "steps: 1"), encoding="utf-8")
        catalog.catalog.cache_clear()
        genzoo.train(name, output=tmp_path / "run", callbacks=())
        weights, _ = publish(tmp_path / "run")
        catalog.catalog.cache_clear()
        return config, weights

    return publish_model
