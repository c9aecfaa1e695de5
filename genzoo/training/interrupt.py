"""Stopping a run from outside: the step is finished, a checkpoint written, nothing lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

__all__ = ["Interrupted", "StopRequest", "stop_requests"]


class Interrupted(KeyboardInterrupt):
    """A run was stopped by SIGINT or SIGTERM, after its state was saved."""

    def __init__(self, step: int, folder: Path, number: int = signal.SIGINT) -> None:
        super().__init__(f"stopped after step {step}; the state is saved in {folder}")
        self.step = step
        self.folder = folder
        self.number = number
        """The signal's."""


class StopRequest:
    """Whether somebody asked the run to stop, and by which signal."""

    made = False
    number: int = signal.SIGINT


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; the second acts at once, as ever."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # Python gives signals to the main thread alone
        return

    # None stands for a handler that Python cannot put back, because it did not set it.
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        request.made, request.number = True, number
        restore()

    for number in numbers:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
