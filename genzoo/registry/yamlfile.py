"""YAML as people expect it: `3e-4` is a number, a date is a text, a key stands once.

And edits keep the rest of the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from genzoo.errors import ConfigError

__all__ = ["dump", "parse", "read", "replace_keys"]

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # C where PyYAML has it


_OTHERWISE = ("timestamp", "int", "float")
_NUMBERS = {  # PyYAML matches from the start only, hence each $
    "int": r"[-+]?(0|[1-9]\d*)$|0x[0-9a-fA-F]{1,999}$",  # longer ones Python will not write
    "float": r"[-+]?((\.\d+|\d+\.\d*)([eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(inf|Inf|INF))$"
    r"|\.(nan|NaN|NAN)$",
}


class _Loader(_Base):  # type: ignore[misc]  # a base that mypy cannot know
    """The safe loader, with numbers as in YAML 1.2, no dates, and duplicate keys refused.

    In YAML 1.1, which PyYAML reads, 1:30 is ninety and 012 is ten.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own table, less three rules
        first: [rule for rule in rules if rule[0].rpartition(":")[2] not in _OTHERWISE]
        for first, rules in _Base.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong(key, "a key must be a text, this one is a list or a map")
            if key.value in seen:
                raise _wrong(key, f"the key {key.value!r} stands twice")
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


class _Dumper(yaml.SafeDumper):
    """The safe dumper, which quotes all texts that `_Loader` would take for something else."""


for _class in (_Loader, _Dumper):
    for _kind, _pattern in _NUMBERS.items():
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_kind}", re.compile(_pattern), list("-+.0123456789")
        )


def _wrong(node: yaml.Node, what: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, what, node.start_mark)


def parse(text: str, *, source: str) -> Any:
    """Return the plain Python value that `text` holds."""
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader: it builds plain values only
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = " ".join(str(error).replace('in "<unicode string>",', "at").split())
        raise ConfigError(f"{source} is not valid YAML: {what}.", hint="Mend that line.") from None


def read(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text in UTF-8"
    except ValueError as error:  # a name that no file can have
        reason = str(error)
    else:
        return _mapping(text, path)
    raise ConfigError(f"cannot read {path}: {reason}.", hint="Give a readable YAML file.")


def _mapping(text: str, path: Path) -> dict[str, Any]:
    data = parse(text, source=str(path))
    if not isinstance(data, dict):
        found = {type(None): "nothing", list: "a list"}.get(type(data), "a single value")
        raise ConfigError(
            f"{path}: found {found}, must be a map of keys to values.",
            hint="Start from the zoo config of a model: `genzoo info` names its file.",
        )
    return data


def dump(data: Mapping[str, Any]) -> str:
    """Return `data` as YAML that `parse` reads back as it is, keys in their order."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def replace_keys(text: str, values: Mapping[str, Any]) -> str:
    """Return `text` with these top-level keys set, and every line outside their values kept.

    Raises ConfigError where the text is not a block of `key: value` lines.
    """
    for key, value in values.items():
        block = dump({key: value}).rstrip()
        span = _find(text, key)
        if span is None:
            before = f"{text.rstrip()}\n\n" if text.strip() else ""
            text = f"{before}{block}\n"
        else:
            text = f"{text[: span[0]]}{block}{text[span[1] :]}"
    return text.rstrip() + "\n"


def _find(text: str, key: str) -> tuple[int, int] | None:
    """Return where a top-level key starts and its value ends, None where there is no such key.

    By events, because the end mark of a block node stands after the comments that follow it.
    """
    flows: list[bool] = []  # of the collections around an event, outermost first
    nodes, start, end = 0, -1, 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        closed_flow = isinstance(event, yaml.CollectionEndEvent) and flows.pop()
        if isinstance(event, yaml.NodeEvent) and len(flows) == 1:
            nodes += 1
            if nodes % 2 and start >= 0:
                break
            if nodes % 2 and isinstance(event, yaml.ScalarEvent) and event.value == key:
                start = _index(event.start_mark)
        if isinstance(event, yaml.NodeEvent) or closed_flow:
            end = _index(event.end_mark)
        if isinstance(event, yaml.CollectionStartEvent):
            if not flows and (event.flow_style or isinstance(event, yaml.SequenceStartEvent)):
                raise ConfigError(
                    "cannot edit this YAML: it is not made of `key: value` lines.",
                    hint="Write each top-level key on a line of its own.",
                )
            flows.append(bool(event.flow_style))
    # A block of text ends after the line breaks that follow it.
    return (start, start + len(text[start:end].rstrip())) if start >= 0 else None


def _index(mark: Any) -> int:
    position: int = mark.index  # PyYAML's types allow a mark to be None, which no parsed text has
    return position
