"""From a name to the source tree of a distribution that installs, passes its tests and trains."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from genzoo._version import __version__
from genzoo.errors import OutputError, UnsupportedError
from genzoo.files import atomic_folder
from genzoo.registry.discovery import registry
from genzoo.registry.specs import NAME
from genzoo.scaffolding import Kind

__all__ = ["write_distribution"]

_TEMPLATES = Path(__file__).parent / "templates"
_PREFIX = "genzoo-"
_LONGEST = 50  # of names in package indexes and file names, with room for prefix and suffix

_SUMMARIES = {
    "architecture": "A small convolutional generator and discriminator",
    "objective": "A generator matches the moments of images under several kernels",
    "dataset": "Discs, squares and triangles of random size and place",
    "callback": "Warns when the images that a model draws become all alike",
}

_TESTED_WITH = {"callback": ("genzoo-mlp-gan",)}
"""What the tests of a kind need besides: a callback watches the training of an architecture."""


def write_distribution(
    name: str,
    kind: Kind = "architecture",
    *,
    parent: Path = Path(),
    summary: str = "",
    licence: str = "Apache-2.0",
) -> Path:
    """Write genzoo-NAME under `parent` and return its folder; nothing is ever overwritten.

    Raises UnsupportedError for a name that pip, Python or genzoo would refuse or that is taken
    here, and OutputError where the folder is there already or cannot be written.
    """
    short = name.removeprefix(_PREFIX)
    _check_name(name, short, kind)
    try:
        licence = canonicalize_license_expression(licence)  # a wheel with another is not built
    except InvalidLicenseExpression:
        raise UnsupportedError(
            f"the licence {licence!r} is no SPDX expression.",
            hint="Give one such as Apache-2.0, MIT or BSD-3-Clause (spdx.org/licenses has them), "
            "or LicenseRef-NAME for a licence of your own.",
        ) from None
    summary = " ".join(summary.split()) or _SUMMARIES[kind]
    if any(c in summary for c in "\"\\{}:#'") or not summary.isprintable():
        raise UnsupportedError(
            f"the summary {summary!r} has characters that files in TOML and YAML give a meaning.",
            hint="Use plain words, without quotes, colons, backslashes, braces or #.",
        )
    if os.path.lexists(parent) and not parent.is_dir():
        raise OutputError(f"cannot write to {parent}: it is no folder.", hint="Give a folder.")
    target = parent / f"{_PREFIX}{short}"
    if os.path.lexists(target):
        raise OutputError(
            f"{target} is there already.", hint="Choose another name, or another --output."
        )
    words = {
        "new-name": short,
        "new_name": short.replace("-", "_"),
        "NewName": "".join(part.capitalize() for part in short.split("-")),
        "SUMMARY": f"{summary.rstrip('.')}.",
        "LICENCE": licence,
        "RANGE": _range(__version__),
        "DEV": '", "'.join(("pytest>=8.3", *_TESTED_WITH.get(kind, ()))),
    }
    with atomic_folder(target) as beside:
        for path, text in _files(kind):
            file = beside / _replaced(path.as_posix(), words)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_replaced(text, words), encoding="utf-8")
    return target


def _check_name(name: str, short: str, kind: Kind) -> None:
    if not re.fullmatch(NAME, short) or short[0].isdigit() or len(short) > _LONGEST:
        raise UnsupportedError(
            f"{name!r} cannot name a distribution, a Python package and its classes.",
            hint="Use lower-case letters, digits and single hyphens, a letter first, as in "
            f"'my-gan'; {_LONGEST} characters at most.",
        )
    known = registry()
    for owner in known.plugins:
        if owner.distribution == f"{_PREFIX}{short}":
            raise UnsupportedError(
                f"{owner.distribution} {owner.version} is installed already.",
                hint="Choose another name, or uninstall it.",
            )
    if short in getattr(known, f"{kind}s"):
        raise UnsupportedError(
            f"{kind} {short!r} is already brought by {known.owner(f'{kind}s', short)}.",
            hint="Choose another name.",
        )


def _range(version: str) -> str:
    """Return the versions that a plugin written for this one goes with (docs/plugin-api.md)."""
    major, minor = map(int, version.split(".")[:2])
    return f">={major}.{minor},<{major}.{minor + 1}"


def _files(kind: Kind) -> Iterator[tuple[Path, str]]:
    for folder in (_TEMPLATES / "common", _TEMPLATES / kind):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(folder), path.read_text(encoding="utf-8")


def _replaced(text: str, words: dict[str, str]) -> str:
    return re.sub("|".join(map(re.escape, words)), lambda match: words[match[0]], text)
