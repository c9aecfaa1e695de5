"""Who watches a run: the callbacks that the hook brings, in order, and those of the caller."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from genzoo.errors import (
    ConfigError,
    GenzooError,
    PluginError,
    UnknownNameError,
    did_you_mean,
    in_words,
)
from genzoo.registry import specs
from genzoo.registry.discovery import registry
from genzoo.registry.specs import resolve
from genzoo.training.callbacks import Callback, Run

__all__ = ["IndispensableError", "Watchers", "build_callback", "chosen"]


@dataclass(frozen=True)
class _Watcher:
    name: str
    callback: Callback
    spec: specs.Callback | None = None
    """None for a callback that the caller passed."""


class Watchers:
    """Callbacks, called one after the other.

    One that a plugin brings is named and left out from its first error on, for a run of hours must
    not end by what only watches it. What the caller passes is the caller's own: its errors are
    raised. One whose descriptor says `required` ends the run, by an IndispensableError.
    """

    def __init__(
        self, by_hook: Iterable[specs.Callback] = (), by_caller: Sequence[Callback] = ()
    ) -> None:
        self._watchers: list[_Watcher] = []
        for spec in sorted(by_hook, key=lambda spec: (spec.order, spec.name)):
            try:
                built = build_callback(spec)
            except (Exception, SystemExit) as error:
                # What is off unless asked for was asked for: to go without would be no answer.
                if spec.required or not spec.default:
                    _end(spec.name, "when it was built", error)
                _leave_out(spec.name, "when it was built", error)
            else:
                self._watchers.append(_Watcher(spec.name, built, spec))
        self._watchers += [_Watcher(type(c).__name__, c) for c in by_caller]

    def __bool__(self) -> bool:
        return bool(self._watchers)

    def call(self, event: str, run: Run, *arguments: object) -> None:
        """Tell every callback, in order, that `event` (a method of Callback) has come."""
        for watcher in tuple(self._watchers):
            if watcher not in self._watchers:
                continue  # left out meanwhile: a callback may announce an event to all, as we do
            try:
                getattr(watcher.callback, event)(run, *arguments)
            except (Exception, SystemExit) as error:
                when = f"in {event}, after step {run.step}"
                if watcher.spec is None:
                    raise
                if watcher.spec.required:
                    _end(watcher.name, when, error)
                self._watchers.remove(watcher)
                _leave_out(watcher.name, when, error)


class IndispensableError(PluginError):
    """A callback failed that the run may not go on without."""


def _end(name: str, when: str, error: BaseException) -> NoReturn:
    if isinstance(error, GenzooError):
        raise error  # it says itself what is wrong and what to do
    raise IndispensableError(
        _failed(name, when, error),
        hint=f"--resume goes on from the newest checkpoint, --without {name} does without it.",
    ) from error


def _leave_out(name: str, when: str, error: BaseException) -> None:
    print(f"genzoo: {_failed(name, when, error)} The run goes on without it.", file=sys.stderr)


def _failed(name: str, when: str, error: BaseException) -> str:
    owner = registry().owner("callbacks", name)
    return f"callback {name!r} of {owner} failed {when}: {in_words(error).rstrip('.')}."


def chosen(wanted: Collection[str] = (), without: Collection[str] = ()) -> list[specs.Callback]:
    """Return the callbacks of a run: those on by default and those wanted, but none of `without`.

    Raises UnknownNameError for a name that no plugin brings, ConfigError for one that is in both.
    """
    known = registry().callbacks
    for name in (*wanted, *without):
        if name not in known:
            raise UnknownNameError(
                f"no callback is called {name!r}.", hint=did_you_mean(name, known)
            )
    if both := sorted({*wanted} & {*without}):
        raise ConfigError(
            f"the callback {both[0]!r} is asked for, and to be done without.",
            hint="Say one of the two.",
        )
    return [
        spec
        for name, spec in known.items()
        if name not in without and (spec.default or name in wanted)
    ]


def build_callback(spec: specs.Callback) -> Callback:
    """Return the callback that a descriptor names; PluginError where its factory builds none."""
    built = resolve(spec.factory)()
    if not isinstance(built, Callback):
        raise PluginError(
            f"callback {spec.name!r} built {built!r}.",
            hint="Its factory must return a genzoo.training.callbacks.Callback.",
        )
    return built
