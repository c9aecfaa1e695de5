"""From a distribution's name to all that there is to check of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from genzoo.errors import PluginError, UnknownNameError, did_you_mean
from genzoo.registry.catalog import catalog
from genzoo.registry.discovery import Plugin, Registry, registry
from genzoo.registry.points import DISABLE, canonical
from genzoo.testing.architectures import ARCHITECTURES, ArchitectureBench
from genzoo.testing.checks import Check, Outcome, Suite, run_all
from genzoo.testing.distributions import DISTRIBUTIONS, DistributionBench
from genzoo.testing.parts import CALLBACKS, DATASETS, EXTRACTORS, OBJECTIVES, ObjectiveBench
from genzoo.testing.zoo import ZOO, ModelBench

__all__ = ["SUITES", "Subject", "distributions", "subjects"]

SUITES: dict[str, Suite[Any]] = {
    "distribution": DISTRIBUTIONS,
    "architecture": ARCHITECTURES,
    "objective": OBJECTIVES,
    "dataset": DATASETS,
    "callback": CALLBACKS,
    "extractor": EXTRACTORS,
    "model": ZOO,
}
"""The checks of each kind of subject."""


@dataclass(frozen=True)
class Subject:
    """One thing that a distribution brings, or the distribution itself."""

    kind: str
    name: str
    value: Any
    """What the checks of its kind take."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def checks(self) -> Sequence[Check[Any]]:
        """The checks of its kind, in the order in which they are run."""
        return self._suite.checks

    @property
    def _suite(self) -> Suite[Any]:
        return SUITES[self.kind]

    def run(self) -> Iterator[Outcome]:
        """Run them all."""
        return run_all(self.checks, self.value, str(self))


def distributions() -> list[str]:
    """Return the distributions that have plugins, but for the core and what is switched off."""
    used = {p.distribution for p in registry().plugins if p.status != "disabled"}
    return sorted(used - {"genzoo"})


def subjects(distribution: str) -> list[Subject]:
    """Return what there is to check of a distribution, itself first.

    A model of the core's zoo belongs to the distribution that has its architecture, too. Raises
    UnknownNameError for a distribution that is not installed, or has no plugin.
    """
    known, wanted = registry(), canonical(distribution)
    plugins = tuple(p for p in known.plugins if canonical(p.distribution) == wanted)
    if plugins:
        distribution = plugins[0].distribution
    else:
        installed = {plugin.distribution for plugin in known.plugins}
        raise UnknownNameError(
            f"no installed distribution {distribution!r} has a genzoo plugin.",
            hint=f"{did_you_mean(distribution, installed)} A plugin is an entry point of the "
            "group 'genzoo'; `pip install` finds a new one.",
        )
    if off := [plugin for plugin in plugins if plugin.status == "disabled"]:
        raise PluginError(
            f"{off[0]} is switched off by {DISABLE}, and cannot be checked.",
            hint=f"Take it out of {DISABLE}, and try again.",
        )
    bench = DistributionBench(distribution, plugins)
    return [
        Subject("distribution", distribution, bench),
        *(_part(kind, spec) for plugin in plugins for kind, spec in _brought(plugin)),
        *_models(known, distribution),
    ]


def _brought(plugin: Plugin) -> Iterator[tuple[str, Any]]:
    for kinds, items in plugin.brings.items():
        if kinds != "zoo_configs":
            yield from ((kinds.removesuffix("s"), item) for item in items)


def _part(kind: str, spec: Any) -> Subject:
    bench = {"architecture": ArchitectureBench, "objective": ObjectiveBench}.get(kind)
    return Subject(kind, spec.name, bench(spec) if bench else spec)


def _models(known: Registry, distribution: str) -> Iterator[Subject]:
    for name, entry in catalog().items():
        built_by = entry.config.architecture.name
        own = known.architectures.get(built_by)
        owner = known.owner("architectures", built_by).distribution if own else ""
        if distribution in (entry.distribution, owner) and not (
            distribution == "genzoo" and owner not in ("", "genzoo")
        ):
            yield Subject("model", name, ModelBench(entry))
