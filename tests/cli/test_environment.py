"""What the machine refuses is one message too, and exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GENZOO = [sys.executable, "-m", "genzoo"]


def shell(command: str, cwd: Path, **variables: str) -> tuple[int, str]:
    """Return the exit code and standard error of `command`, in which $GENZOO is ours."""
    environment = {**os.environ, "GENZOO": " ".join(GENZOO), **variables}
    answer = subprocess.run(
        ["sh", "-c", command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in answer.stderr
    return answer.returncode, answer.stderr


def test_a_current_folder_that_is_gone(tmp_path: Path) -> None:
    code, said = shell("rmdir $PWD && $GENZOO sample dcgan-mnist -o a.png", _made(tmp_path))
    assert code == 2
    assert "No such file or directory" in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux's")
def test_a_full_disk_under_standard_output(tmp_path: Path) -> None:
    code, said = shell("$GENZOO list > /dev/full", tmp_path)
    assert code == 2
    assert "No space left on device" in said


def test_a_closed_standard_output(tmp_path: Path) -> None:
    assert shell("$GENZOO list >&-", tmp_path) == (0, "")


@pytest.mark.parametrize("command", ["list", "info dcgan-mnist"])
def test_a_reader_that_goes_away(tmp_path: Path, command: str) -> None:
    # Gone before anything is written, which `head` need not be.
    read = "import os; os.close(0)"
    reader = f"{sys.executable} -c '{read}'"
    assert shell(f"(sleep 1; $GENZOO {command}) | {reader}", tmp_path) == (0, "")


@pytest.mark.parametrize(
    "variable", [{"GENZOO_DATA": "~no-such-user/data"}, {"XDG_CACHE_HOME": "~no-such-user"}]
)
def test_a_home_folder_that_is_not_there(tmp_path: Path, variable: dict[str, str]) -> None:
    variables = {"GENZOO_DATA": "", **variable}
    code, said = shell("$GENZOO train dcgan-mnist --quiet", tmp_path, **variables)
    assert code == 2
    assert "there is no home folder for ~no-such-user" in said


def test_a_launcher_that_says_half_of_what_is_needed(tmp_path: Path) -> None:
    code, said = shell("$GENZOO train mlp-gan-digits --quiet", tmp_path, LOCAL_RANK="0")
    assert code == 2
    assert "cannot join the other processes" in said


@pytest.mark.parametrize("option", ["--architecture", "--objective", "--dataset"])
def test_a_filter_that_nothing_is_called(tmp_path: Path, option: str) -> None:
    code, said = shell(f"$GENZOO list {option}=dcgn", tmp_path)
    assert code == 2
    assert f"there is no {option.removeprefix('--')} 'dcgn'" in said


def _made(tmp_path: Path) -> Path:
    (tmp_path / "gone").mkdir()
    return tmp_path / "gone"
