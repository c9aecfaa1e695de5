"""From `genzoo new` to a trained model, in an environment that has wheels alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from genzoo.scaffolding import KINDS

from .environment import Environment

SECONDS = 120  # besides pip; of one core's time, which other tests beside this one do not lengthen


def cpu_seconds() -> float:
    """Return the processor time of all commands that were run so far."""
    times = os.times()
    return times.children_user + times.children_system


def test_a_new_plugin_installs_passes_its_checks_and_trains_in_two_minutes(
    environment: Environment,
) -> None:
    environment.hold("genzoo")
    start = cpu_seconds()
    environment.genzoo("new", "sngan")
    spent = cpu_seconds() - start
    environment.install(environment.work / "genzoo-sngan")
    start = cpu_seconds()
    table, _ = environment.fresh("genzoo", "check", "genzoo-sngan")
    environment.fresh("genzoo", "train", "sngan-digits")
    spent += cpu_seconds() - start
    assert table.splitlines()[-1].endswith(" checks, 0 failed.")
    assert "architecture sngan: " in table
    assert spent < SECONDS
    drawn = ("sample", "runs/sngan-digits", "-n", "20", "--labels", "0-9", "-o", "new.png")
    environment.genzoo(*drawn)
    assert (environment.work / "new.png").is_file()
    worth = environment.json("evaluate", "runs/sngan-digits", "--samples", "297", "--quiet")
    assert worth["figures"]["label_agreement"] > 0.8


def test_the_tests_that_are_written_with_each_kind_pass(
    environment: Environment, tmp_path: Path
) -> None:
    environment.hold("genzoo", "genzoo-mlp-gan")
    trees = []
    for kind in KINDS:
        environment.genzoo("new", f"fresh-{kind}", "--kind", kind, "--output", tmp_path)
        trees.append(tmp_path / f"genzoo-fresh-{kind}")
    environment.install(*trees)
    tests = [tree / "tests" for tree in trees]
    options = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib")
    report, _ = environment.python("-m", "pytest", *options, *tests)
    assert " passed" in report
    assert "failed" not in report


EXITS = """
import genzoo

raise SystemExit(5)
"""


def test_a_plugin_that_raises_system_exit_is_uninstalled_by_name(
    environment: Environment, tmp_path: Path
) -> None:
    environment.hold("genzoo")
    environment.genzoo("new", "exits", "--output", tmp_path)
    tree = tmp_path / "genzoo-exits"
    (tree / "src" / "genzoo_exits" / "plugin.py").write_text(EXITS)
    said, _ = environment.genzoo("plugins", "install", tree, PIP_NO_BUILD_ISOLATION="0")
    assert said == "installed genzoo-exits 0.1.0\n"
    rows = {row["name"]: row for row in environment.json("plugins", "list")}
    assert rows["exits"]["status"] == "failed"
    assert "SystemExit: 5" in rows["exits"]["error"]
    said, _ = environment.genzoo("plugins", "uninstall", "exits")
    assert said == "uninstalled genzoo-exits\n"
    assert [row["name"] for row in environment.json("plugins", "list")] == ["genzoo"]
    assert environment.held() == {"genzoo"}


def test_what_is_installed_is_pinned(environment: Environment) -> None:
    environment.hold("genzoo", "genzoo-vae")
    lines = environment.genzoo("plugins", "freeze")[0].splitlines()
    names = [line.partition("==")[0].partition(" @ ")[0] for line in lines]
    assert names == ["genzoo", "genzoo-vae", "torch", "torchvision", "safetensors"]
    assert all("==" in line or " @ file://" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("uninstall", "genzoo"), "genzoo itself is no plugin"),
        (("uninstall", "genzoo-vea"), "Did you mean 'genzoo-vae'"),
        (("uninstall", "numpy"), "no installed plugin is called 'numpy'"),
        (("install", "genzoo-of-nobody"), "failed with exit code 1"),
    ],
)
def test_a_mistake_is_refused_and_changes_nothing(
    arguments: tuple[str, ...], said: str, environment: Environment
) -> None:
    environment.hold("genzoo", "genzoo-vae")
    stdout, report = environment.genzoo("plugins", *arguments, code=2)
    assert stdout == ""
    assert said in report
    assert "Traceback" not in report
    assert environment.held() == {"genzoo", "genzoo-vae"}


def test_the_broken_are_told_from_the_whole_by_the_check(environment: Environment) -> None:
    environment.hold("genzoo", "genzoo-broken")
    outcomes, _ = environment.genzoo("check", "--json", code=1)
    failed = [(o["subject"], o["check"]) for o in json.loads(outcomes) if o["status"] == "failed"]
    assert failed == [("distribution genzoo-broken", "import")]
