from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

import genzoo

HOMES = {
    "Architecture": "genzoo.registry.specs",
    "Callback": "genzoo.registry.specs",
    "Config": "genzoo.registry.schema",
    "Dataset": "genzoo.registry.specs",
    "Extractor": "genzoo.registry.specs",
    "GenzooError": "genzoo.errors",
    "ImageSpec": "genzoo.registry.specs",
    "Model": "genzoo.model",
    "Objective": "genzoo.registry.specs",
    "LabelError": "genzoo.errors",
    "UnsupportedError": "genzoo.errors",
    "create": "genzoo.loading",
    "evaluate": "genzoo.evaluation.evaluate",
    "hookimpl": "genzoo.registry.hookspecs",
    "info": "genzoo.registry.catalog",
    "list_architectures": "genzoo.registry.catalog",
    "list_models": "genzoo.registry.catalog",
    "load": "genzoo.loading",
    "save_image": "genzoo.images",
    "train": "genzoo.training.api",
}

# Everything that answers "what is there?" must do so without these.
HEAVY = ("torch", "torchvision", "numpy", "accelerate", "huggingface_hub", "safetensors", "PIL")


@pytest.mark.parametrize(("name", "home"), HOMES.items())
def test_a_name_is_what_its_room_defines(name: str, home: str) -> None:
    assert getattr(genzoo, name) is getattr(importlib.import_module(home), name)


def test_the_names_are_those_that_are_promised() -> None:
    assert set(genzoo.__all__) == {*HOMES, "__version__"}
    assert dir(genzoo) == sorted(genzoo.__all__)
    assert genzoo.__version__[0].isdigit()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'genzoo' has no attribute 'no_such_name'"):
        genzoo.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        ("load", ["name_or_path", "device", "dtype", "objective"]),
        ("create", ["architecture", "image", "classes", "config"]),
        ("list_models", ["pattern", "architecture", "objective", "dataset"]),
        ("list_architectures", []),
        ("info", ["name"]),
        ("save_image", ["images", "path", "columns", "provenance"]),
    ],
)
def test_signatures_are_those_that_are_promised(function: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(genzoo, function)).parameters) == parameters


@pytest.mark.parametrize(
    "code",
    [
        "import genzoo",
        "import genzoo; genzoo.list_architectures()",
        "import genzoo; [genzoo.info(name) for name in genzoo.list_models()]",
        "import genzoo; genzoo.Architecture, genzoo.Config, genzoo.hookimpl, genzoo.GenzooError",
        "import genzoo.registry.catalog, genzoo.objectives.configs, genzoo.data.configs",
    ],
)
def test_what_exists_is_known_without_torch(code: str, python: Any) -> None:
    ran = python(f"{code}\nimport sys\nprint(sorted(set(sys.modules) & {set(HEAVY)!r}))")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[]"
