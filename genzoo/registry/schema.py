"""The base of every config that genzoo reads, and what is said when one is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from genzoo.errors import ConfigError, did_you_mean

__all__ = ["Config", "validate"]

C = TypeVar("C", bound="Config")


class Config(BaseModel):
    """A pydantic model that refuses unknown keys and silent conversions.

    Subclass it for the config of an architecture, an objective or a dataset. Attribute docstrings become
    the descriptions that `genzoo info` prints. The module that holds it must not import torch.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
    )


def validate(model: type[C], data: Mapping[str, Any], *, source: str, at: str = "") -> C:
    """Return `data` as a `model`, or raise a ConfigError that names source, path, value and what is allowed.

    `at` is the YAML path that `data` stands at in the source.
    """
    try:
        # By way of JSON, because pydantic's strict mode takes a list for a tuple only there.
        text = json.dumps(data)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{source}: {error}.", hint="Use plain numbers, texts, lists and maps."
        ) from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        problems = [_explain(model, data, details, at) for details in error.errors()]
    head = f"{source}: {problems[0]}" if len(problems) == 1 else f"{source}:"
    body = "" if len(problems) == 1 else "".join(f"\n  {problem}" for problem in problems)
    raise ConfigError(head + body)


def _explain(model: type[Config], data: Any, details: ErrorDetails, at: str) -> str:
    location = details["loc"]
    path = ".".join([*([at] if at else []), *(str(part) for part in _in_data(data, location))])
    if details["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        return f"{path}: unknown key. {did_you_mean(str(location[-1]), known)}"
    if details["type"] == "missing":
        return f"{'.'.join(filter(None, [path, str(location[-1])]))}: missing. It is required."
    allowed = details["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{path or 'the file'}: found {details['input']!r}, {allowed}."


def _in_data(data: Any, location: tuple[int | str, ...]) -> Iterator[int | str]:
    # pydantic puts the tag of a union into the location; the person who wrote the YAML never saw it.
    for position, part in enumerate(location):
        if isinstance(data, Mapping) and part in data:
            data = data[part]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        elif position < len(location) - 1 or isinstance(data, Mapping):
            continue
        yield part


def _known_keys(model: type[Config], location: tuple[int | str, ...]) -> set[str]:
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
    return {name for known in models for name in known.model_fields}


def _models_of(model: type[BaseModel], field: str) -> Iterator[type[BaseModel]]:
    waiting = [model.model_fields[field].annotation]
    while waiting:
        annotation = waiting.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        waiting.extend(get_args(annotation))
