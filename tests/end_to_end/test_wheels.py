"""What is in the wheels, and that an sdist is enough to build them from."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

from .environment import ROOT, SHIPPED, execute

SUFFIXES = {".py", ".typed", ".yaml", ".safetensors", ".md", ""}
"""Of all that a package may hold; the last is LICENSE's."""

MOST_BYTES = 40_000_000
"""Of all weights together."""


def source(project: str) -> Path:
    return ROOT if project == "genzoo" else ROOT / "plugins" / project


def package(project: str) -> Path:
    name = project.replace("-", "_")
    return source(project) / (name if project == "genzoo" else f"src/{name}")


def contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def built(wheels: Path, project: str) -> dict[str, bytes]:
    (wheel,) = wheels.glob(f"{project.replace('-', '_')}-[0-9]*.whl")
    return contents(wheel)


def stated() -> dict[str, dict[str, Any]]:
    """Return what the zoo configs say of the weights that ship, by path in a wheel."""
    configs = [yaml.safe_load(file.read_text()) for file in (ROOT / "zoo_configs").glob("*.yaml")]
    weights = [config["weights"] for config in configs if config.get("weights")]
    return {w["uri"].removeprefix("pkg://"): w for w in weights if w["uri"].startswith("pkg://")}


@pytest.mark.parametrize("project", ["genzoo", *SHIPPED])
def test_a_wheel_holds_its_package_and_nothing_else(wheels: Path, project: str) -> None:
    folder = package(project)
    expected = {
        path.relative_to(folder.parent).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    if project == "genzoo":
        for path in (ROOT / "zoo_configs").iterdir():
            expected[f"genzoo/zoo_configs/{path.name}"] = path.read_bytes()
    packed = {n: b for n, b in built(wheels, project).items() if ".dist-info/" not in n}
    assert packed == expected
    assert {Path(name).suffix for name in packed} <= SUFFIXES
    assert f"{folder.name}/py.typed" in packed
    assert not any("tests" in Path(name).parts for name in packed)


@pytest.mark.parametrize("project", ["genzoo", *SHIPPED])
def test_a_wheel_states_its_licence(wheels: Path, project: str) -> None:
    packed = built(wheels, project)
    described = {name.partition(".dist-info/")[2]: content for name, content in packed.items()}
    assert b"License-Expression: Apache-2.0" in described["METADATA"]
    assert described["licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()


def test_the_core_brings_the_zoo_the_digits_and_their_licence(wheels: Path) -> None:
    packed = built(wheels, "genzoo").keys()
    digits = "genzoo/data/digits/"
    assert {f"{digits}digits.safetensors", f"{digits}LICENSE"} <= packed
    assert "genzoo/zoo_configs/mlp-gan-digits.yaml" in packed


def test_the_weights_in_the_wheels_are_those_that_the_zoo_configs_state(wheels: Path) -> None:
    packed = {
        name: content
        for project in SHIPPED
        for name, content in built(wheels, project).items()
        if name.endswith(".safetensors")
    }
    found = {n: (len(b), hashlib.sha256(b).hexdigest()) for n, b in packed.items()}
    assert found == {name: (w["size"], w["sha256"]) for name, w in stated().items()}
    assert sum(map(len, packed.values())) < MOST_BYTES


@pytest.mark.parametrize("project", ["genzoo", *SHIPPED])
def test_an_sdist_is_enough_to_build_the_wheel_from(
    wheels: Path, tmp_path: Path, project: str
) -> None:
    # Without being told which, `build` makes the sdist and then the wheel from the sdist unpacked.
    command = (sys.executable, "-m", "build", "--no-isolation", "--outdir")
    execute(*command, tmp_path, source(project), cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    assert contents(wheel) == built(wheels, project)
