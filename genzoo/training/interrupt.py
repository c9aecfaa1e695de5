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

    def __init__(self, step: int, folder: Path) -> None:
        super().__init__(f"stopped after step {step}; the state is saved in {folder}")
        self.step = step
        self.folder = folder


class StopRequest:
    """Whether somebody asked the run to stop."""

    made = False


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; the second acts at once, as it always did."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # Python gives signals to the main thread alone
        return

    def note(number: int, frame: FrameType | None) -> None:
        request.made = True
        signal.signal(number, before[number])

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
