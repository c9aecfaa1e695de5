"""The base of every config that genzoo reads, and what is said when one is wrong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from genzoo.errors import ConfigError, did_you_mean
from genzoo.registry.specs import NAME

__all__ = ["Config", "validate"]

C = TypeVar("C", bound="Config")

_SHOWN = 80  # characters of a wrong value: enough to find it by

_WORDS = (  # pydantic's, and those of the documents
    ("be an object", "a map"),
    ("be a valid array", "a list"),
    ("be a valid string", "a text"),
    ("be a valid integer", "a whole number"),
    ("be a valid number", "a number"),
    ("be a valid boolean", "true or false"),
    (f"match pattern '^{NAME}$'", "lower-case letters, digits and single hyphens"),
)


class Config(BaseModel):
    """A pydantic model that refuses unknown keys and silent conversions.

    Subclass it for the config of an architecture, an objective or a dataset. Attribute docstrings
    become the descriptions that `genzoo info` prints. The module that holds it must not import
    torch.
    """

    DRAWING: ClassVar[frozenset[str]] = frozenset()
    """Of an objective's config, the fields that matter only when images are drawn. They may be
    other ones than those that a model was trained with: when it is loaded, resumed or published."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
    )


def validate(model: type[C], data: Mapping[str, Any], *, source: str, at: str = "") -> C:
    """Return `data` as a `model`.

    `at` is the YAML path that `data` stands at in the source. Raises ConfigError, which names the
    source, the path, the value found and what is allowed.
    """
    try:
        problems = list(_not_plain(data, at))
        if not problems:
            # By way of JSON, because pydantic's strict mode takes a list for a tuple only there.
            return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        problems = [_explain(model, data, details, at) for details in error.errors()]
    except RecursionError:
        problems = ["lists or maps stand too deep inside each other, or hold themselves."]
    head = f"{source}: {problems[0]}" if len(problems) == 1 else f"{source}:"
    body = "" if len(problems) == 1 else "".join(f"\n  {problem}" for problem in problems)
    raise ConfigError(head + body)


def _not_plain(value: Any, path: str) -> Iterator[str]:
    """Yield what is wrong with values that are not YAML's plain ones, or numbers without end."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(key, str):
                yield from _not_plain(inner, f"{path}.{key}" if path else key)
            else:
                yield f"{path or 'the file'}: found the key {_show(key)}, must be a text: quote it."
    elif isinstance(value, list | tuple):
        for position, inner in enumerate(value):
            yield from _not_plain(inner, f"{path}.{position}")
    elif not isinstance(value, str | int | float | None):
        allowed = "must be a number, a text, true, false, null, a list or a map"
        yield f"{path or 'the file'}: found {_show(value)}, {allowed}."
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{path or 'the file'}: found {_show(value)}, must be a finite number."


def _explain(model: type[Config], data: Any, details: ErrorDetails, at: str) -> str:
    kind, location, context = details["type"], details["loc"], details.get("ctx", {})
    inside = list(_in_data(data, location))
    if kind == "missing":
        inside.append(location[-1])
    elif kind.startswith("union_tag"):
        inside.append(context["discriminator"].strip("'"))
    path = ".".join(map(str, [*([at] if at else []), *inside]))
    if kind == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        return f"{path}: unknown key. {did_you_mean(str(location[-1]), known)}"
    if kind == "missing":
        return f"{path}: missing. It is required."
    if kind == "union_tag_not_found":
        tags = _tags(model, location, inside[-1])
        return f"{path}: missing. It is required: one of {', '.join(tags)}."
    if kind == "union_tag_invalid":
        return f"{path}: found {context['tag']!r}, must be one of {context['expected_tags']}."
    # A rule between fields names their values itself; the whole map would bury them.
    named = kind == "value_error" and isinstance(details["input"], dict)
    found = "" if named else f"found {_show(details['input'])}, "
    return f"{path or 'the file'}: {found}{_allowed(details['msg'])}."


def _allowed(message: str) -> str:
    message = re.sub(r"^(Input|String|List|Tuple|Dictionary|Value) should ", "must ", message)
    message = message.removeprefix("Value error, ").rstrip(".")
    for theirs, ours in _WORDS:
        message = message.replace(f"must {theirs}", f"must be {ours}")
    return message


def _show(value: Any) -> str:
    for constant, text in ((None, "null"), (True, "true"), (False, "false")):
        if value is constant:
            return text  # as it stands in the YAML
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value).replace("inf", ".inf").replace("nan", ".nan")
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _in_data(data: Any, location: Iterable[int | str]) -> Iterator[int | str]:
    # pydantic puts the tag of a union into the location; whoever wrote the YAML never saw it.
    for part in location:
        if (isinstance(data, Mapping) and part in data) or (
            isinstance(data, list | tuple) and isinstance(part, int) and part < len(data)
        ):
            data = data[part]  # type: ignore[index]  # a key where it is a map, else a position
            yield part


def _models_at(model: type[Config], location: Iterable[int | str]) -> list[type[BaseModel]]:
    models: list[type[BaseModel]] = [model]
    for part in location:
        inner = [
            m
            for known in models
            if part in known.model_fields
            for m in _models_of(known, str(part))
        ]
        tagged = [
            m for m in models if "name" in m.model_fields and m.model_fields["name"].default == part
        ]
        models = inner or tagged or models
    return models


def _known_keys(model: type[Config], location: Iterable[int | str]) -> set[str]:
    return {name for known in _models_at(model, location) for name in known.model_fields}


def _tags(model: type[Config], location: Iterable[int | str], field: int | str) -> list[str]:
    fields = [known.model_fields.get(str(field)) for known in _models_at(model, location)]
    return sorted(repr(tag) for f in fields if f for tag in get_args(f.annotation))


def _models_of(model: type[BaseModel], field: str) -> Iterator[type[BaseModel]]:
    waiting = [model.model_fields[field].annotation]
    while waiting:
        annotation = waiting.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        waiting.extend(get_args(annotation))
