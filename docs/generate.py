"""Write the parts of the documents that come from the code and the zoo configs.

python docs/generate.py            write them
python docs/generate.py --check    exit with 1 and name what is stale
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from genzoo.registry.catalog import catalog
from genzoo.registry.config import ZooConfig
from genzoo.registry.discovery import registry
from genzoo.registry.fields import field_rows
from genzoo.registry.schema import Config
from genzoo.registry.specs import resolve
from genzoo.registry.training_config import AdamConfig, AdamWConfig, RMSpropConfig, SGDConfig

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
            f"| {trained.steps:,} | {_time(trained.seconds)} on {trained.machine} |"
        )
    return "\n".join(rows)


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def reference() -> str:
    """Return the reference of all keys of a zoo config, and of the configs that plugins bring."""
    known = registry()
    parts = ["### The file", _fields(ZooConfig)]
    for optimizer in (AdamConfig, AdamWConfig, RMSpropConfig, SGDConfig):
        name = optimizer.model_fields["name"].default
        parts += [f"### Optimizer `{name}`", str(optimizer.__doc__), _fields(optimizer)]
    for title, specs in (
        ("Architecture", known.architectures),
        ("Objective", known.objectives),
        ("Dataset", known.datasets),
    ):
        for name, spec in specs.items():
            summary = spec.summary[0].upper() + spec.summary[1:].rstrip(".")
            parts += [f"### {title} `{name}`", f"{summary}.", _fields(resolve(spec.config))]
    return "\n\n".join(parts)


def _fields(model: type[Config]) -> str:
    lines = [
        _row(
            f"`{row['name']}`",
            row["allowed"].replace(" | ", ", "),
            "required" if row["required"] else _code(row["default"]),
            row["description"],
        )
        for row in field_rows(model)
        if row["allowed"] != row["default"]  # the name that says which optimizer it is
    ]
    if not lines:
        return "No settings."
    return "\n".join(["| key | allowed | default | meaning |", "|---|---|---|---|", *lines])


def _row(*cells: str) -> str:
    escaped = (cell.replace("|", r"\|") for cell in cells)  # a bare pipe ends its cell
    return f"| {' | '.join(escaped)} |"


def _code(value: object) -> str:
    return f"`{json.dumps(value)}`"


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
