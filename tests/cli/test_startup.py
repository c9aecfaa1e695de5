"""What must be quick: commands that only look around import nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import genzoo

HEAVY = {"torch", "torchvision", "numpy"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "--json"],
        ["list", "--architectures"],
        ["--help"],
        ["info", "dcgan-mnist"],
        ["plugins"],
        ["runs", "."],
        ["--version"],
    ],
    ids=" ".join,
)
def test_looking_around_imports_no_torch(process, arguments) -> None:
    imported = imported_by(process, arguments)
    assert "genzoo" in imported
    assert not imported & HEAVY


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample", "mlp-gan-digits", "-n", "4", "-o", "four.png"],
        ["train", "mlp-gan-digits", "--set", "training.steps=2", "-o", "run", "--quiet"],
    ],
    ids=" ".join,
)
def test_what_is_as_slow_to_import_as_torch_itself_is_not_where_it_need_not_be(
    process, arguments
) -> None:
    imported = imported_by(process, arguments)
    assert "torch" in imported
    assert not imported & {"torchvision", "torchmetrics", "accelerate", "matplotlib"}


def imported_by(process, arguments: list[str]) -> set[str]:
    """Return the top-level modules that a command imports."""
    result = process("-X", "importtime", "-m", "genzoo", *arguments)
    assert result.returncode == 0, result.stderr
    return {
        line.rpartition("|")[2].strip().partition(".")[0]
        for line in result.stderr.splitlines()
        if line.startswith("import time:")
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample", "tiny", "--labels", "9-0"],
        ["sample", "tiny", "-o", "out.jpg"],
        ["interpolate", "tiny", "-o", "no-folder.txt/out.gif"],
        ["reconstruct", "tiny", "-o", "out.gif"],
        ["train", "tiny.yaml", "--set", "training.steps"],
    ],
    ids=" ".join,
)
def test_what_is_wrong_at_once_is_said_before_torch_is_imported(
    process, tmp_path: Path, arguments
) -> None:
    (tmp_path / "no-folder.txt").touch()
    result = process("-X", "importtime", "-m", "genzoo", *arguments)
    assert result.returncode == 2
    assert "Error: " in result.stderr
    assert "| torch" not in result.stderr


def test_a_plugin_that_prints_and_fails_leaves_json_on_stdout(
    distribution, site: Path, environment
) -> None:
    distribution(
        "genzoo-noisy",
        "3.2.1",
        {"noisy": "noisy"},
        {"noisy.py": "print('hello from a plugin')\nraise RuntimeError('no luck')\n"},
    )
    result = subprocess.run(
        [sys.executable, "-m", "genzoo", "list", "--json"],
        env={**environment, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert [row["name"] for row in json.loads(result.stdout)] == genzoo.list_models()
    assert result.stderr.count("genzoo-noisy 3.2.1") == 1
    assert "no luck" in result.stderr


def test_a_reader_that_goes_away_is_no_error(environment) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "genzoo", "list"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


def test_a_mistake_has_exit_code_2_and_no_traceback_in_a_process_of_its_own(process) -> None:
    result = process("-m", "genzoo", "info", "dcgan-minst")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.splitlines()[0] == "Error: no model is called 'dcgan-minst'."
    assert "Did you mean 'dcgan-mnist'" in result.stderr.splitlines()[1]
    assert len(result.stderr.splitlines()) == 2


def test_version(done) -> None:
    assert done("--version") == f"genzoo {genzoo.__version__}\n"


def test_a_mistyped_command_is_a_usage_error(cli) -> None:
    result = cli("smaple")
    assert result.exit_code == 2
    assert "smaple" in result.stderr
    assert result.stdout == ""
