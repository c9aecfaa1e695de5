"""YAML as people expect it: `3e-4` is a number, a key stands once, and edits keep the rest of the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from genzoo.errors import ConfigError

__all__ = ["parse", "read", "replace_keys"]

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]  # the C loader where PyYAML has it
    """The safe loader, with floats as in YAML 1.2 and duplicate keys refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+"), list("-+0123456789")
)


def parse(text: str, *, source: str) -> Any:
    """Return the plain Python value that `text` holds."""
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader: it builds plain values only
    except yaml.YAMLError as error:
        what = " ".join(str(error).split())
        raise ConfigError(f"{source} is not valid YAML: {what}.", hint="Mend that line.") from None


def read(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}.", hint="Give a readable YAML file."
        ) from None
    data = parse(text, source=str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: found {type(data).__name__}, must be a map of keys to values.")
    return data


def replace_keys(text: str, values: Mapping[str, Any]) -> str:
    """Return `text` with these top-level keys set, every other line and comment kept as it is."""
    for key, value in values.items():
        block = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=100)
        node = yaml.compose(text)
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        spans = [(k.start_mark.index, v.end_mark.index) for k, v in pairs if k.value == key]
        if spans:
            start, end = spans[0]
            # The end mark of a block stands after the blank lines that follow it.
            end = start + len(text[start:end].rstrip())
            text = f"{text[:start]}{block.rstrip()}{text[end:]}"
        else:
            text = f"{text.rstrip()}\n\n{block}"
    return text.rstrip() + "\n"
