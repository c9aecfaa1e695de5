from __future__ import annotations

from typing import Any

import pytest

from genzoo.errors import ConfigError
from genzoo.registry.config import apply_overrides, parse_overrides


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("training.steps=100", "training.steps", 100),
        ("a=3e-4", "a", 3e-4),
        ("a=", "a", None),
        ("a=null", "a", None),
        ("a=true", "a", True),
        ("a=two words", "a", "two words"),
        ("a='1'", "a", "1"),
        ("a=[0, 0.99]", "a", [0, 0.99]),
        ("a={name: sgd, lr: 1e-2}", "a", {"name": "sgd", "lr": 1e-2}),
        ("a=b=c", "a", "b=c"),
        (" a.b = 5 ", "a.b", 5),
    ],
)
def test_assignments_are_read_as_yaml(assignment: str, path: str, value: Any) -> None:
    assert parse_overrides([assignment]) == {path: value}


def test_the_last_assignment_counts() -> None:
    assert parse_overrides(["a=1", "b=2", "a=3"]) == {"a": 3, "b": 2}


@pytest.mark.parametrize("assignment", ["", "a", "=1", " = 1", ".=1", "a.=1", ".a=1", "a..b=1"])
def test_an_assignment_without_a_path_or_a_value_is_refused(assignment: str) -> None:
    with pytest.raises(ConfigError, match="--set") as caught:
        parse_overrides([assignment])
    assert "training.steps=100" in caught.value.hint


def test_a_broken_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--set a=\[1 is not valid YAML"):
        parse_overrides(["a=[1"])


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"a": 5}, {"a": 5, "b": {"c": 2, "d": [1]}, "n": None}),
        ({"b.c": 5}, {"a": 1, "b": {"c": 5, "d": [1]}, "n": None}),
        ({"b.d": [2, 3]}, {"a": 1, "b": {"c": 2, "d": [2, 3]}, "n": None}),
        ({"b": {"x": 1}}, {"a": 1, "b": {"x": 1}, "n": None}),
        ({"b": None}, {"a": 1, "b": None, "n": None}),
        (
            {"new.deep.er": 5},
            {"a": 1, "b": {"c": 2, "d": [1]}, "n": None, "new": {"deep": {"er": 5}}},
        ),
        ({"n.x": 5}, {"a": 1, "b": {"c": 2, "d": [1]}, "n": {"x": 5}}),
        ({"n": {"x": 1}, "n.y": 2}, {"a": 1, "b": {"c": 2, "d": [1]}, "n": {"x": 1, "y": 2}}),
    ],
)
def test_overrides_replace_values_at_their_paths(
    overrides: dict[str, Any], expected: dict[str, Any]
) -> None:
    data = {"a": 1, "b": {"c": 2, "d": [1]}, "n": None}
    assert apply_overrides(data, overrides, source="here") == expected


def test_overrides_change_neither_the_data_nor_themselves() -> None:
    data: dict[str, Any] = {"a": {"b": 1}}
    overrides: dict[str, Any] = {"n": {"x": 1}, "n.y": 2, "a.b": 3}
    apply_overrides(data, overrides, source="here")
    assert data == {"a": {"b": 1}}
    assert overrides == {"n": {"x": 1}, "n.y": 2, "a.b": 3}


@pytest.mark.parametrize(
    ("path", "where"), [("a.x", "a is 1"), ("b.d.0", r"b\.d is \[1\]"), ("a.x.y", "a is 1")]
)
def test_an_override_cannot_go_into_a_value(path: str, where: str) -> None:
    data = {"a": 1, "b": {"d": [1]}}
    with pytest.raises(ConfigError, match=f"here: cannot set {path}: {where}, not a map") as caught:
        apply_overrides(data, {path: 5}, source="here")
    assert "itself" in caught.value.hint
