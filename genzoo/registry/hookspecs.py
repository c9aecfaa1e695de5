"""The hooks: all that a plugin can give to genzoo, on one screen."""

from __future__ import annotations

from pathlib import Path

import pluggy

from genzoo.registry.specs import Architecture, Callback, Dataset, Extractor, Objective

hookspec = pluggy.HookspecMarker("genzoo")
hookimpl = pluggy.HookimplMarker("genzoo")


@hookspec
def genzoo_architectures() -> list[Architecture]:  # type: ignore[empty-body]
    """Return the architectures that this plugin brings."""


@hookspec
def genzoo_objectives() -> list[Objective]:  # type: ignore[empty-body]
    """Return the objectives that this plugin brings."""


@hookspec
def genzoo_datasets() -> list[Dataset]:  # type: ignore[empty-body]
    """Return the datasets that this plugin brings."""


@hookspec
def genzoo_zoo_configs() -> list[Path]:  # type: ignore[empty-body]
    """Return the zoo configs (YAML files, or folders of them) that this plugin brings."""


@hookspec
def genzoo_callbacks() -> list[Callback]:  # type: ignore[empty-body]
    """Return the callbacks that this plugin adds to every training run."""


@hookspec
def genzoo_extractors() -> list[Extractor]:  # type: ignore[empty-body]
    """Return the feature extractors that this plugin brings, for evaluation."""
