"""Numbers and tables, as the documents write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from genzoo.registry.config import ZooConfig, read_config

__all__ = ["compact", "duration", "figure", "models", "row", "short", "table"]

_SHARES = frozenset({"precision", "recall", "coverage", "label_agreement", "copied"})
_DIGITS = 12  # of a sha256: enough to tell files apart, few enough to read


def models(root: Path) -> dict[str, ZooConfig]:
    """Return the configs of the models with weights in a checkout's own zoo, by name.

    From the folder and not from the catalogue, which also has what other plugins bring.
    """
    configs = map(read_config, sorted((root / "zoo_configs").glob("*.yaml")))
    return {config.name: config for config in configs if config.weights is not None}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    titles = list(head)
    return "\n".join([row(*titles), f"|{'---|' * len(titles)}", *(row(*cells) for cells in rows)])


def row(*cells: str) -> str:
    """Return one line of a Markdown table."""
    escaped = (cell.replace("|", r"\|") for cell in cells)  # a bare pipe ends its cell
    return f"| {' | '.join(escaped)} |"


def figure(name: str, figures: Mapping[str, float]) -> str:
    """Return what was measured under that name: a share in per cent; "-" where it was not."""
    if name not in figures:
        return "-"
    value = figures[name]
    return f"{100 * value:.2f}%" if name in _SHARES else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Return a time in seconds or minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def short(sha256: object) -> str:
    """Return the first digits of a sha256 as code, "none" for an empty one."""
    return f"`{str(sha256)[:_DIGITS]}`" if sha256 else "none"


def compact(value: Any) -> str:
    """Return plain values on one line: maps as `key value, ...`, maps within them in brackets."""
    if isinstance(value, Mapping):
        parts = (f"{key} {_inner(each)}" for key, each in value.items())
        return ", ".join(parts)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(compact, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _inner(value: Any) -> str:
    return f"({compact(value)})" if isinstance(value, Mapping) else compact(value)
