"""What a person reads when a config is wrong."""

from __future__ import annotations

import datetime
import math
from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import Field, ValidationError, model_validator

from genzoo.errors import ConfigError
from genzoo.registry.schema import Config, validate


class Circle(Config):
    name: Literal["circle"] = "circle"
    radius: float = Field(default=1.0, gt=0)
    corners: tuple[int, int] = (0, 0)


class Square(Config):
    name: Literal["square"] = "square"
    side: float = 1.0


class Inner(Config):
    depth: int = Field(default=1, ge=1, le=8)
    words: tuple[str, ...] = ()


class Outer(Config):
    """An attribute of each kind."""

    width: int
    ratio: float = 0.5
    flag: bool = False
    text: str = Field(default="x", min_length=1)
    maybe: int | None = None
    either: int | str = 1
    level: Literal["low", "high"] = "low"
    inner: Inner = Inner()
    shape: Annotated[Circle | Square, Field(discriminator="name")] = Circle()
    shapes: dict[str, Annotated[Circle | Square, Field(discriminator="name")]] = Field(
        default_factory=dict
    )
    inners: tuple[Inner, ...] = ()
    anything: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _even(self) -> Self:
        if self.width % 2:
            raise ValueError(f"width {self.width} is not even")
        return self


def problem(**changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(Outer, {"width": 2, **changes}, source="some.yaml", at="part.config")
    assert caught.value.message.startswith("some.yaml: ")
    return caught.value.message.removeprefix("some.yaml: ")


def test_valid_values_come_back_as_a_frozen_model() -> None:
    values = {"width": 4, "ratio": 1, "inner": {"words": ["a", "b"]}, "shape": {"name": "square"}}
    config = validate(Outer, values, source="some.yaml")
    assert (config.width, config.ratio, config.inner.words) == (4, 1.0, ("a", "b"))
    assert isinstance(config.ratio, float)
    assert isinstance(config.shape, Square)
    with pytest.raises(ValidationError):
        config.width = 6  # type: ignore[misc]


def test_python_tuples_are_lists() -> None:
    values = {
        "width": 2,
        "inner": {"words": ("a",)},
        "shape": {"name": "circle", "corners": (1, 2)},
    }
    config = validate(Outer, values, source="some.yaml")
    assert config.inner.words == ("a",)
    assert config.shape == Circle(corners=(1, 2))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"width": "64"}, "part.config.width: found '64', must be a whole number."),
        ({"width": 64.0}, "part.config.width: found 64.0, must be a whole number."),
        ({"width": True}, "part.config.width: found true, must be a whole number."),
        ({"width": None}, "part.config.width: found null, must be a whole number."),
        ({"width": [1]}, "part.config.width: found [1], must be a whole number."),
        ({"ratio": "0.5"}, "part.config.ratio: found '0.5', must be a number."),
        ({"ratio": math.nan}, "part.config.ratio: found .nan, must be a finite number."),
        ({"ratio": -math.inf}, "part.config.ratio: found -.inf, must be a finite number."),
        (
            {"anything": {"a": [1.0, math.inf]}},
            "part.config.anything.a.1: found .inf, must be a finite number.",
        ),
        ({"flag": 1}, "part.config.flag: found 1, must be true or false."),
        ({"flag": "yes"}, "part.config.flag: found 'yes', must be true or false."),
        ({"text": 5}, "part.config.text: found 5, must be a text."),
        ({"text": ""}, "part.config.text: found '', must have at least 1 character."),
        ({"maybe": "x"}, "part.config.maybe: found 'x', must be a whole number."),
        ({"level": "mid"}, "part.config.level: found 'mid', must be 'low' or 'high'."),
        ({"inner": None}, "part.config.inner: found null, must be a map."),
        ({"inner": "deep"}, "part.config.inner: found 'deep', must be a map."),
        ({"anything": [1]}, "part.config.anything: found [1], must be a map."),
        (
            {"inner": {"depth": 9}},
            "part.config.inner.depth: found 9, must be less than or equal to 8.",
        ),
        (
            {"inner": {"words": "ab"}},
            "part.config.inner.words: found 'ab', must be a list.",
        ),
        (
            {"inner": {"words": ["a", 5]}},
            "part.config.inner.words.1: found 5, must be a text.",
        ),
        (
            {"inners": [{}, {"depth": 0}]},
            "part.config.inners.1.depth: found 0, must be greater than or equal to 1.",
        ),
        (
            {"shape": {"name": "circle", "radius": 0}},
            "part.config.shape.radius: found 0, must be greater than 0.",
        ),
        (
            {"shape": {"name": "circle", "corners": [1]}},
            "part.config.shape.corners.1: missing. It is required.",
        ),
        (
            {"shape": {"name": "circl"}},
            "part.config.shape.name: found 'circl', must be one of 'circle', 'square'.",
        ),
        (
            {"shape": {"radius": 1}},
            "part.config.shape.name: missing. It is required: one of 'circle', 'square'.",
        ),
        ({"shape": "circle"}, "part.config.shape: found 'circle', must be a map."),
        (
            {"shapes": {"a": {"name": "hexagon"}}},
            "part.config.shapes.a.name: found 'hexagon', must be one of 'circle', 'square'.",
        ),
        ({"width": 3}, "part.config: width 3 is not even."),
    ],
)
def test_an_error_names_path_value_and_what_is_allowed(
    changes: dict[str, Any], expected: str
) -> None:
    assert problem(**changes) == expected


@pytest.mark.parametrize(
    ("changes", "path", "meant"),
    [
        ({"widht": 2}, "part.config.widht", "'width'"),
        ({"inner": {"dept": 2}}, "part.config.inner.dept", "'depth'"),
        ({"inners": [{}, {"wrods": []}]}, "part.config.inners.1.wrods", "'words'"),
        ({"shape": {"name": "circle", "raduis": 2}}, "part.config.shape.raduis", "'radius'"),
        ({"shape": {"name": "square", "sid": 2}}, "part.config.shape.sid", "'side'"),
        (
            {"shapes": {"b": {"name": "square", "sdie": 2}}},
            "part.config.shapes.b.sdie",
            "'side'",
        ),
    ],
)
def test_an_unknown_key_is_an_error_with_the_name_that_was_meant(
    changes: dict[str, Any], path: str, meant: str
) -> None:
    assert problem(**changes) == f"{path}: unknown key. Did you mean {meant}?"


def test_an_unknown_key_like_no_other_gets_the_whole_list() -> None:
    found = problem(inner={"zzz": 1})
    assert found == "part.config.inner.zzz: unknown key. Known: depth, words."
    found = problem(shape={"name": "square", "zzz": 1})
    assert found == "part.config.shape.zzz: unknown key. Known: name, side."


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^some\.yaml: width: missing\. It is required\.$"):
        validate(Outer, {}, source="some.yaml")


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Outer, {"ratio": "x", "inner": {"depth": 0, "dept": 1}}, source="some.yaml")
    lines = caught.value.message.splitlines()
    assert lines[0] == "some.yaml:"
    paths = ("width: ", "ratio: ", "inner.depth: ", "inner.dept: ")
    assert sorted(line.split()[0] for line in lines[1:]) == sorted(p.strip() for p in paths)


def test_a_value_of_several_kinds_is_named_without_their_names() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Outer, {"width": 2, "either": 1.5}, source="some.yaml")
    assert caught.value.message.splitlines() == [
        "some.yaml:",
        "  either: found 1.5, must be a whole number.",
        "  either: found 1.5, must be a text.",
    ]


def test_a_long_value_is_cut() -> None:
    assert len(problem(level="x" * 10_000)) < 200


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (datetime.date(2025, 1, 31), "datetime.date(2025, 1, 31)"),
        (b"hi", "b'hi'"),
        ({"a"}, "{'a'}"),
        (1j, "1j"),
    ],
)
@pytest.mark.parametrize("place", ["width", "inner"])
def test_values_that_yaml_does_not_have_are_refused(value: Any, shown: str, place: str) -> None:
    changes = {"width": value} if place == "width" else {"inner": {"words": ["a", value]}}
    path = "part.config.width" if place == "width" else "part.config.inner.words.1"
    assert problem(**changes).startswith(f"{path}: found {shown}, must be a number, a text, ")


@pytest.mark.parametrize(("key", "shown"), [(1, "1"), (True, "true"), (None, "null"), (1.5, "1.5")])
def test_keys_must_be_texts(key: Any, shown: str) -> None:
    found = problem(anything={"a": {key: 1}})
    assert found == f"part.config.anything.a: found the key {shown}, must be a text: quote it."


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConfigError, match=r"some\.yaml: .* hold themselves"):
        validate(Outer, {"width": 2, "anything": {"a": endless}}, source="some.yaml")
