"""A config's fields in words, for `genzoo info`: the value, the default, what is allowed, why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from genzoo.registry.schema import Config

__all__ = ["describe_fields"]


def describe_fields(config: Config) -> list[dict[str, Any]]:
    """Return a row for every field: name (dotted), value, default, allowed, description."""
    schema = type(config).model_json_schema()
    return list(_rows(schema, schema.get("$defs", {}), config.model_dump(mode="json"), ""))


def _rows(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], values: Mapping[str, Any], at: str
) -> Iterator[dict[str, Any]]:
    for name, field in schema.get("properties", {}).items():
        inner = definitions.get(field.get("$ref", "").rpartition("/")[2], {})
        if "properties" in inner:
            yield from _rows(inner, definitions, values[name], f"{at}{name}.")
        else:
            yield {
                "name": f"{at}{name}",
                "value": values[name],
                "default": field.get("default"),
                "allowed": _allowed({**inner, **field}),
                "description": " ".join(field.get("description", "").split()),
            }


def _allowed(field: Mapping[str, Any]) -> str:
    """Return JSON schema's constraints on a field as a phrase."""
    if "anyOf" in field:
        return " or ".join(_allowed(choice) for choice in field["anyOf"])
    if "enum" in field:
        return " | ".join(json.dumps(choice).strip('"') for choice in field["enum"])
    if "const" in field:
        return json.dumps(field["const"]).strip('"')
    kind = str(field.get("type", "any"))
    if kind == "array":
        return f"list of {_allowed(field.get('items', {}))}"
    bounds = [
        f"{sign} {field[key]}"
        for key, sign in (
            ("minimum", ">="),
            ("exclusiveMinimum", ">"),
            ("maximum", "<="),
            ("exclusiveMaximum", "<"),
            ("multipleOf", "a multiple of"),
        )
        if key in field
    ]
    return ", ".join([kind, *bounds])
