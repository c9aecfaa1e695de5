"""Stopping a run from outside: the step is finished, a checkpoint written, nothing lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

__all__ = ["APART", "Interrupted", "StopRequest", "stop_requests"]


APART = 1.0
"""Seconds after which another SIGINT is a person's who will not wait."""


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
    """Turn SIGINT and SIGTERM into a request; a second SIGINT, `APART` or more later, acts at once.

    A scheduler that signals all processes of a job, and a launcher that hands on what it gets,
    together send the same signal twice: that is no second wish.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # Python gives signals to the main thread alone
        return

    # None stands for a handler that Python cannot put back, because it did not set it.
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in numbers}
    asked_at = 0.0

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked_at
        now = time.monotonic()
        if not request.made:
            request.made, request.number, asked_at = True, number, now
        elif number == signal.SIGINT and now - asked_at >= APART:
            restore()
            signal.raise_signal(number)

    for number in numbers:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
