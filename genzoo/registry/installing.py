"""Plugins put into this environment and taken out of it, by pip, without importing any of them."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

from genzoo.errors import PluginError, UnknownNameError, did_you_mean
from genzoo.registry.points import Point, canonical, points

__all__ = ["freeze", "install", "owners", "uninstall"]

_PINNED = ("genzoo", "torch", "torchvision", "safetensors")
"""What decides, beside the plugins, which images a model draws."""


def owners() -> dict[str, list[Point]]:
    """Return the installed distributions that have plugins, by canonical name, with them."""
    found: dict[str, list[Point]] = {}
    for point in points():
        found.setdefault(canonical(point.distribution), []).append(point)
    return dict(sorted(found.items()))


def install(requirements: Sequence[str], *, editable: bool = False, upgrade: bool = False) -> str:
    """Install distributions into this environment; return which plugins are new, in words.

    Raises PluginError where pip fails; what it said is on standard error.
    """
    before = _versions()
    each = [part for r in requirements for part in (("--editable", r) if editable else (r,))]
    _pip("install", *(["--upgrade"] if upgrade else []), *each)
    importlib.invalidate_caches()
    after = _versions()
    new = [f"{name} {version}" for name, version in after.items() if before.get(name) != version]
    if new:
        return f"installed {', '.join(new)}"
    return "no plugin is new: what was installed has none, or was here already"


def uninstall(names: Iterable[str]) -> list[str]:
    """Uninstall the distributions of those names, or of plugins of those names; return them.

    Nothing is imported, so that a plugin that ends the interpreter goes as well. Raises
    UnknownNameError for a name that is neither, PluginError for genzoo itself or where pip fails.
    """
    known = owners()
    by_plugin: dict[str, list[str]] = {}
    for owner, own in known.items():
        for point in own:
            by_plugin.setdefault(point.entry.name, []).append(owner)
    found = []
    for name in names:
        if canonical(name) == "genzoo":
            raise PluginError(
                "genzoo itself is no plugin.", hint="Use `pip uninstall genzoo` to take it out."
            )
        if canonical(name) not in known and name not in by_plugin:
            raise UnknownNameError(
                f"no installed plugin is called {name!r}.",
                hint=did_you_mean(name, {*known, *by_plugin}),
            )
        if canonical(name) in known:
            found.append(canonical(name))
        elif len(by_plugin[name]) == 1:
            found += by_plugin[name]
        else:
            raise PluginError(
                f"{' and '.join(by_plugin[name])} both have a plugin {name!r}.",
                hint="Name the distribution.",
            )
    _pip("uninstall", "--yes", *dict.fromkeys(found))
    importlib.invalidate_caches()
    if left := [name for name in dict.fromkeys(found) if name in owners()]:
        raise PluginError(
            f"{' and '.join(left)} could not be uninstalled from this environment.",
            hint="What pip said stands above. To do without: GENZOO_DISABLE=" + ",".join(left),
        )
    return list(dict.fromkeys(found))


def freeze() -> list[str]:
    """Return requirements, one a line, that bring this very zoo back: genzoo, plugins, torch."""
    lines = []
    for name in (*_PINNED[:1], *owners(), *_PINNED[1:]):
        try:
            lines.append(_pin(distribution(name)))
        except PackageNotFoundError:  # run from a checkout that was never installed
            lines.append(f"# {name} is not installed by pip")
    return lines


def _pin(installed: Distribution) -> str:
    text = installed.read_text("direct_url.json")  # PEP 610: of what did not come from an index
    if text is None:
        return f"{installed.name}=={installed.version}"
    try:
        return _by_origin(installed.name, json.loads(text))
    except (ValueError, LookupError, TypeError, AttributeError):  # not as PEP 610 has it
        exact = f"{installed.name}=={installed.version}"
        return f"{exact}  # where it came from cannot be read in its direct_url.json"


def _by_origin(name: str, origin: Any) -> str:
    url, commit = origin["url"], origin.get("vcs_info", {}).get("commit_id")
    inside = f"#subdirectory={origin['subdirectory']}" if origin.get("subdirectory") else ""
    if commit:
        return f"{name} @ {origin['vcs_info']['vcs']}+{url}@{commit}{inside}"
    if origin.get("dir_info", {}).get("editable"):
        return f"--editable {url}"
    return f"{name} @ {url}{inside}"


def _versions() -> dict[str, str]:
    return {name: own[0].version for name, own in owners().items()}


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments]
    # Its output goes where messages go, so that ours alone is on standard output.
    ran = subprocess.run(command, stdout=sys.stderr, check=False)
    if ran.returncode:
        raise PluginError(
            f"`{' '.join(command)}` failed with exit code {ran.returncode}.",
            hint="What pip said stands above. Without pip here: python -m ensurepip.",
        )
