"""Why something is not found, or is found slowly: each plugin in a process of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, PackageNotFoundError, version

from genzoo._version import __version__
from genzoo.errors import ConfigError, UnknownNameError, did_you_mean, in_words
from genzoo.files import file_sha256
from genzoo.registry import builtin
from genzoo.registry.catalog import Entry, catalog, local_file, lookup, unavailable
from genzoo.registry.config import read_config
from genzoo.registry.diagnosis import Cost, all_importable, import_cost
from genzoo.registry.discovery import Plugin, registry
from genzoo.registry.points import DISABLE, GROUP, Point, canonical, is_disabled, points

__all__ = ["Diagnosis", "examine"]

_SLOW = 0.2  # seconds: as long as a whole `genzoo list` with the plugins that ship


@dataclass
class Diagnosis:
    """What was found out about one plugin."""

    name: str
    distribution: str
    version: str
    status: str
    """ok, failed, disabled, or superseded by another plugin of the same distribution."""
    seconds: float
    """What finding it takes, beyond what genzoo itself takes."""
    torch: str = ""
    """The line that imports torch when the plugin is listed, "" where none does."""
    problems: list[str] = field(default_factory=list)
    """In words, each with what to do."""
    traceback: str = ""
    """Python's own words where its module or its hooks raise."""


def examine(name: str | None = None) -> list[Diagnosis]:
    """Return what can be said of every plugin, or of those that a name has to do with.

    The name may be that of a plugin, a distribution, a model, or of anything that a plugin brings.
    A plugin that ends the interpreter is found out, and left out here. Raises UnknownNameError for
    a name that nothing here has, with what to do about it.
    """
    os.environ.pop("GENZOO_STRICT", None)  # what it would raise is what is to be told here
    everything = [_CORE, *points()]
    chosen = everything if name is None else _named(name, everything)
    costs = {point: _cost(point) for point in chosen}
    if not all_importable():
        costs |= {point: _cost(point) for point in everything if point not in costs}
    _leave_out([point for point, cost in costs.items() if cost.deadly])
    if name is not None and not chosen:
        chosen = [point for point in everything if _key(point) == _plugin_key(_bringing(name))]
        costs |= {point: _cost(point) for point in chosen}
    found = {_plugin_key(plugin): plugin for plugin in registry().plugins}
    diagnoses = []
    for point in chosen:
        cost, plugin = costs[point], found[_key(point)]
        about = (plugin.name, plugin.distribution, plugin.version, plugin.status)
        diagnosis = Diagnosis(*about, round(cost.seconds, 3))
        diagnosis.torch = cost.heavy.get("torch", "")
        diagnosis.problems = list(_problems(plugin, cost.error if cost.deadly else "", diagnosis))
        diagnosis.traceback = plugin.traceback
        diagnoses.append(diagnosis)
    return diagnoses


_CORE = Point(EntryPoint("genzoo", builtin.__name__, GROUP), "genzoo", __version__)
"""What genzoo itself brings, which has no entry point."""


def _cost(point: Point) -> Cost:
    """Return what finding a plugin takes: nothing, where GENZOO_DISABLE says not to."""
    return Cost(0.0, {}) if is_disabled(point) else import_cost(point.entry.value)


def _named(name: str, among: list[Point]) -> list[Point]:
    wanted = canonical(name)
    return [
        point
        for point in among
        if point.entry.name == name or canonical(point.distribution) == wanted
    ]


def _key(point: Point) -> tuple[str, str, str]:
    return point.distribution, point.entry.name, point.entry.value


def _plugin_key(plugin: Plugin) -> tuple[str, str, str]:
    return plugin.distribution, plugin.name, plugin.module


def _leave_out(deadly: list[Point]) -> None:
    """Let this process, which is to go on, leave plugins out."""
    if deadly:
        names = [f"{point.distribution}:{point.entry.name}" for point in deadly]
        os.environ[DISABLE] = ",".join([os.environ.get(DISABLE, ""), *names])
        registry.cache_clear()


def _bringing(name: str) -> Plugin:
    """Return the plugin that brings something of that name; raise why there is none."""
    known = registry()
    for plugin in known.plugins:
        for items in plugin.brings.values():
            if any(getattr(item, "name", None) == name for item in items):
                return plugin
    if entry := lookup(name):
        problem = unavailable(entry.config, entry.path)
        if problem is not None:
            raise UnknownNameError(f"{name}: {problem[0]}.", hint=problem[1])
        return known.owner("architectures", entry.config.architecture.name)
    for path, plugin in known.zoo_configs():
        if path.stem == name:  # it cannot be read, or it would be in the catalogue
            return plugin
    raise _unknown(name)


def _unknown(name: str) -> UnknownNameError:
    try:
        installed = version(name)
    except (PackageNotFoundError, ValueError):
        pass
    else:
        return UnknownNameError(
            f"{name} {installed} is installed, but has no entry point of the group 'genzoo'.",
            hint="If it is a plugin of yours, put [project.entry-points.genzoo] into its "
            "pyproject.toml and install it again: an editable install reads that only once.",
        )
    known = registry()
    names = {plugin.name for plugin in known.plugins} | {p.distribution for p in known.plugins}
    names |= set(catalog()) | set(known.architectures) | set(known.objectives)
    hint = did_you_mean(name, names)
    wheel = name if re.match("genzoo[-_]", name) else f"genzoo-{canonical(name)}"
    install = f"If it is a plugin, install it here: genzoo plugins install {wheel}"
    close = f"{hint} " if hint.startswith("Did") else ""
    return UnknownNameError(f"nothing here is called {name!r}.", hint=f"{close}{install}")


def _problems(plugin: Plugin, deadly: str, diagnosis: Diagnosis) -> Iterator[str]:
    if deadly:
        diagnosis.status = "failed"
        yield (
            f"{deadly}. Until its author mends it: genzoo plugins uninstall {plugin.distribution}, "
            f"or {DISABLE}={plugin.name}"
        )
    elif plugin.status == "disabled":
        yield f"it is named in {DISABLE}: take it out there"
    elif plugin.status == "failed":
        yield plugin.error
    if diagnosis.torch:
        yield f"torch is imported to list it, at {diagnosis.torch}: import it where it is used"
    elif diagnosis.seconds > _SLOW:
        yield f"finding it takes {diagnosis.seconds:.2f} s: `python -X importtime` says what for"
    yield from _unreadable(plugin)
    built = {architecture.name for architecture in plugin.brings.get("architectures", ())}
    for entry in catalog().values():
        if entry.distribution == plugin.distribution or entry.config.architecture.name in built:
            yield from _stale(entry)


def _unreadable(plugin: Plugin) -> Iterator[str]:
    read = {entry.path for entry in catalog().values()}
    for path, owner in registry().zoo_configs():
        if owner is plugin and path not in read:
            try:
                config = read_config(path)
            except ConfigError as error:
                yield f"a zoo config is left out: {in_words(error)}"
            else:
                owners = [
                    e for e in catalog().values() if {*e.names} & {config.name, *config.aliases}
                ]
                others = ", ".join(f"{e.path} ({e.distribution})" for e in owners)
                yield f"{path} is left out: {config.name!r}, or an alias of it, is that of {others}"


def _stale(entry: Entry) -> Iterator[str]:
    config = entry.config
    if config.weights is None:
        return
    file = local_file(config.weights.uri, entry.path)
    if file is not None and not file.is_file():
        what, fix = unavailable(config, entry.path) or ("weights file missing", "")
        yield f"model {config.name}: {what}: {fix}"
    elif file is not None and file_sha256(file) != config.weights.sha256:
        yield (
            f"model {config.name}: its weights are stale or damaged: {file} is not the file that "
            "the zoo config states. Reinstall the package, or `genzoo publish` the run again"
        )
    elif config.evaluated is not None and config.measured is None:
        yield (
            f"model {config.name}: its figures are stale: they belong to other weights. "
            f"genzoo evaluate {config.name} --write-card"
        )
