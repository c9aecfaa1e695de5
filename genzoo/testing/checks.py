"""Checks: each has a name, says what it looks at, and how to mend what it finds."""

from __future__ import annotations

import contextlib
import random
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch

import genzoo
from genzoo.errors import GenzooError, in_words

__all__ = ["Check", "Failed", "Outcome", "Skipped", "Suite", "run", "run_all", "run_unless"]

S = TypeVar("S")

_GENZOO = Path(genzoo.__file__).parent
_OTHERS = re.compile(
    r"<frozen|[\\/]site-packages[\\/](torch|numpy|pydantic|safetensors|pluggy|accelerate)[\\/]"
    r"|[\\/]lib[\\/]python[\d.]+[\\/](?!site-packages|dist-packages)"
)
"""The files of what genzoo is built on, and of Python itself."""


class Failed(Exception):
    """What a check found, in one sentence."""


class Skipped(Exception):
    """Why a check does not apply, in one sentence."""


@dataclass(frozen=True)
class Check(Generic[S]):
    """One thing that is looked at on a subject of type S."""

    name: str
    about: str
    """What holds where it passes."""
    mend: str
    """What to do where it fails."""
    run: Callable[[S], str | None]
    """Raises Failed or Skipped; whatever else it raises is the plugin's doing, and a failure. May
    return what is worth knowing though it passed."""
    needs: tuple[str, ...] = ()
    """The checks without which this one would only say what they have said already."""


@dataclass(frozen=True)
class Outcome:
    """What became of one check on one subject."""

    subject: str
    check: str
    about: str
    status: Literal["passed", "failed", "skipped"]
    detail: str = ""
    mend: str = ""


class Suite(Generic[S]):
    """The checks of one kind of subject, in the order in which they are run."""

    def __init__(self, *checks: Check[S]) -> None:
        self.checks = list(checks)

    def check(
        self, name: str, about: str, *, mend: str, needs: tuple[str, ...] = ()
    ) -> Callable[[Callable[[S], str | None]], Callable[[S], str | None]]:
        """Return a decorator that adds a function as a check."""

        def add(function: Callable[[S], str | None]) -> Callable[[S], str | None]:
            self.checks.append(Check(name, about, mend, function, needs))
            return function

        return add


def run(check: Check[S], subject: S, title: str) -> Outcome:
    """Run one check; `title` is what the subject is called."""
    outcome = Outcome(title, check.name, check.about, "passed")
    try:
        with _undisturbed():
            return _with(outcome, "passed", check.run(subject) or "")
    except Skipped as skipped:
        return _with(outcome, "skipped", str(skipped))
    except Failed as failed:
        return _with(outcome, "failed", str(failed), check.mend)
    except KeyboardInterrupt:
        raise
    except GenzooError as error:
        return _with(outcome, "failed", in_words(error), check.mend)
    except BaseException as error:  # SystemExit too: whatever a plugin does is its failure
        return _with(outcome, "failed", f"{in_words(error)} ({_place(error)})", check.mend)


def run_all(checks: Iterable[Check[S]], subject: S, title: str) -> Iterator[Outcome]:
    """Run checks in order, those left out that need one that failed or was left out for that."""
    blocked: dict[str, str] = {}
    return (run_unless(blocked, check, subject, title) for check in checks)


def run_unless(blocked: dict[str, str], check: Check[S], subject: S, title: str) -> Outcome:
    """Run one check, or leave it out where `blocked` has one that it needs, with the cause.

    What fails, and what is left out, is added to `blocked`.
    """
    if cause := next((blocked[name] for name in check.needs if name in blocked), ""):
        blocked[check.name] = cause
        why = f"it needs {cause!r}, which failed"
        return Outcome(title, check.name, check.about, "skipped", why)
    outcome = run(check, subject, title)
    if outcome.status == "failed":
        blocked[check.name] = check.name
    return outcome


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Leave the global generators as they were: checks seed them, as others do."""
    python, array = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(array)


def _with(outcome: Outcome, status: Any, detail: str, mend: str = "") -> Outcome:
    return Outcome(outcome.subject, outcome.check, outcome.about, status, detail, mend)


def _place(error: BaseException) -> str:
    """Return the innermost line that is not of genzoo or what it builds on: the plugin's own."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not Path(frame.filename).is_relative_to(_GENZOO)]
    own = [frame for frame in own if not _OTHERS.search(frame.filename)]
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}, in {last.name}"
