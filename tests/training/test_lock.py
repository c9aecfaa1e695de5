"""Who holds a run folder, as another process sees it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from genzoo.errors import OutputError
from genzoo.training.lock import is_running, locked

# As somebody whom permissions bind, as they do not bind root, where it is asked for.
LOOK = """
import os, sys, threading
from pathlib import Path
from genzoo.training.lock import is_running
if os.geteuid() == 0 and "--nobody" in sys.argv:
    os.setuid(65534)
seen = {is_running(Path())}
print(os.access(".lock", os.W_OK), flush=True)
told = threading.Thread(target=sys.stdin.read)
told.start()
while told.is_alive():
    seen.add(is_running(Path()))
print(sorted(seen))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A run folder that may be read by all and written to by none."""
    run = tmp_path / "run"
    with locked(run):
        pass
    (run / ".lock").chmod(0o444)
    run.chmod(0o555)
    yield run
    run.chmod(0o755)
    (run / ".lock").chmod(0o644)


@contextmanager
def looking(folder: Path, *, may_write: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Start a process that looks at a run folder again and again; wait for its first look."""
    command, pipe = [sys.executable, "-c", LOOK], subprocess.PIPE
    command += [] if may_write else ["--nobody"]
    with subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{may_write}\n"
        yield process


def seen(process: subprocess.Popen[str]) -> str:
    """End it; return whether it ever saw a training at work, and whether it ever saw none."""
    out, _ = process.communicate(timeout=60)
    return out.strip()


def test_a_run_at_work_is_seen_by_whoever_may_only_read_its_folder(folder: Path) -> None:
    (folder / ".lock").chmod(0o644)
    with locked(folder):
        (folder / ".lock").chmod(0o444)
        with looking(folder) as process:
            assert seen(process) == "[True]"
    with looking(folder) as process:
        assert seen(process) == "[False]"


def test_those_who_look_at_once_do_not_take_each_other_for_a_training(folder: Path) -> None:
    folder.chmod(0o777)
    (folder / ".lock").chmod(0o666)
    with looking(folder, may_write=True) as one, looking(folder, may_write=True) as other:
        time.sleep(0.5)
        assert (seen(one), seen(other)) == ("[False]", "[False]")


def test_who_looks_keeps_no_training_from_its_folder(folder: Path) -> None:
    (folder / ".lock").chmod(0o644)
    with looking(folder) as process:
        for _ in range(20):
            with locked(folder):
                assert is_running(folder)
        assert "False" in seen(process)
    assert not is_running(folder)


def test_another_training_is_refused(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(OutputError, match="another training") as raised,
        locked(tmp_path),
    ):
        raise AssertionError("two at once")
    assert "--output" in raised.value.hint


def test_a_folder_that_nobody_has_trained_in_is_not_running(tmp_path: Path) -> None:
    assert not is_running(tmp_path)
    assert not is_running(tmp_path / "none")
