"""`genzoo check`, on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from genzoo.cli.main import app

Made = Callable[..., str]


def check(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["check", *arguments])


def test_what_passes_is_counted_and_the_exit_code_is_0(made: Made) -> None:
    result = check(made("dataset"))
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "distribution genzoo-faulty: 8 passed",
        "dataset faulty: 2 passed",
        "10 checks, 0 failed.",
    ]


def test_a_distribution_is_named_as_pip_would_take_it(made: Made) -> None:
    made("dataset")
    assert check("Genzoo_Faulty").stdout.startswith("distribution genzoo-faulty: 8 passed")


def test_verbosely_each_check_has_a_line(made: Made) -> None:
    lines = check(made("dataset"), "-v").stdout.splitlines()
    assert len([line for line in lines if line.startswith("  passed")]) == 10
    assert "  passed   licence: it states the licence of its images" in lines


def test_what_fails_says_what_was_promised_and_how_to_mend_it(made: Made) -> None:
    result = check(made("dataset", "plugin.py", ('licence="Apache-2.0"', 'licence=""')))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "distribution genzoo-faulty: 8 passed",
        "dataset faulty: 1 passed, 1 failed",
        "  failed   licence: its licence is empty",
        "           promise: it states the licence of its images",
        "           to mend: Set `licence` in its Dataset, as an SPDX identifier or in words.",
        "10 checks, 1 failed.",
    ]


def test_programs_get_every_outcome(made: Made) -> None:
    outcomes = json.loads(check(made("callback"), "--json").stdout)
    assert [o["status"] for o in outcomes] == ["passed"] * 9
    assert outcomes[-1]["subject"] == "callback faulty"
    assert outcomes[-1]["check"] == "run"


def test_a_plugin_that_is_left_out_is_checked_all_the_same(made: Made) -> None:
    result = check(
        made("dataset", "plugin.py", ("import genzoo\n", "import genzoo\n\nraise SystemExit\n"))
    )
    assert result.exit_code == 1
    assert "failed   import: plugin 'faulty' (genzoo-faulty 0.1.0): SystemExit" in result.stdout
    assert "skipped" in result.stdout


@pytest.mark.parametrize(
    ("name", "hint"), [("genzoo-dcgn", "'genzoo-dcgan'"), ("pydantic", "entry point")]
)
def test_a_distribution_without_a_plugin_is_a_mistake(name: str, hint: str) -> None:
    result = check(name)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: no installed distribution '{name}'")
    assert hint in result.stderr
