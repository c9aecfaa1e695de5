"""Every error that a person can meet.

Each one says what is wrong (`message`) and what to do next (`hint`). The command line prints both
and exits with code 2; the Python API raises them. Anything else that escapes is a bug of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DataError",
    "DeviceError",
    "GenzooError",
    "LabelError",
    "OutputError",
    "PluginError",
    "TrainingError",
    "UnknownNameError",
    "UnsupportedError",
    "WeightsError",
    "did_you_mean",
    "in_words",
]

_LONGEST = 500  # characters of somebody else's error


class GenzooError(Exception):
    """The base of all of them: `message` says what is wrong, `hint` what to do next."""

    told_elsewhere = False
    """Whether another process of those that work together prints it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UnknownNameError(GenzooError, LookupError):
    """A model, architecture, objective, dataset or callback of that name does not exist."""


class ConfigError(GenzooError, ValueError):
    """A zoo config, an override or an architecture's config is wrong."""


class UnsupportedError(GenzooError, ValueError):
    """What was asked for is well formed, but this architecture or objective cannot do it."""


class LabelError(GenzooError, ValueError):
    """Labels out of range, of the wrong number, or given to a model without classes."""


class DeviceError(GenzooError, ValueError):
    """No such device, or none on this machine."""


class PluginError(GenzooError):
    """A plugin that cannot be used: it raises, speaks another API version or takes a taken name."""


class WeightsError(GenzooError):
    """A weights file that is missing, damaged, or does not fit its networks."""


class DataError(GenzooError):
    """A dataset that is missing, damaged, or does not fit the config."""


class OutputError(GenzooError, OSError):
    """A file or folder that cannot be written, or would be overwritten."""

    def __str__(self) -> str:  # OSError formats its own arguments otherwise
        return GenzooError.__str__(self)


class TrainingError(GenzooError):
    """A run that cannot start or go on: a loss that is not finite, a resume that does not fit."""


def in_words(error: BaseException) -> str:
    """Return what anybody's code raised, in one line, whatever its own words are like."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an error whose words raise as well
        text = ""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 3]}..."
    if isinstance(error, GenzooError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the closest known names, or all of them where none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(repr(c) for c in close)}?"
    return f"Known: {', '.join(names)}." if names else "None is known here."
