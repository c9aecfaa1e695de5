"""`genzoo new`: what it writes, and what it will not write."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import get_args

import pytest
import yaml
from typer.testing import CliRunner

from genzoo._version import __version__
from genzoo.cli.main import app
from genzoo.errors import OutputError, UnsupportedError
from genzoo.registry.config import read_config
from genzoo.scaffolding import KINDS, Kind
from genzoo.scaffolding.write import write_distribution

PLACEHOLDERS = ("new-name", "new_name", "NewName", "SUMMARY", "LICENCE", "RANGE", "DEV")


def files(tree: Path) -> dict[str, str]:
    return {
        path.relative_to(tree).as_posix(): path.read_text(encoding="utf-8")
        for path in tree.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_distribution_is_written(kind: Kind, tmp_path: Path) -> None:
    tree = write_distribution("odd-fish", kind, parent=tmp_path, summary="It swims", licence="MIT")
    assert tree == tmp_path / "genzoo-odd-fish"
    written = files(tree)
    assert {
        *("pyproject.toml", "README.md", ".gitignore", ".github/workflows/test.yaml"),
        *("tests/test_conformance.py", "src/genzoo_odd_fish/plugin.py"),
        *("src/genzoo_odd_fish/__init__.py", "src/genzoo_odd_fish/py.typed"),
    } <= written.keys()
    for name, text in written.items():
        assert not any(word in text or word in name for word in PLACEHOLDERS), name
        if name.endswith(".py"):
            ast.parse(text)
        if name.endswith(".yaml"):
            yaml.safe_load(text)
    project = tomllib.loads(written["pyproject.toml"])["project"]
    assert project["name"] == "genzoo-odd-fish"
    assert project["license"] == "MIT"
    assert project["description"] == "It swims."
    assert project["entry-points"]["genzoo"] == {"odd-fish": "genzoo_odd_fish.plugin"}
    # Not the next minor version, which may have a new API: docs/plugin-api.md.
    assert project["dependencies"][0] == "genzoo>=0.1,<0.2"
    assert __version__.startswith("0.1.")
    needed = {"callback": ["genzoo-mlp-gan"]}.get(kind, [])
    assert project["optional-dependencies"]["dev"] == ["pytest>=8.3", *needed]
    assert 'distribution = "genzoo-odd-fish"' in written["tests/test_conformance.py"]


@pytest.mark.parametrize("kind", ["architecture", "objective"])
def test_its_model_is_a_zoo_config_on_digits(kind: Kind, tmp_path: Path) -> None:
    tree = write_distribution("odd-fish", kind, parent=tmp_path, licence="MIT")
    config = read_config(tree / "src" / "genzoo_odd_fish" / "zoo" / "odd-fish-digits.yaml")
    assert config.dataset.name == "digits"
    assert config.requires == ("genzoo-odd-fish",)
    assert (config.card.licence, config.card.dataset_licence) == ("MIT", "CC-BY-4.0")


def test_a_name_that_begins_with_genzoo_is_the_same_name(tmp_path: Path) -> None:
    assert write_distribution("genzoo-fish", parent=tmp_path).name == "genzoo-fish"


@pytest.mark.parametrize(
    "name",
    [
        *("", "Fish", "odd fish", "odd_fish", "odd--fish", "-fish", "fish-", "3d-fish", "fïsh"),
        *("../fish", "/tmp/fish", "fish.py", "fish;rm", "x" * 51, "genzoo-", "a\n"),
    ],
)
def test_a_name_that_pip_or_python_would_refuse_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="cannot name") as caught:
        write_distribution(name, parent=tmp_path)
    assert "'my-gan'" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "kind", "owner"),
    [
        ("dcgan", "callback", "genzoo-dcgan"),  # that distribution is installed
        ("transformer-gan", "architecture", "genzoo-transformer"),
        ("adversarial", "objective", "genzoo"),
        ("digits", "dataset", "genzoo"),
        ("previews", "callback", "genzoo"),
    ],
)
def test_a_name_that_is_taken_is_refused(name: str, kind: Kind, owner: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=owner):
        write_distribution(name, kind, parent=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "genzoo-fish").mkdir()
    (tmp_path / "genzoo-bird").write_text("mine")
    (tmp_path / "genzoo-dead").symlink_to(tmp_path / "nowhere")
    for name in ("fish", "bird", "dead"):
        with pytest.raises(OutputError, match="is there already"):
            write_distribution(name, parent=tmp_path)
    assert (tmp_path / "genzoo-bird").read_text() == "mine"
    assert list((tmp_path / "genzoo-fish").iterdir()) == []


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_distribution("fish", parent=tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("name", ["none", "true", "phase", "f", "answer", "callback", "config"])
def test_names_that_mean_something_to_python_or_to_a_template_are_names_like_any(
    name: str, kind: Kind, tmp_path: Path
) -> None:
    for path, text in files(write_distribution(name, kind, parent=tmp_path)).items():
        if not path.endswith(".py"):
            continue
        tree = ast.parse(text)
        classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
        imported = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not classes & imported, path


@pytest.mark.parametrize(
    "licence", ["Apache2", "Proprietary", "", "all mine, mine", "Apache 2.0", 'MIT"\nname = "x']
)
def test_a_licence_that_is_no_spdx_expression_is_refused(licence: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="SPDX"):
        write_distribution("fish", parent=tmp_path, licence=licence)


@pytest.mark.parametrize("summary", ['He said "no"', "a: b", "{x}", "back\\slash", "it's"])
def test_a_summary_that_files_would_misread_is_refused(summary: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="summary"):
        write_distribution("fish", parent=tmp_path, summary=summary)


def test_the_command_asks_nothing_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--kind", "objective", "--output", "there", "--licence", "MIT", "--summary", "A b."]
    result = CliRunner().invoke(app, ["new", "fish", *options], input="")
    assert result.exit_code == 0, result.output
    where = tmp_path / "there" / "genzoo-fish"
    assert result.stdout.splitlines() == [
        "wrote there/genzoo-fish. Go on with:",
        f"pip install -e {where}",
        "genzoo check genzoo-fish",
    ]
    assert "A b." in (where / "README.md").read_text()


@pytest.mark.parametrize("arguments", [["new"], ["new", "fish", "--kind", "poem"]])
def test_a_mistake_on_the_command_line_is_refused(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_the_kinds_are_those_of_its_type() -> None:
    assert get_args(Kind) == KINDS
