"""The entry points that are plugins: whose they are, which are switched off. None is imported."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import NamedTuple, cast

__all__ = [
    "DISABLE",
    "GROUP",
    "Point",
    "canonical",
    "disabled_in_vain",
    "is_disabled",
    "points",
    "required_name",
]

GROUP = "genzoo"
"""The entry points that are plugins."""

OURS = ("genzoo-dcgan", "genzoo-mlp-gan", "genzoo-transformer", "genzoo-vae")
"""The distributions that are made with genzoo, whose names are theirs."""

DISABLE = "GENZOO_DISABLE"
"""The environment variable that switches plugins off: their names, or distributions', by commas."""


class Point(NamedTuple):
    """The entry point of a plugin, and the distribution that has it."""

    entry: EntryPoint
    distribution: str
    version: str


def points() -> list[Point]:
    """Return the entry points of all plugins, in the order in which they are asked.

    Those of genzoo's own makers come first, so that nobody can take their names.
    """
    found = [Point(entry, *_identity(entry)) for entry in entry_points(group=GROUP)]
    return sorted(found, key=lambda p: (p.distribution not in OURS, p.distribution, p.entry.name))


def _identity(entry: EntryPoint) -> tuple[str, str]:
    """Return name and version of an entry point's distribution, as far as there is any."""
    # One reading each: `dist.name` and `dist.version` would parse the metadata anew.
    metadata = cast("Mapping[str, str]", entry.dist.metadata if entry.dist else {})
    # An installation that broke off may lack it: the folder's name says whose it is.
    folder = Path(str(getattr(entry.dist, "_path", ""))).name.removesuffix(".dist-info")
    name, _, version = folder.partition("-")
    return metadata.get("Name") or name or "unknown", metadata.get("Version") or version or "?"


def canonical(name: str) -> str:
    """Return a distribution's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def disabled_in_vain() -> list[str]:
    """Return what GENZOO_DISABLE names that no plugin and no distribution is called."""
    everything = points()
    known = {p.entry.name for p in everything} | {canonical(p.distribution) for p in everything}
    known |= {f"{point.distribution}:{point.entry.name}" for point in everything}
    named = (name.strip() for name in os.environ.get(DISABLE, "").split(","))
    return [name for name in named if name and not {name, canonical(name)} & known]


def required_name(requirement: str) -> str:
    """Return the canonical name of the distribution that a requirement asks for (PEP 508)."""
    return canonical(re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0])


def is_disabled(point: Point) -> bool:
    """Return whether GENZOO_DISABLE names a plugin: by its name or that of its distribution.

    DISTRIBUTION:PLUGIN is for `genzoo plugins doctor`, which must leave out one and no other.
    """
    named = {name.strip() for name in os.environ.get(DISABLE, "").split(",")}
    exactly = f"{point.distribution}:{point.entry.name}"
    by_distribution = canonical(point.distribution) in map(canonical, named)
    return by_distribution or point.entry.name in named or exactly in named
