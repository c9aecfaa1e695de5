"""Checks of a distribution: whether it is found, quickly, and says who may use it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageMetadata, metadata

from genzoo.registry.catalog import catalog
from genzoo.registry.config import read_config
from genzoo.registry.diagnosis import import_cost
from genzoo.registry.discovery import Fault, Plugin, registry
from genzoo.registry.points import required_name
from genzoo.testing.checks import Failed, Suite

__all__ = ["DISTRIBUTIONS", "DistributionBench"]


@dataclass(frozen=True)
class DistributionBench:
    """An installed distribution and the plugins that its entry points name."""

    name: str
    plugins: tuple[Plugin, ...]

    @property
    def metadata(self) -> PackageMetadata:
        """What its wheel says of itself."""
        return metadata(self.name)


DISTRIBUTIONS: Suite[DistributionBench] = Suite()


def _no_fault(bench: DistributionBench, *faults: Fault) -> None:
    for plugin in bench.plugins:
        if plugin.fault in faults:
            raise Failed(f"{plugin}: {plugin.error}")


@DISTRIBUTIONS.check(
    "import",
    "its modules can be imported to be listed",
    mend="Run `python -c 'import MODULE'`; `genzoo plugins doctor NAME` shows the traceback.",
)
def _import(bench: DistributionBench) -> None:
    _no_fault(bench, "import")


@DISTRIBUTIONS.check(
    "hooks",
    "its hooks return lists of the descriptors that they promise",
    mend="Compare with docs/plugin-api.md; names of hooks and fields are checked when listed.",
    needs=("import",),
)
def _hooks(bench: DistributionBench) -> None:
    _no_fault(bench, "hooks")
    for plugin in bench.plugins:
        if not any(plugin.brings.values()) and not plugin.fault:
            raise Failed(f"{plugin} brings nothing: is `genzoo.hookimpl` on its functions?")


@DISTRIBUTIONS.check(
    "api-version",
    "it speaks the API version of this genzoo",
    mend="Install versions of the two that go together, or port it: docs/plugin-api.md says how.",
    needs=("hooks",),
)
def _api_version(bench: DistributionBench) -> None:
    _no_fault(bench, "api-version")


@DISTRIBUTIONS.check(
    "names",
    "nobody else has the names that it claims",
    mend="Choose names that `genzoo list --architectures` (and the like) do not show.",
    needs=("api-version",),
)
def _names(bench: DistributionBench) -> None:
    _no_fault(bench, "names")


@DISTRIBUTIONS.check(
    "zoo-configs",
    "its zoo configs can be read, and nobody else has the names of its models",
    mend="See the path in the message; docs/zoo-config.md describes every setting.",
    needs=("names",),
)
def _zoo_configs(bench: DistributionBench) -> None:
    for path, owner in registry().zoo_configs():
        if owner in bench.plugins:
            config = read_config(path)
            entry = catalog().get(config.name)
            if entry is None or entry.path != path:
                taken = entry.path if entry else "another model, as an alias"
                raise Failed(f"{path}: the name {config.name!r} is taken by {taken}")


@DISTRIBUTIONS.check(
    "torch-free",
    "it is listed, and its configs are read, without torch, torchvision or NumPy",
    mend="Import them in the modules that `networks` and `factory` name, not where they are named.",
    needs=("import",),
)
def _torch_free(bench: DistributionBench) -> None:
    for plugin in bench.plugins:
        cost = import_cost(plugin.module, configs=True)
        if cost.deadly:
            raise Failed(f"{plugin}: {cost.error}")
        for package, place in cost.heavy.items():
            raise Failed(f"{plugin} imports {package} to be listed, at {place}")


@DISTRIBUTIONS.check(
    "licence",
    "its wheel states its licence",
    mend='Set `license = "Apache-2.0"`, or another SPDX expression, under [project].',
)
def _licence(bench: DistributionBench) -> None:
    fields = [bench.metadata[key] for key in ("License-Expression", "License")]
    stated = [text for text in fields if text and text.strip().upper() != "UNKNOWN"]
    classifiers = bench.metadata.get_all("Classifier") or []
    if not stated and not any(c.startswith("License ::") for c in classifiers):
        raise Failed("its metadata name no licence")


@DISTRIBUTIONS.check(
    "requires-genzoo",
    "its wheel requires genzoo, so that pip finds versions that go together",
    mend='Set `dependencies = ["genzoo>=0.1,<0.2", "torch>=2.6"]` under [project].',
)
def _requires_genzoo(bench: DistributionBench) -> None:
    required = bench.metadata.get_all("Requires-Dist") or []
    if bench.name != "genzoo" and "genzoo" not in map(required_name, required):
        raise Failed("its metadata do not require genzoo")
