from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from genzoo.errors import PluginError
from genzoo.registry.specs import (
    API_VERSION,
    Architecture,
    Callback,
    Dataset,
    Extractor,
    ImageSpec,
    Objective,
    resolve,
)


def architecture(**changes: Any) -> Architecture:
    values: dict[str, Any] = {
        "name": "toy",
        "summary": "A toy.",
        "objective": "adversarial",
        "config": "toy.config:ToyConfig",
        "networks": "toy.networks:build",
    }
    return Architecture(**{**values, **changes})


def test_a_descriptor_speaks_the_current_api_version_unless_it_says_otherwise() -> None:
    assert architecture().api_version == API_VERSION
    assert architecture(api_version=7).api_version == 7


def test_a_descriptor_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        architecture().name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["a", "my-gan", "stylegan3", "1e5", "a-1-b"])
def test_names_of_lower_case_letters_digits_and_hyphens_are_valid(name: str) -> None:
    assert architecture(name=name).name == name


@pytest.mark.parametrize(
    "name", ["", "My-gan", "my_gan", "my--gan", "-a", "a-", "a b", "a\n", "ä", 5]
)
def test_other_names_are_refused(name: Any) -> None:
    with pytest.raises(PluginError, match="Architecture name") as caught:
        architecture(name=name)
    assert "my-gan" in caught.value.hint


@pytest.mark.parametrize(
    "reference", ["", "toy", "toy.networks", "toy:", ":build", "a b:c", "a:b.c", 5]
)
@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Architecture, ("config", "networks")),
        (Objective, ("config", "factory")),
        (Dataset, ("config", "factory")),
        (Callback, ("factory",)),
    ],
)
def test_code_is_named_as_module_and_attribute(
    kind: type[Any], fields: tuple[str, ...], reference: Any
) -> None:
    extra: dict[type[Any], dict[str, Any]] = {
        Architecture: {"objective": "adversarial"},
        Dataset: {"image": None, "licence": "CC0-1.0"},
    }
    good = {**extra.get(kind, {}), **dict.fromkeys(fields, "toy.code:thing")}
    assert kind(name="toy", summary="A toy.", **good).name == "toy"
    for field in fields:
        with pytest.raises(PluginError, match=f"'toy': {field} is ") as caught:
            kind(name="toy", summary="A toy.", **{**good, field: reference})
        assert "package.module:attribute" in caught.value.hint


def test_resolve_imports_what_is_named() -> None:
    assert resolve("pathlib:Path") is Path


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("no_such_package.networks:build", "no_such_package"),
        ("pathlib:NoSuchThing", "NoSuchThing"),
        ("raises_at_import:build", "ZeroDivisionError: division by zero"),
        ("not_python:build", "SyntaxError"),
    ],
)
def test_what_cannot_be_resolved_is_an_error_of_the_plugin(
    reference: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raises_at_import.py").write_text("1 / 0\n")
    (tmp_path / "not_python.py").write_text("def build(:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError) as caught:
        resolve(reference)
    assert repr(reference) in caught.value.message
    assert reason in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (ImageSpec(1, 28, 32), "1x28x32, unconditional"),
        (ImageSpec(3, 28, 32, 10), "3x28x32, 10 classes"),
    ],
)
def test_an_image_spec_prints_as_people_write_it(spec: ImageSpec, text: str) -> None:
    assert str(spec) == text


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"image": (1, 28, 28)}, "image is"),
        ({"datasets": "mnist"}, "datasets is 'mnist'"),
        ({"weights": "pkg://a/b.safetensors"}, "has weights"),
    ],
)
def test_an_extractor_s_fields_are_checked(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(PluginError, match=says) as raised:
        Extractor(name="eyes", summary="eyes", factory="a:b", **wrong)
    assert "eyes" in raised.value.message
    assert raised.value.hint
