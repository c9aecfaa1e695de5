"""Entry points -> plugins, one bad plugin isolated from the rest.

pluggy's own `load_setuptools_entrypoints` stops at the first plugin that raises, hence a loop of
our own.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Literal, TypeVar

import pluggy

from genzoo._version import __version__
from genzoo.errors import PluginError, UnknownNameError, did_you_mean, in_words
from genzoo.registry import builtin, hookspecs
from genzoo.registry.points import DISABLE, canonical, is_disabled, points, required_name
from genzoo.registry.specs import API_VERSION, Architecture, Callback, Dataset, Extractor, Objective

__all__ = [
    "Fault",
    "Plugin",
    "Registry",
    "collect",
    "registry",
    "strict",
]

Fault = Literal["", "import", "hooks", "api-version", "names", "disabled", "superseded"]
"""Where a plugin failed: when its module was imported, its hooks were called, the API version that
it speaks or the names that it claims were looked at. Or why it is not meant to be used: it is
switched off by GENZOO_DISABLE, or its distribution has another for this API version."""

_KINDS: Mapping[str, type] = {
    "architectures": Architecture,
    "objectives": Objective,
    "datasets": Dataset,
    "zoo_configs": Path,
    "callbacks": Callback,
    "extractors": Extractor,
}

T = TypeVar("T")


@dataclass(frozen=True)
class Plugin:
    """One entry point of group `genzoo`: where it comes from, and what it brings or why not."""

    name: str
    distribution: str
    version: str
    module: str
    brings: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    error: str = ""
    fault: Fault = ""
    traceback: str = ""
    """Python's own words for the error, for the plugin's author."""

    @property
    def status(self) -> Literal["ok", "failed", "disabled", "superseded"]:
        """Whether it is used, and if not, whether that is anybody's wish."""
        if self.fault == "disabled" or self.fault == "superseded":
            return self.fault
        return "failed" if self.error else "ok"

    def __str__(self) -> str:
        return f"plugin {self.name!r} ({self.distribution} {self.version})"


@dataclass(frozen=True)
class Registry:
    """All that the installed plugins bring, by name."""

    plugins: tuple[Plugin, ...]

    def _all(self, kind: str) -> dict[str, tuple[Any, Plugin]]:
        return {
            item.name: (item, plugin)
            for plugin in self.plugins
            for item in plugin.brings.get(kind, ())
        }

    def _names(self, kind: str) -> dict[str, Any]:
        return {name: item for name, (item, _) in sorted(self._all(kind).items())}

    @property
    def architectures(self) -> dict[str, Architecture]:
        """The architectures, sorted by name."""
        return self._names("architectures")

    @property
    def objectives(self) -> dict[str, Objective]:
        """The objectives, sorted by name."""
        return self._names("objectives")

    @property
    def datasets(self) -> dict[str, Dataset]:
        """The datasets, sorted by name."""
        return self._names("datasets")

    @property
    def callbacks(self) -> dict[str, Callback]:
        """The callbacks, sorted by name."""
        return self._names("callbacks")

    @property
    def extractors(self) -> dict[str, Extractor]:
        """The feature extractors, sorted by name."""
        return self._names("extractors")

    def remedy(self, requires: Iterable[str]) -> str:
        """Return what to do to have what these distributions bring, "" where they are all here."""
        names = {required_name(requirement): requirement for requirement in requires}
        for plugin in self.plugins:
            if plugin.error and canonical(plugin.distribution) in names:
                return f"{plugin} is installed, but left out: {plugin.error}"
        # To install again what is here already would not bring a name that is merely mistyped.
        installed = {canonical(plugin.distribution) for plugin in self.plugins}
        missing = [requirement for name, requirement in names.items() if name not in installed]
        return f"pip install {' '.join(missing)}" if missing else ""

    def owner(self, kind: str, name: str) -> Plugin:
        """Return the plugin that brings `name`."""
        plugin: Plugin = self._all(kind)[name][1]
        return plugin

    def zoo_configs(self) -> list[tuple[Path, Plugin]]:
        """Return the YAML files of all plugins, those in their folders included."""
        return [
            (file, plugin)
            for plugin in self.plugins
            for path in plugin.brings.get("zoo_configs", ())
            for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])
        ]

    def architecture(self, name: str, requires: Iterable[str] = ()) -> Architecture:
        """Return the architecture of that name; `requires` is what to install to have it."""
        return _get(self.architectures, "architecture", name, self.remedy(requires))

    def objective(self, name: str, requires: Iterable[str] = ()) -> Objective:
        """Return the objective of that name; `requires` is what to install to have it."""
        return _get(self.objectives, "objective", name, self.remedy(requires))

    def dataset(self, name: str, requires: Iterable[str] = ()) -> Dataset:
        """Return the dataset of that name; `requires` is what to install to have it."""
        return _get(self.datasets, "dataset", name, self.remedy(requires))

    def extractor(self, name: str) -> Extractor:
        """Return the feature extractor of that name."""
        return _get(self.extractors, "extractor", name, "")


def _get(known: dict[str, T], kind: str, name: str, remedy: str) -> T:
    if name in known:
        return known[name]
    raise UnknownNameError(
        f"{kind} {name!r} is not installed.", hint=remedy or did_you_mean(name, known)
    )


@cache
def registry() -> Registry:
    """Return what is installed. Bad plugins are reported on standard error, once in a process."""
    found = list(_discover())
    speaking = {plugin.distribution for plugin, _ in found if plugin.status == "ok"}
    plugins = []
    for plugin, error in found:
        if plugin.fault == "api-version" and plugin.distribution in speaking:
            plugin = replace(plugin, fault="superseded")
        elif plugin.status == "failed" and strict():
            raise PluginError(
                f"{plugin} failed: {plugin.error}",
                hint="Mend or uninstall it, or unset GENZOO_STRICT to go on without it.",
            ) from error
        elif plugin.status == "failed":
            print(f"genzoo: {plugin} is left out: {plugin.error}", file=sys.stderr)
        plugins.append(plugin)
    return Registry(tuple(plugins))


def strict() -> bool:
    """Return whether GENZOO_STRICT=1 asks to raise where a bad plugin would be left out."""
    return os.environ.get("GENZOO_STRICT", "").lower() not in ("", "0", "false", "no")


def _discover() -> Iterator[tuple[Plugin, BaseException | None]]:
    """Yield every plugin, and what it raised."""
    taken: dict[tuple[str, str], Plugin] = {}
    core = Plugin("genzoo", "genzoo", __version__, builtin.__name__)
    yield _claim(core, collect(builtin), taken), None
    for point in points():
        plugin = Plugin(point.entry.name, point.distribution, point.version, point.entry.value)
        if is_disabled(point):
            yield replace(plugin, error=f"it is named in {DISABLE}.", fault="disabled"), None
            continue
        fault: Fault = "import"
        light = "torch" not in sys.modules
        try:
            # A plugin that prints at import must not spoil what programs read from standard output.
            with contextlib.redirect_stdout(sys.stderr):
                module = _load(point.entry)
                fault = "hooks"
                brings = collect(module)
            fault = "api-version"
            _check_versions(brings)
            fault = "names"
            accepted = _claim(plugin, brings, taken)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit, or what an extension in Rust panics with
            told = "".join(traceback.format_exception(error))
            yield replace(plugin, error=in_words(error), fault=fault, traceback=told), error
        else:
            yield accepted, None
            if light and "torch" in sys.modules:
                slow = "imports torch to be listed, which takes seconds: its author can mend that."
                print(f"genzoo: {plugin} {slow}", file=sys.stderr)


def _load(entry: EntryPoint) -> Any:
    if not EntryPoint.pattern.match(entry.value):
        raise PluginError(
            f"its entry point names no module: {entry.value!r}.",
            hint="Write it as NAME = 'package.module' under [project.entry-points.genzoo].",
        )
    return entry.load()


def collect(module: object) -> dict[str, tuple[Any, ...]]:
    """Return what a plugin's module brings, by kind; PluginError where a hook gives else."""
    manager = _manager()
    try:
        manager.register(module)
        manager.check_pending()  # a misspelt hook would bring nothing, in silence
        return {
            kind: _checked(kind, cls, hook.function())
            for kind, cls in _KINDS.items()
            for hook in getattr(manager.hook, f"genzoo_{kind}").get_hookimpls()
        }
    finally:  # what pluggy holds of one is no business of the others
        if manager.is_registered(module):
            manager.unregister(module)


@cache
def _manager() -> pluggy.PluginManager:
    """Return the one that every plugin is registered with, for as long as it is asked."""
    manager = pluggy.PluginManager("genzoo")
    manager.add_hookspecs(hookspecs)
    return manager


def _checked(kind: str, cls: type, items: Any) -> tuple[Any, ...]:
    is_list = isinstance(items, list | tuple)
    if wrong := [item for item in items if not isinstance(item, cls)] if is_list else [items]:
        raise PluginError(
            f"hook genzoo_{kind} returned {wrong[0]!r}.", hint=f"Return a list of {cls.__name__}."
        )
    return tuple(items)


def _check_versions(brings: Mapping[str, tuple[Any, ...]]) -> None:
    for item in (item for items in brings.values() for item in items):
        version = getattr(item, "api_version", API_VERSION)
        if version != API_VERSION:
            raise PluginError(
                f"{item.name!r} speaks api_version {version!r}, this genzoo speaks {API_VERSION}.",
                hint="Install versions of genzoo and of the plugin that go together.",
            )


def _claim(
    plugin: Plugin, brings: dict[str, tuple[Any, ...]], taken: dict[tuple[str, str], Plugin]
) -> Plugin:
    named = [(kind, item.name) for kind in brings if kind != "zoo_configs" for item in brings[kind]]
    for position, claim in enumerate(named):
        owner = plugin if claim in named[:position] else taken.get(claim)
        if owner:
            raise PluginError(
                f"{claim[0].removesuffix('s')} {claim[1]!r} is already brought by {owner}.",
                hint="Uninstall one of the two.",
            )
    accepted = replace(plugin, brings=brings)
    taken.update(dict.fromkeys(named, accepted))
    return accepted
