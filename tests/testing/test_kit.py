"""The base class that plugins' tests subclass, as pytest runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from genzoo.testing import PluginTests

Made = Callable[..., str]

TESTS = """
from genzoo.testing import PluginTests


class TestPlugin(PluginTests):
    distribution = "genzoo-faulty"
    skip = {skip}
"""


@pytest.fixture
def ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Return a function that runs the tests of the plugin in `site`, and returns pytest's words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PluginTests, "_blocked", {})  # by the pytest that runs this

    def run(**skip: str) -> str:
        file = tmp_path / f"test_{tmp_path.name}.py"  # a module of its own in this process
        file.write_text(TESTS.replace("{skip}", repr(skip)))
        options = ("-q", "-rs", "-p", "no:cacheprovider", "--import-mode=importlib")
        pytest.main([*options, str(file)])
        return capsys.readouterr().out

    return run


def test_one_fault_fails_one_test_and_what_rests_on_it_is_left_out(
    made: Made, ran: Callable[..., str]
) -> None:
    made("dataset", "plugin.py", ("import genzoo\n", "import genzoo\n\nraise SystemExit\n"))
    said = ran()
    assert "1 failed" in said
    assert "To mend: Run `python -c 'import MODULE'`" in said
    assert "it needs 'import', which failed" in said


def test_a_check_is_left_out_with_its_reason(made: Made, ran: Callable[..., str]) -> None:
    made("dataset", "plugin.py", ('licence="Apache-2.0"', 'licence=""'))
    said = ran(licence="nobody knows whose images these are")
    assert "failed" not in said
    assert "nobody knows whose images these are" in said


def test_a_check_that_there_is_not_cannot_be_left_out(made: Made, ran: Callable[..., str]) -> None:
    made("dataset")
    said = ran(license="misspelt")
    assert "TestPlugin.skip names no check: 'license'" in said
    assert "'licence'" in said
