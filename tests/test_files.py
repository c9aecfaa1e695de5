from __future__ import annotations

import os
from pathlib import Path

import pytest

from genzoo.errors import OutputError
from genzoo.files import atomic_file, atomic_folder, check_writable, write_text

not_as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")


class Interrupted(BaseException):
    """Like KeyboardInterrupt: no Exception."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "a.txt"
    with atomic_file(target) as beside:
        assert not target.exists()
        assert beside.parent == target.parent
        beside.write_text("hello")
    assert target.read_text() == "hello"
    assert names(target.parent) == ["a.txt"]


def test_a_file_is_replaced_at_once(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with atomic_file(target) as beside:
        beside.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, Interrupted])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    def fail(beside: Path) -> None:
        beside.write_text("half")
        raise error

    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error), atomic_file(target) as beside:
        fail(beside)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]
    with pytest.raises(error), atomic_folder(tmp_path / "folder") as folder:
        fail(folder / "half.txt")
    assert names(tmp_path) == ["a.txt"]


def test_files_and_folders_get_the_usual_permissions(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "a")
        with atomic_folder(tmp_path / "folder") as folder:
            (folder / "b.txt").write_text("b")
    finally:
        os.umask(mask)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    with atomic_folder(target) as beside:
        assert not target.exists()
        (beside / "inner").mkdir()
        (beside / "inner" / "a.txt").write_text("hello")
    assert (target / "inner" / "a.txt").read_text() == "hello"
    assert names(target.parent) == ["folder"]


@pytest.mark.parametrize("content", [[], ["old.txt"]])
def test_a_folder_that_exists_is_not_replaced(tmp_path: Path, content: list[str]) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    for name in content:
        (target / name).write_text("old")
    with pytest.raises(OutputError, match="exists"), atomic_folder(target) as beside:
        (beside / "new.txt").write_text("new")
    assert names(target) == content
    assert names(tmp_path) == ["folder"]


def test_text_is_written_as_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Schönheit\n")
    assert (tmp_path / "a.txt").read_bytes() == "Schönheit\n".encode()


def test_a_place_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    target = tmp_path / "file" / "a.txt"
    with pytest.raises(OutputError, match=r"cannot write .*a\.txt") as caught:
        write_text(target, "a")
    assert caught.value.hint
    assert isinstance(caught.value, OSError)
    with pytest.raises(OutputError, match="is not a folder"):
        check_writable(target)
    with pytest.raises(OutputError, match="cannot write"), atomic_folder(target):
        pass


def test_a_folder_is_not_overwritten_by_a_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not a file"):
        write_text(tmp_path, "a")
    with pytest.raises(OutputError, match="it is a folder"):
        check_writable(tmp_path)


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="not a file"):
        write_text(pipe, "a")
    assert pipe.is_fifo()
    assert names(tmp_path) == ["pipe"]


def test_a_name_that_is_too_long_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="too long"):
        write_text(tmp_path / ("a" * 300), "a")


@not_as_root
def test_a_folder_without_permission_cannot_be_written(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    for target in (closed / "a.txt", closed / "new" / "a.txt"):
        with pytest.raises(OutputError, match="Permission denied"):
            write_text(target, "a")
        with pytest.raises(OutputError, match="may not be written to"):
            check_writable(target)


def test_what_can_be_written_is_not_touched_by_the_check(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "a.txt")
    check_writable(tmp_path / "a.txt")
    assert names(tmp_path) == []
