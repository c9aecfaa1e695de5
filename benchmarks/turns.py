"""Programs that take turns, each in a process of its own: what cannot be called step by step."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection

from side_by_side import Clock, SideError, last_line, now

__all__ = ["Plan", "Side", "Turns", "alternate"]


class _EnoughError(BaseException):
    """Ends a program from within: no BaseException is caught by what trains."""


@dataclass(frozen=True)
class Plan:
    """How turns go: `warmup` steps once, then in each round `lead` untimed and `chunk` timed ones.

    The lead empties what workers have read ahead while the others had their turn.
    """

    rounds: int
    chunk: int
    lead: int = 0
    warmup: int = 1
    clock: Clock = "wall"

    @property
    def steps(self) -> int:
        """All the steps of one program."""
        return self.warmup + self.rounds * (self.lead + self.chunk)


class Turns:
    """What a program calls after each of its steps; it waits there for its next turn."""

    def __init__(self, connection: Connection, plan: Plan) -> None:
        self.plan = plan
        self.wait_for_device: Callable[[], None] = lambda: None
        """To be replaced where steps are only queued, as on a GPU."""
        self._connection = connection
        self._left = plan.warmup
        self._start = now(plan.clock)

    def step(self) -> None:
        """Note that a step is done."""
        self._left -= 1
        if self._left == self.plan.chunk:
            self._begin()
        if self._left:
            return
        self.wait_for_device()
        self._connection.send(now(self.plan.clock) - self._start)
        if not self._connection.recv():
            raise _EnoughError
        self._left = self.plan.lead + self.plan.chunk
        self._begin()

    def _begin(self) -> None:
        self.wait_for_device()
        self._start = now(self.plan.clock)


Side = Callable[[Turns], None]
"""A program that calls `Turns.step` after each step, for as long as it is let."""


def alternate(sides: Mapping[str, Side], plan: Plan) -> dict[str, list[float]]:
    """Return the seconds of each program's chunks, round by round.

    Each runs in a fresh process of its own, and only one of them at a time; the order is reversed
    from round to round. Raises SideError with the text of the first error.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    with contextlib.ExitStack() as stack:
        ends = {
            name: stack.enter_context(_started(name, side, plan)) for name, side in sides.items()
        }
        for turn in range(plan.rounds):
            for name in list(ends)[:: -1 if turn % 2 else 1]:
                ends[name].send(True)
                seconds[name].append(_answer(name, ends[name]))
        for end in ends.values():
            end.send(False)
    return seconds


@contextlib.contextmanager
def _started(name: str, side: Side, plan: Plan) -> Iterator[Connection]:
    """Yield the line to a program in a process of its own, once it is warm."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(side, plan, there))
    process.start()
    there.close()
    try:
        _answer(name, here)
        yield here
    finally:
        here.close()
        process.join(timeout=10)
        process.kill()


def _answer(name: str, end: Connection) -> float:
    try:
        answer = end.recv()
    except EOFError:
        raise SideError(f"{name}: its process ended without a word") from None
    if isinstance(answer, str):
        raise SideError(f"{name}: {answer}")
    return float(answer)


def _run(side: Side, plan: Plan, connection: Connection) -> None:
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        try:
            side(Turns(connection, plan))
            connection.send("the program ended before its last turn")
        except (_EnoughError, EOFError):  # the latter where the parent itself was stopped
            pass
        except BaseException as error:
            connection.send(f"{type(error).__name__}: {last_line(str(error))}")
