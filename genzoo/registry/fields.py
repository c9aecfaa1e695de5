"""A config's fields in words: the value, the default, what is allowed, why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from genzoo.registry.schema import Config

__all__ = ["describe_fields", "field_rows"]

_Schema = Mapping[str, Any]

_EACH = "[]"  # behind the name of a list, in those of the fields that each of its maps has

# JSON schema's kinds in the words of genzoo's messages, for people who write YAML and no code.
_KINDS = {
    "boolean": "true or false",
    "integer": "whole number",
    "object": "map",
    "string": "text",
}
_PLURALS = {
    "map": "maps",
    "number": "numbers",
    "text": "texts",
    "whole number": "whole numbers",
}


def describe_fields(config: Config) -> list[dict[str, Any]]:
    """Return a row for every field: name (dotted), value, default, allowed, description."""
    values = config.model_dump(mode="json")
    return [
        {"name": row["name"], "value": _value(values, row["name"].split(".")), **row}
        for row in field_rows(type(config))
    ]


def _value(values: Any, path: list[str]) -> Any:
    for depth, key in enumerate(path):
        if key.endswith(_EACH):
            items = (values and values[key.removesuffix(_EACH)]) or []
            return [_value(item, path[depth + 1 :]) for item in items]
        values = values and values[key]  # a map that may be null leads no further
    return values


def field_rows(model: type[Config]) -> Iterator[dict[str, Any]]:
    """Yield a row for every field, those of maps in it too: name, default, allowed, description.

    A field that must be given has no default, and `required` is true. Those of the maps that a list
    `items` holds are named `items[].field`; required is what each of them must have.
    """
    schema = model.model_json_schema()
    return _rows(schema, schema.get("$defs", {}), "")


def _rows(schema: _Schema, definitions: _Schema, at: str) -> Iterator[dict[str, Any]]:
    for name, field in schema.get("properties", {}).items():
        choices = field.get("anyOf", [field])
        maps = [inner for choice in choices if "properties" in (inner := _at(choice, definitions))]
        items = [inner for choice in choices if (inner := _item(choice, definitions))]
        if not maps or len(choices) > 1:
            required = name in schema.get("required", ())
            yield {
                "name": f"{at}{name}",
                # The schema does not state what a factory makes; here, factories make empty maps.
                "default": field.get("default", None if required else {}),
                "allowed": _kinds(field, maps, items, definitions),
                "description": " ".join(field.get("description", "").split()),
                "required": required,
            }
        for inner in maps:
            yield from _rows(inner, definitions, f"{at}{name}.")
        for inner in items:
            yield from _rows(inner, definitions, f"{at}{name}{_EACH}.")


def _kinds(field: _Schema, maps: list[_Schema], items: list[_Schema], definitions: _Schema) -> str:
    if maps:
        return "map or null"
    if items:
        return "list of maps or null" if "anyOf" in field else "list of maps"
    return _allowed({**_at(field, definitions), **field})


def _item(field: _Schema, definitions: _Schema) -> _Schema:
    """Return the schema of the maps that a list holds, an empty one for any other field."""
    found = _at(field.get("items", {}), definitions) if field.get("type") == "array" else {}
    return found if "properties" in found else {}


def _at(field: _Schema, definitions: _Schema) -> _Schema:
    found: _Schema = definitions.get(field.get("$ref", "").rpartition("/")[2], {})
    return found


def _allowed(field: _Schema) -> str:
    """Return JSON schema's constraints on a field as a phrase."""
    if "anyOf" in field:
        return " or ".join(_allowed(choice) for choice in field["anyOf"])
    if "discriminator" in field:
        return " | ".join(field["discriminator"]["mapping"])
    if "enum" in field:
        return " | ".join(json.dumps(choice).strip('"') for choice in field["enum"])
    if "const" in field:
        return json.dumps(field["const"]).strip('"')
    kind = str(field.get("type", "anything"))
    if "prefixItems" in field:
        return f"list of {len(field['prefixItems'])} {_each(field['prefixItems'][0])}"
    if kind == "array":
        return f"list of {_each(field.get('items', {}))}"
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
    return ", ".join([_KINDS.get(kind, kind), *bounds])


def _each(item: _Schema) -> str:
    """Return what each item of a list may be, in the plural where it is of one plain kind."""
    allowed = _allowed(item)
    kind, bounded, bounds = allowed.partition(", ")
    if kind not in _PLURALS:
        return allowed
    return f"{_PLURALS[kind]}, each {bounds}" if bounded else _PLURALS[kind]
