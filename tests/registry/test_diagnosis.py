"""Each plugin is imported in a process of its own, whatever another did in its."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from genzoo.registry import diagnosis
from genzoo.registry.diagnosis import Cost, all_importable, import_cost

Module = Callable[[str, str], str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """Return a function that writes a module which can be imported here, and returns its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, body: str) -> str:
        (tmp_path / f"{name}.py").write_text(body)
        return name

    return write


def fine(cost: Cost) -> bool:
    return not cost.error and not cost.deadly


def test_what_hangs_is_given_up_and_the_next_is_found(
    module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "_SECONDS", 1)
    cost = import_cost(module("hangs", "while True:\n    pass\n"))
    assert cost.deadly
    assert cost.error == "it is still not imported after 1 seconds"
    assert fine(import_cost(module("good", "")))


def test_who_ends_the_process_that_began_it_does_so_for_itself_alone(module: Module) -> None:
    import_cost(module("deadly", "import os, signal\n\nos.kill(os.getppid(), 9)\n"))
    assert fine(import_cost(module("good", "")))


def test_nothing_is_left_of_what_another_did(module: Module) -> None:
    spoil = "import json, os, sys\n\njson.dumps = open = None\nos.environ.clear()\nprint(1)\n"
    assert fine(import_cost(module("spoils", spoil)))
    assert fine(import_cost(module("good", "import os\n\nos.environ['PATH']\n")))


def test_variables_and_folders_are_those_of_now(
    module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "import os\n\nif os.environ.get('FOR_THIS_TEST'):\n    raise LookupError\n"
    name = module("reads", body)
    assert fine(import_cost(name))
    monkeypatch.setenv("FOR_THIS_TEST", "1")
    assert import_cost(name).error == "LookupError"
    monkeypatch.undo()
    assert import_cost(name).error == "ModuleNotFoundError"


def test_a_plugin_that_takes_the_way_to_the_prober_finds_none(module: Module) -> None:
    body = "import sys\n\nassert sys.stdin.read() == ''\nprint('0', flush=True)\n"
    assert fine(import_cost(module("reads", body)))
    assert fine(import_cost(module("good", "")))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_system_without_fork_finds_the_same(
    module: Module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    diagnosis._end()
    (tmp_path / "sitecustomize.py").write_text("import os\n\ndel os.fork\n")
    deadly = module("deadly", "import os\n\nos._exit(7)\n")
    for _ in range(2):
        assert fine(import_cost(module("good", "")))
        assert import_cost(deadly).error == "it ends Python with exit code 7"
    assert all_importable()
    diagnosis._end()
