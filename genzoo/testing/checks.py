"""Checks: each has a name, says what it looks at, and how to mend what it finds."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from genzoo.errors import GenzooError

__all__ = ["Check", "Failed", "Outcome", "Skipped", "Suite", "run", "run_all"]

S = TypeVar("S")


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
    run: Callable[[S], None]
    """Raises Failed or Skipped; whatever else it raises is the plugin's doing, and a failure."""
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
    ) -> Callable[[Callable[[S], None]], Callable[[S], None]]:
        """Return a decorator that adds a function as a check."""

        def add(function: Callable[[S], None]) -> Callable[[S], None]:
            self.checks.append(Check(name, about, mend, function, needs))
            return function

        return add


def run(check: Check[S], subject: S, title: str) -> Outcome:
    """Run one check; `title` is what the subject is called."""
    outcome = Outcome(title, check.name, check.about, "passed")
    try:
        check.run(subject)
    except Skipped as skipped:
        return _with(outcome, "skipped", str(skipped))
    except Failed as failed:
        return _with(outcome, "failed", str(failed), check.mend)
    except GenzooError as error:
        return _with(outcome, "failed", " ".join(str(error).split()), check.mend)
    except (Exception, SystemExit) as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return _with(outcome, "failed", f"{text} ({_place(error)})", check.mend)
    return outcome


def run_all(checks: Iterable[Check[S]], subject: S, title: str) -> Iterator[Outcome]:
    """Run checks in order, those left out that need one that failed or was left out for that."""
    blocked: dict[str, str] = {}
    for check in checks:
        if cause := next((blocked[name] for name in check.needs if name in blocked), ""):
            blocked[check.name] = cause
            why = f"it needs {cause!r}, which failed"
            yield Outcome(title, check.name, check.about, "skipped", why)
            continue
        outcome = run(check, subject, title)
        if outcome.status == "failed":
            blocked[check.name] = check.name
        yield outcome


def _with(outcome: Outcome, status: Any, detail: str, mend: str = "") -> Outcome:
    return Outcome(outcome.subject, outcome.check, outcome.about, status, detail, mend)


def _place(error: BaseException) -> str:
    """Return the innermost line that is not a library's: most often the plugin's own."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not {"site-packages", "importlib"} & set(Path(f.filename).parts)]
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}, in {last.name}"
