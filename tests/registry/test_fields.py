from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from genzoo.registry.fields import describe_fields
from genzoo.registry.schema import Config


class Inner(Config):
    weight: float = Field(0.0, ge=0, lt=1)
    """A weight,
    in two lines."""


class Item(Config):
    size: int = Field(ge=1)
    """How large."""
    inner: Inner = Inner()


class Outer(Config):
    width: int = Field(16, ge=8, le=64, multiple_of=8)
    rate: float = Field(0.1, gt=0)
    kind: Literal["wide", "deep"] = "wide"
    only: Literal["this"] = "this"
    widths: tuple[Annotated[int, Field(ge=1)], ...] = (4, 2)
    range: tuple[float, float] = (0.0, 1.0)
    names: tuple[str, ...] = ()
    kinds: tuple[Literal["wide", "deep"], ...] = ()
    sizes: tuple[tuple[Annotated[int, Field(ge=1)], ...], ...] = ()
    options: dict[str, Any] = Field(default_factory=dict)
    limit: int | None = Field(None, ge=1)
    fast: bool = False
    required: str
    """No default."""
    inner: Inner = Inner()
    items: tuple[Item, ...] = ()
    """A list of maps."""
    maybe: tuple[Item, ...] | None = None


@pytest.fixture
def rows() -> dict[str, dict[str, object]]:
    config = Outer(
        required="yes",
        width=24,
        inner=Inner(weight=0.5),
        items=(Item(size=1), Item(size=2, inner=Inner(weight=0.25))),
    )
    return {str(row["name"]): row for row in describe_fields(config)}


def test_fields_stand_in_order_with_nested_ones_dotted(rows) -> None:
    assert list(rows) == [
        *("width", "rate", "kind", "only", "widths", "range", "names", "kinds", "sizes", "options"),
        *("limit", "fast", "required"),
        "inner.weight",
        *("items", "items[].size", "items[].inner.weight"),
        *("maybe", "maybe[].size", "maybe[].inner.weight"),
    ]


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("width", "whole number, >= 8, <= 64, a multiple of 8"),
        ("rate", "number, > 0"),
        ("kind", "wide | deep"),
        ("only", "this"),
        ("widths", "list of whole numbers, each >= 1"),
        ("range", "list of 2 numbers"),
        ("names", "list of texts"),
        ("kinds", "list of wide | deep"),
        ("sizes", "list of list of whole numbers, each >= 1"),
        ("options", "map"),
        ("limit", "whole number, >= 1 or null"),
        ("fast", "true or false"),
        ("required", "text"),
        ("inner.weight", "number, >= 0, < 1"),
        ("items", "list of maps"),
        ("items[].size", "whole number, >= 1"),
        ("items[].inner.weight", "number, >= 0, < 1"),
        ("maybe", "list of maps or null"),
    ],
)
def test_what_is_allowed(rows, name: str, allowed: str) -> None:
    assert rows[name]["allowed"] == allowed


def test_value_default_and_description(rows) -> None:
    assert (rows["width"]["value"], rows["width"]["default"]) == (24, 16)
    assert (rows["inner.weight"]["value"], rows["inner.weight"]["default"]) == (0.5, 0.0)
    assert (rows["widths"]["value"], rows["widths"]["default"]) == ([4, 2], [4, 2])
    assert (rows["required"]["value"], rows["required"]["default"]) == ("yes", None)
    assert rows["inner.weight"]["description"] == "A weight, in two lines."
    assert rows["required"]["description"] == "No default."
    assert rows["fast"]["description"] == ""


def test_the_fields_of_a_lists_maps_have_the_value_of_each(rows) -> None:
    assert rows["items[].size"]["value"] == [1, 2]
    assert rows["items[].inner.weight"]["value"] == [0.0, 0.25]
    assert rows["maybe[].size"]["value"] == []
    assert rows["items[].size"]["required"]
    assert not rows["items"]["required"]
    assert rows["items[].size"]["description"] == "How large."
