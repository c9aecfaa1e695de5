"""Write the parts of the documents that come from the code and the zoo configs.

python docs/generate.py            write them
python docs/generate.py --check    exit with 1 and name what is stale
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from genzoo.registry.catalog import catalog
from genzoo.registry.config import ZooConfig
from genzoo.registry.discovery import registry
from genzoo.registry.specs import resolve

ROOT = Path(__file__).resolve().parents[1]


def model_table() -> str:
    """Return the README's table of models, from the zoo configs."""
    rows = [
        "| model | architecture | images | classes | parameters | size | data | steps | time |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, entry in catalog().items():
        config = entry.config
        if config.weights is None or config.trained is None:
            continue
        image, weights, trained = config.image, config.weights, config.trained
        rows.append(
            f"| `{name}` | `{config.architecture.name}` "
            f"| {image.channels}x{image.height}x{image.width} | {config.classes or 'none'} "
            f"| {weights.parameters:,} | {weights.size / 1e6:.1f} MB | `{config.dataset.name}` "
            f"| {trained.steps:,} | {trained.seconds / 60:.0f} min on {trained.machine} |"
        )
    return "\n".join(rows)


def reference() -> str:
    """Return the reference of all keys of a zoo config, and of the configs that plugins bring."""
    known = registry()
    parts = ["### The file", *_fields(ZooConfig)]
    for title, specs in (
        ("Architecture", known.architectures),
        ("Objective", known.objectives),
        ("Dataset", known.datasets),
    ):
        for name, spec in specs.items():
            summary = spec.summary[0].upper() + spec.summary[1:].rstrip(".")
            parts += [f"### {title} `{name}`", f"{summary}."]
            parts += _fields(resolve(spec.config))
    return "\n\n".join(parts)


def _fields(model: type[BaseModel], prefix: str = "") -> list[str]:
    rows = list(_rows(model, prefix))
    if not rows:
        return ["No settings."]
    return ["\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *rows])]


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        path, inner = f"{prefix}{name}", _models(field.annotation)
        if len(inner) == 1 and get_origin(field.annotation) is not dict:
            optional = " Optional." if type(None) in get_args(field.annotation) else ""
            yield f"| `{path}` | | | {_text(field, inner[0])}{optional} |"
            yield from _rows(inner[0], f"{path}.")
            continue
        yield f"| `{path}` | {_type(field)} | {_default(field)} | {_text(field)} |"
        if get_origin(field.annotation) is not dict:
            for choice in inner:
                tag = choice.model_fields["name"].default
                options = ", ".join(
                    f"`{n}` ({_default(f)})" for n, f in choice.model_fields.items() if n != "name"
                )
                yield f"| `{path}: {tag}` | | | {_text(None, choice)} {options} |"


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _type(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(limit, attribute)}"
        for limit in field.metadata
        for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if getattr(limit, attribute, None) is not None
    ]
    return ", ".join([_name(field.annotation), *bounds])


def _name(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _name(inner[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin is tuple:
        return f"list of {_name(inner[0])}"
    if origin is dict:
        return "map"
    if len(inner) > 1 and (origin is Union or type(None) in inner):
        return " or ".join(_name(a) for a in inner)
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"`{annotation.model_fields['name'].default}`"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return names.get(annotation, "map")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        value = value.model_dump()["name"]
    if value is None:
        return "null"
    if value == "":
        return "empty"
    if isinstance(value, tuple):
        value = list(value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _text(field: FieldInfo | None, model: type[BaseModel] | None = None) -> str:
    own = field.description if field else None
    text = own or (model.__doc__ if model else None) or ""
    return " ".join(text.split()).replace("|", "\\|")


def documents() -> dict[Path, str]:
    """Return each document that has generated parts, as it should be."""
    return {
        path: _between(path.read_text(encoding="utf-8"), marker, content)
        for path, marker, content in (
            (ROOT / "README.md", "models", model_table()),
            (ROOT / "docs" / "zoo-config.md", "reference", reference()),
        )
    }


def _between(text: str, marker: str, content: str) -> str:
    pattern = re.compile(rf"(<!-- {marker}:[^>]*-->\n).*?(<!-- /{marker} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"the marker {marker!r} is missing")
    return pattern.sub(lambda match: f"{match[1]}{content}\n{match[2]}", text)


def main() -> None:
    """Write the documents, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    for path, text in documents().items():
        if path.read_text(encoding="utf-8") == text:
            continue
        if check:
            raise SystemExit(f"{path.relative_to(ROOT)} is stale: run `make docs`.")
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
