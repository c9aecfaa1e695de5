"""genzoo: a plugin-based model zoo for image generation.

Names are resolved on first use (PEP 562), so that `import genzoo` stays fast and torch-free.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genzoo._version import __version__

if TYPE_CHECKING:
    from genzoo.errors import GenzooError, LabelError, UnsupportedError
    from genzoo.evaluation.evaluate import evaluate
    from genzoo.images import save_image
    from genzoo.loading import create, load
    from genzoo.model import Model
    from genzoo.registry.catalog import info, list_architectures, list_models
    from genzoo.registry.hookspecs import hookimpl
    from genzoo.registry.schema import Config
    from genzoo.registry.specs import (
        Architecture,
        Callback,
        Dataset,
        Extractor,
        ImageSpec,
        Objective,
    )
    from genzoo.training.api import train

__all__ = [
    "Architecture",
    "Callback",
    "Config",
    "Dataset",
    "Extractor",
    "GenzooError",
    "ImageSpec",
    "LabelError",
    "Model",
    "Objective",
    "UnsupportedError",
    "__version__",
    "create",
    "evaluate",
    "hookimpl",
    "info",
    "list_architectures",
    "list_models",
    "load",
    "save_image",
    "train",
]

_HOMES = {
    "genzoo.errors": ("GenzooError", "LabelError", "UnsupportedError"),
    "genzoo.evaluation.evaluate": ("evaluate",),
    "genzoo.images": ("save_image",),
    "genzoo.loading": ("create", "load"),
    "genzoo.model": ("Model",),
    "genzoo.registry.catalog": ("info", "list_architectures", "list_models"),
    "genzoo.registry.hookspecs": ("hookimpl",),
    "genzoo.registry.schema": ("Config",),
    "genzoo.registry.specs": (
        *("Architecture", "Callback", "Dataset", "Extractor", "ImageSpec", "Objective"),
    ),
    "genzoo.training.api": ("train",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'genzoo' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
