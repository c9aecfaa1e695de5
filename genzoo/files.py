"""Files and folders that appear whole or not at all: write beside, fsync, rename."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genzoo.errors import OutputError

__all__ = [
    "atomic_file",
    "atomic_folder",
    "check_writable",
    "expand_home",
    "file_sha256",
    "user_cache",
    "write_text",
]


def expand_home(path: Path) -> Path:
    """Return the path with `~` replaced by the home folder; OutputError where there is none."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise OutputError(
            f"there is no home folder for {path}.", hint="Write the folder out, without ~."
        ) from None


def user_cache() -> Path:
    """Return genzoo's folder in the user's cache folder, which XDG_CACHE_HOME may name."""
    return expand_home(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "genzoo"


def check_writable(path: Path) -> None:
    """Raise OutputError where it is plain that a file cannot be written; write nothing."""
    if os.path.isdir(path):  # unlike Path's, os.path's tests are False where one may not look
        raise OutputError(f"cannot write {path}: it is a folder.", hint="Give the name of a file.")
    place = next(parent for parent in path.absolute().parents if os.path.exists(parent))
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        reason = "may not be written to" if place.is_dir() else "is not a folder"
        raise OutputError(
            f"cannot write {path}: {place} {reason}.", hint="Choose a place that can be written."
        )


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it becomes `path`, else nothing is left.

    Raises OutputError where that fails, and for a `path` that is there and no regular file.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)  # first: `new/../there` is there only then
        if path.exists() and not path.is_file():
            # To rename onto a device would replace the device itself.
            raise OutputError(
                f"cannot write {path}: it is there already, and not a file.",
                hint="Give the name of a file.",
            )
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        beside = Path(name)
        try:
            yield beside
            beside.chmod(0o666 & ~_umask())  # mkstemp's 0600 would keep others from reading it
            _sync(beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        _sync(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path` to fill; on success it becomes `path`, else nothing is left.

    Raises OutputError where that fails, and where `path` exists.
    """
    with _explained(path):
        if path.exists():  # a rename would replace an empty folder in silence
            raise FileExistsError(errno.EEXIST, "it exists already")
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            yield beside
            beside.chmod(0o777 & ~_umask())
            for file in [*beside.rglob("*"), beside]:
                _sync(file)
            beside.rename(path)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        _sync(path.parent)


def file_sha256(path: Path) -> str:
    """Return the hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic_file(path) as beside:
        beside.write_text(text, encoding="utf-8")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {path}: {reason}.",
            hint="Choose a place that can be written, with room left.",
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
