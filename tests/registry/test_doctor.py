"""`genzoo plugins doctor`: each way in which a plugin can go missing is named, with what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Doctor = Callable[..., dict[str, dict[str, Any]]]

GOOD = """
    import genzoo

    @genzoo.hookimpl
    def genzoo_objectives():
        return [genzoo.Objective(name="%s", summary="s", config="a:b", factory="a:b")]
"""


@pytest.fixture
def plugin(distribution: Callable[..., Path]) -> Callable[..., None]:
    """Return a function that installs a plugin of one module."""

    def install(name: str, body: str, version: str = "1.0") -> None:
        module = name.replace("-", "_")
        distribution(f"genzoo-{name}", version, {name: module}, {f"{module}.py": body})

    return install


@pytest.fixture
def doctor(python: Callable[..., Any]) -> Doctor:
    """Return a function that runs the doctor in a process of its own, and returns its rows."""

    def run(name: str = "", **environment: str) -> dict[str, dict[str, Any]]:
        arguments = ["genzoo", "plugins", "doctor", *([name] if name else []), "--json"]
        code = f"import sys; sys.argv = {arguments}; from genzoo.cli.main import run; run()"
        answer = python(code, **environment)
        assert answer.returncode in (0, 1), answer.stderr
        rows = {row["name"]: row for row in json.loads(answer.stdout)}
        assert (answer.returncode == 1) == any(row["problems"] for row in rows.values())
        return rows

    return run


def only_problem(row: dict[str, Any]) -> str:
    (problem,) = row["problems"]
    return str(problem)


def test_where_nothing_is_wrong_nothing_is_said(plugin: Any, doctor: Doctor) -> None:
    plugin("good", GOOD % "good")
    row = doctor("good")["good"]
    assert row["status"] == "ok"
    assert row["problems"] == []
    assert 0 <= row["seconds"] < 1
    assert row["torch"] == ""


def test_an_import_error_has_its_traceback(plugin: Any, doctor: Doctor) -> None:
    plugin("bad", "import math\n\nmath.sqrt(-1)\n")
    row = doctor("bad")["bad"]
    assert row["status"] == "failed"
    assert only_problem(row).startswith("ValueError: ")
    assert "bad.py" in row["traceback"]
    assert "line 3" in row["traceback"]


def test_a_plugin_that_raises_system_exit_is_one_that_fails(plugin: Any, doctor: Doctor) -> None:
    plugin("exits", "raise SystemExit(3)")
    assert only_problem(doctor("exits")["exits"]) == "SystemExit: 3"


def test_a_plugin_that_ends_python_is_found_out_and_the_others_are_examined(
    plugin: Any, doctor: Doctor
) -> None:
    plugin("deadly", "import os\n\nos._exit(7)\n")
    plugin("good", GOOD % "good")
    rows = doctor()
    assert rows["deadly"]["status"] == "failed"
    problem = only_problem(rows["deadly"])
    assert "it ends Python with exit code 7" in problem
    assert "genzoo plugins uninstall genzoo-deadly" in problem
    assert "GENZOO_DISABLE=deadly" in problem
    assert rows["good"]["status"] == "ok"


def test_one_plugin_is_examined_though_another_ends_python(plugin: Any, doctor: Doctor) -> None:
    plugin("deadly", "import os\n\nos._exit(7)\n")
    plugin("good", GOOD % "good")
    for name in ("genzoo-good", "good", "dcgan-mnist"):
        (row,) = doctor(name).values()
        assert row["problems"] == []
    (row,) = doctor("deadly", GENZOO_DISABLE="genzoo_deadly").values()
    assert row["status"] == "disabled"


def test_what_raises_no_exception_but_something_else_is_one_plugin_s_failure(
    plugin: Any, doctor: Doctor
) -> None:
    plugin("panics", "class Panic(BaseException): pass\n\nraise Panic('out of rust')\n")
    assert only_problem(doctor()["panics"]) == "Panic: out of rust"


def test_a_half_removed_distribution_stops_nothing(
    plugin: Any, doctor: Doctor, site: Path, python: Any
) -> None:
    plugin("half", "")
    (site / "genzoo_half-1.0.dist-info" / "METADATA").unlink()
    (site / "half.py").unlink()
    row = doctor("genzoo-half")["half"]
    assert (row["distribution"], row["version"]) == ("genzoo_half", "1.0")
    assert "No module named 'half'" in only_problem(row)
    assert "half" not in python("import genzoo; print(genzoo.list_models())").stdout


def test_what_lies_in_this_folder_is_not_imported(
    plugin: Any, doctor: Doctor, tmp_path: Path
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(4)")
    plugin("good", GOOD % "good")
    assert doctor("good", PYTHONSAFEPATH="1")["good"]["problems"] == []


def test_genzoo_itself_is_examined_as_well(doctor: Doctor) -> None:
    for name in ("genzoo", "adversarial", "mnist"):
        (row,) = doctor(name).values()
        assert (row["name"], row["status"], row["problems"]) == ("genzoo", "ok", [])


def test_nothing_is_raised_though_strictness_is_asked_for(plugin: Any, doctor: Doctor) -> None:
    plugin("bad", "import math\n\nmath.sqrt(-1)\n")
    assert only_problem(doctor("bad", GENZOO_STRICT="1")["bad"]).startswith("ValueError: ")


def test_a_name_conflict_names_both_owners(plugin: Any, doctor: Doctor) -> None:
    plugin("one", GOOD % "same")
    plugin("two", GOOD % "same", version="2.5")
    row = doctor("two")["two"]
    assert (row["distribution"], row["version"]) == ("genzoo-two", "2.5")
    assert "'same' is already brought by plugin 'one' (genzoo-one 1.0)" in only_problem(row)


def test_another_api_version_is_named(plugin: Any, doctor: Doctor) -> None:
    plugin("old", (GOOD % "old").replace('summary="s"', 'summary="s", api_version=0'))
    assert "api_version 0" in only_problem(doctor("old")["old"])


def test_who_imports_torch_is_told_by_file_and_line(
    plugin: Any, doctor: Doctor, site: Path
) -> None:
    (site / "helper.py").write_text("# slow\nimport torch\n")
    plugin("slow", f"import helper\n{GOOD % 'slow'}".replace("\n    ", "\n"))
    row = doctor("slow")["slow"]
    assert row["torch"] == f"{site / 'helper.py'}:2"
    assert f"at {site / 'helper.py'}:2" in only_problem(row)
    assert row["seconds"] > 0.2


def test_a_plugin_that_is_switched_off_is_said_to_be(plugin: Any, doctor: Doctor) -> None:
    plugin("good", GOOD % "good")
    for name in ("good", "genzoo-good"):
        row = doctor("good", GENZOO_DISABLE=f"other, {name}")["good"]
        assert row["status"] == "disabled"
        assert "GENZOO_DISABLE" in only_problem(row)


def test_it_is_found_by_what_it_brings_and_by_its_distribution(plugin: Any, doctor: Doctor) -> None:
    plugin("good", GOOD % "very-good")
    assert doctor("very-good").keys() == {"good"}
    assert doctor("Genzoo_Good").keys() == {"good"}
    assert doctor("vae-mnist").keys() == {"vae"}


MODEL = """
name: %s
image: {channels: 1, height: 8, width: 8}
classes: 10
architecture: {name: mlp-gan}
objective: {name: adversarial}
dataset: {name: digits}
training: {steps: 1}
card: {summary: s, licence: MIT, dataset_licence: CC-BY-4.0, intended_use: tests}
"""
BRINGS_MODEL = """
    from pathlib import Path
    import genzoo

    @genzoo.hookimpl
    def genzoo_zoo_configs():
        return [Path(__file__).with_name("%s.yaml")]
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MODEL % "own-digits" + "klasses: 3\n", "own-digits.yaml: klasses"),
        (MODEL % "dcgan-mnist", "is that of"),
        (None, "own-digits.yaml"),
    ],
)
def test_a_zoo_config_that_is_left_out_is_told(
    text: str | None, said: str, plugin: Any, doctor: Doctor, site: Path
) -> None:
    plugin("own", BRINGS_MODEL % "own-digits")
    if text is not None:
        (site / "own-digits.yaml").write_text(text)
    for name in ("own", "own-digits"):
        assert said in only_problem(doctor(name)["own"])


def test_a_model_whose_weights_are_not_what_its_config_says_is_stale(
    plugin: Any, doctor: Doctor, site: Path
) -> None:
    plugin("stale", BRINGS_MODEL % "stale")
    (site / "stale.safetensors").write_bytes(b"other weights")
    weights = f"weights: {{uri: stale.safetensors, sha256: {'0' * 64}, size: 1, parameters: 1}}\n"
    (site / "stale.yaml").write_text(MODEL % "stale-digits" + weights)
    problem = only_problem(doctor("stale")["stale"])
    assert "model stale-digits: its weights are stale or damaged" in problem


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pydantic", "has no entry point of the group 'genzoo'"),
        ("genzoo-fish", "genzoo plugins install genzoo-fish"),
        ("fish", "genzoo plugins install genzoo-fish"),
        ("dcgn", "Did you mean 'dcgan'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_to_do(name: str, said: str, python: Any) -> None:
    code = f"import sys; sys.argv = ['genzoo', 'plugins', 'doctor', {name!r}]"
    answer = python(f"{code}; from genzoo.cli.main import run; run()")
    assert answer.returncode == 2
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_disabled_plugin_is_not_imported_and_not_complained_of(plugin: Any, python: Any) -> None:
    plugin("deadly", "import os\n\nos._exit(7)\n")
    code = "import genzoo; print(len(genzoo.list_models()))"
    assert python(code).returncode == 7
    answer = python(code, GENZOO_DISABLE="deadly")
    assert answer.returncode == 0
    assert answer.stderr == ""
