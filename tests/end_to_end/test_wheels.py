"""What is in the wheels, and that an sdist is enough to build them from."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

from .environment import SHIPPED, execute

SUFFIXES = {".py", ".typed", ".yaml", ".safetensors", ".md", ""}
"""Of all that a package may hold; the last is LICENSE's."""

TEMPLATES = "genzoo/scaffolding/templates/"
"""Of what `genzoo new` writes, which is no code of the package's own."""

BYTES_PER_MODEL = 5_000_000
"""At most, on average."""


def project_of(sources: Path, name: str) -> Path:
    return sources if name == "genzoo" else sources / "plugins" / name


def contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def built(wheels: Path, name: str) -> dict[str, bytes]:
    (wheel,) = wheels.glob(f"{name.replace('-', '_')}-[0-9]*.whl")
    return contents(wheel)


def stated(sources: Path) -> dict[str, dict[str, Any]]:
    """Return what the zoo configs say of the weights that ship, by path in a wheel."""
    configs = [yaml.safe_load(path.read_text()) for path in sources.glob("zoo_configs/*.yaml")]
    weights = [config["weights"] for config in configs if config.get("weights")]
    return {w["uri"].removeprefix("pkg://"): w for w in weights if w["uri"].startswith("pkg://")}


@pytest.mark.parametrize("name", ["genzoo", *SHIPPED])
def test_a_wheel_holds_its_package_and_nothing_else(sources: Path, wheels: Path, name: str) -> None:
    package = name.replace("-", "_")
    root = project_of(sources, name) / ("" if name == "genzoo" else "src")
    files = {path: path.relative_to(root) for path in (root / package).rglob("*")}
    if name == "genzoo":
        zoo = sources / "zoo_configs"
        files |= {path: Path(package) / path.relative_to(sources) for path in zoo.rglob("*")}
    expected = {to.as_posix(): path.read_bytes() for path, to in files.items() if path.is_file()}
    packed = {n: b for n, b in built(wheels, name).items() if ".dist-info/" not in n}
    assert packed == expected
    own = [file for file in packed if TEMPLATES not in file]
    assert {Path(file).suffix for file in own} <= SUFFIXES
    assert f"{package}/py.typed" in packed
    assert not any("tests" in Path(file).parts for file in own)


@pytest.mark.parametrize("name", ["genzoo", *SHIPPED])
def test_a_wheel_states_its_licence(sources: Path, wheels: Path, name: str) -> None:
    packed = built(wheels, name)
    described = {file.partition(".dist-info/")[2]: content for file, content in packed.items()}
    assert b"License-Expression: Apache-2.0" in described["METADATA"]
    assert described["licenses/LICENSE"] == (sources / "LICENSE").read_bytes()


def test_the_core_brings_the_zoo_the_digits_and_their_licence(wheels: Path) -> None:
    packed = built(wheels, "genzoo").keys()
    digits = "genzoo/data/digits/"
    assert {f"{digits}digits.safetensors", f"{digits}LICENSE"} <= packed
    assert "genzoo/zoo_configs/mlp-gan-digits.yaml" in packed


def test_the_weights_in_the_wheels_are_those_that_the_zoo_configs_state(
    sources: Path, wheels: Path
) -> None:
    packed = {
        file: content
        for name in SHIPPED
        for file, content in built(wheels, name).items()
        if file.endswith(".safetensors")
    }
    found = {file: (len(b), hashlib.sha256(b).hexdigest()) for file, b in packed.items()}
    assert found == {file: (w["size"], w["sha256"]) for file, w in stated(sources).items()}
    assert sum(map(len, packed.values())) < BYTES_PER_MODEL * len(packed)


@pytest.mark.parametrize("name", ["genzoo", *SHIPPED])
def test_an_sdist_is_enough_to_build_the_wheel_from(
    sources: Path, wheels: Path, tmp_path: Path, name: str
) -> None:
    # Without being told which, `build` makes the sdist and then the wheel from the sdist unpacked.
    command = (sys.executable, "-m", "build", "--no-isolation", "--outdir")
    execute(*command, tmp_path, project_of(sources, name), cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    assert contents(wheel) == built(wheels, name)
