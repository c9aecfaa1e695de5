"""One run folder, one run: a lock that goes with its process, however that ends."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from genzoo.errors import OutputError
from genzoo.training.run_folder import LOCK

__all__ = ["is_running", "locked"]

_HELD = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK})  # as filelock takes them


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder, which is made where it is not there.

    Raises OutputError where another training holds it, or it cannot be written. A drive that knows
    no locks is written to without.
    """
    # A moment, because who asks whether it is held holds it as long.
    lock = FileLock(folder / LOCK, timeout=1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise OutputError(
            f"another training is at work in {folder}.",
            hint="Wait for it, stop it, or choose another folder with --output.",
        ) from None
    except NotImplementedError:
        pass
    except OSError as error:
        raise OutputError(
            f"cannot write {folder}: {error.strerror or error}.",
            hint="Choose a place that can be written, with room left.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_running(folder: Path) -> bool:
    """Return whether a training is at work in a run folder, as far as this machine can tell."""
    file = folder / LOCK
    if not os.path.isfile(file):
        return False
    if sys.platform == "win32":
        return _is_taken(file)
    import fcntl

    try:
        # Shared, and by a descriptor that only reads: anybody may ask, and any number at once.
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        # Where a drive knows no such lock, filelock has another.
        return error.errno in _HELD or (error.errno == errno.ENOSYS and _is_taken(file))
    finally:
        os.close(descriptor)
    return False


def _is_taken(file: Path) -> bool:
    lock = FileLock(file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except (OSError, NotImplementedError):  # it may be read and not written to, or knows no locks
        return False
    lock.release()
    return False
