"""Names -> zoo configs: list, filter, alias, did-you-mean. Nothing here touches weights."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from genzoo.errors import (
    ConfigError,
    GenzooError,
    PluginError,
    UnknownNameError,
    did_you_mean,
    in_words,
)
from genzoo.registry.config import ZooConfig, read_config
from genzoo.registry.discovery import registry, strict
from genzoo.registry.fields import describe_fields
from genzoo.registry.schema import Config, validate
from genzoo.registry.specs import Architecture, Dataset, Objective, resolve

__all__ = [
    "REMOTE",
    "Entry",
    "catalog",
    "describe",
    "find",
    "info",
    "list_architectures",
    "list_models",
    "local_file",
    "lookup",
    "package_file",
    "part_config",
    "unavailable",
]

C = TypeVar("C", bound=Config)


REMOTE = ("https://", "hf://")
"""What the URIs of weights begin with that the first load downloads."""


@dataclass(frozen=True)
class Entry:
    """A zoo config, the file it stands in and the distribution that brings it."""

    config: ZooConfig
    path: Path
    distribution: str

    @property
    def names(self) -> tuple[str, ...]:
        """All that the model answers to, its name first."""
        return self.config.name, *self.config.aliases


@cache
def catalog() -> Mapping[str, Entry]:
    """Return every zoo config by name, sorted. A bad file is reported once and left out."""
    entries: dict[str, Entry] = {}
    for path, plugin in registry().zoo_configs():
        try:
            entry = Entry(read_config(path), path, plugin.distribution)
            taken = {name: e for e in entries.values() for name in e.names}
            if clash := taken.keys() & entry.names:
                name = min(clash)
                other = taken[name]
                raise ConfigError(
                    f"{path}: the name {name!r} is taken by {other.path} ({other.distribution}).",
                    hint="Rename it, or uninstall one of the two.",
                )
        except ConfigError as error:
            if strict():
                raise
            print(f"genzoo: a zoo config of {plugin} is left out: {error}", file=sys.stderr)
        else:
            entries[entry.config.name] = entry
    return dict(sorted(entries.items()))


def lookup(name: str) -> Entry | None:
    """Return the zoo config of that name or alias, None where there is none."""
    entries = catalog()
    named = (entry for entry in entries.values() if name in entry.config.aliases)
    return entries.get(name) or next(named, None)


def find(name: str) -> Entry:
    """Return the zoo config of that name or alias; UnknownNameError where there is none."""
    entry, entries = lookup(name), catalog()
    if entry is not None:
        return entry
    known = {known for e in entries.values() for known in e.names}
    raise UnknownNameError(
        f"no model is called {name!r}.",
        hint=f"{did_you_mean(name, known)} `genzoo list` shows them all.",
    )


def list_models(
    pattern: str | None = None,
    *,
    architecture: str | None = None,
    objective: str | None = None,
    dataset: str | None = None,
) -> list[str]:
    """Return the names of the models, those included that need a plugin that is not installed.

    `pattern` has shell wildcards (`*-mnist`); without any it matches a part of the name. Raises
    UnknownNameError for an architecture, objective or dataset that nothing here knows.
    """
    known = registry()
    for kind, wanted, names in (
        ("architecture", architecture, known.architectures),
        ("objective", objective, known.objectives),
        ("dataset", dataset, known.datasets),
    ):
        used = {getattr(entry.config, kind).name for entry in catalog().values()}
        if wanted is not None and wanted not in used.union(names):
            raise UnknownNameError(
                f"there is no {kind} {wanted!r}.", hint=did_you_mean(wanted, used.union(names))
            )
    if pattern is not None and not any(c in pattern for c in "*?["):
        pattern = f"*{pattern}*"
    return [
        name
        for name, entry in catalog().items()
        if (pattern is None or fnmatchcase(name, pattern))
        and architecture in (None, entry.config.architecture.name)
        and objective in (None, entry.config.objective.name)
        and dataset in (None, entry.config.dataset.name)
    ]


def list_architectures() -> list[str]:
    """Return the names of the installed architectures."""
    return list(registry().architectures)


def package_file(uri: str) -> Path | None:
    """Return the file that pkg://package/path names, None where the package is not installed."""
    package, _, inner = uri.removeprefix("pkg://").partition("/")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) / inner if places else None


def local_file(uri: str, beside: Path) -> Path | None:
    """Return the file that weights are read from, None without its package or for a remote one.

    `beside` is the YAML file that relative paths start from. The file may yet be missing.
    """
    if uri.startswith("pkg://"):
        return package_file(uri)
    if uri.startswith(REMOTE):
        return None
    return beside.parent / uri.removeprefix("file://")


def unavailable(config: ZooConfig, path: Path) -> tuple[str, str] | None:
    """Return (what is missing, what to do) where a model cannot be loaded, None where it can.

    `path` is the YAML file. Remote weights count as there: the first load gets them.
    """
    known = registry()
    missing = [
        f"{kind} {part.name!r}"
        for kind, part, names in (
            ("architecture", config.architecture, known.architectures),
            ("objective", config.objective, known.objectives),
        )
        if part.name not in names
    ]
    if missing:
        fix = known.remedy(config.requires) or "Install the plugin that brings it."
        return f"{' and '.join(missing)} not installed", fix
    if config.weights is None:
        return "no trained weights yet", f"genzoo train {config.name}"
    file = local_file(config.weights.uri, path)
    if config.weights.uri.startswith(REMOTE) or (file and file.is_file()):
        return None
    if not config.weights.uri.startswith("pkg://"):
        return "weights file missing", f"Put it at {file}."
    again = f"pip install --force-reinstall {' '.join(config.requires)}"
    return "weights file missing", again if config.requires else "Install what has it."


def part_config(
    spec: Architecture | Objective | Dataset, values: Mapping[str, Any], *, source: str, at: str
) -> Any:
    """Return the values as the pydantic model that the descriptor names."""
    model = resolve(spec.config)
    if not (isinstance(model, type) and issubclass(model, Config)):
        raise PluginError(
            f"{spec.config!r}, the config of {spec.name!r}, is not a genzoo.Config.",
            hint="Derive it from genzoo.Config, which is a pydantic model.",
        )
    try:
        return validate(model, values, source=source, at=at)
    except GenzooError:
        raise
    except Exception as error:  # a rule of the plugin's own; pydantic expects ValueError alone
        raise PluginError(
            f"{spec.config!r}, the config of {spec.name!r}, failed: {in_words(error)}.",
            hint="A validator must raise ValueError: report this to the plugin's author.",
        ) from error


def describe(entry: Entry) -> dict[str, Any]:
    """Return one model's row of `genzoo list`, as plain values."""
    config, problem = entry.config, unavailable(entry.config, entry.path)
    figures = config.measured.figures if config.measured else {}
    return {
        "name": config.name,
        "architecture": config.architecture.name,
        "objective": config.objective.name,
        "dataset": config.dataset.name,
        "image": [config.image.channels, config.image.height, config.image.width],
        "classes": config.classes,
        "parameters": config.weights.parameters if config.weights else None,
        "size_bytes": config.weights.size if config.weights else None,
        "fid": figures.get("fid"),
        "fid_ratio": figures.get("fid_ratio"),
        "label_agreement": figures.get("label_agreement"),
        "license": config.card.licence,
        "available": problem is None,
    }


def info(name: str) -> dict[str, Any]:
    """Return all that is known of a model, as plain values: its row, its zoo config, its origin.

    The configs of architecture and objective are given whole, defaults included, where installed;
    `fields` says of each of their settings what it is for and what is allowed.
    """
    entry = find(name)
    config, known, problem = entry.config, registry(), unavailable(entry.config, entry.path)
    values = config.model_dump(mode="json")
    fields = {}
    for kind, specs in (("architecture", known.architectures), ("objective", known.objectives)):
        part = getattr(config, kind)
        if part.name in specs:
            whole = part_config(
                specs[part.name], part.config, source=str(entry.path), at=f"{kind}.config"
            )
            values[kind]["config"] = whole.model_dump(mode="json")
            fields[kind] = describe_fields(whole)
    return {
        **describe(entry),
        "unavailable_because": problem[0] if problem else None,
        "to_make_available": problem[1] if problem else None,
        "distribution": entry.distribution,
        "file": str(entry.path),
        "config": values,
        "fields": fields,
    }
