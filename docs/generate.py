"""Write the parts of the documents that come from the code and the zoo configs.

python docs/generate.py              write the texts
python docs/generate.py --pictures   draw the pictures that are stale, but for what needs a dataset
python docs/generate.py --check      exit with 1 and name what is stale; nothing is drawn
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pictures
from models import models_page
from safetensors import safe_open
from wording import duration, figure, models, row, short, table

from genzoo.evaluation import evaluate as evaluation
from genzoo.evaluation import protocol
from genzoo.registry.catalog import package_file
from genzoo.registry.config import ZooConfig
from genzoo.registry.discovery import registry
from genzoo.registry.fields import field_rows
from genzoo.registry.schema import Config
from genzoo.registry.specs import Extractor, resolve
from genzoo.registry.training_config import AdamConfig, AdamWConfig, RMSpropConfig, SGDConfig
from genzoo.testing import SUITES

ROOT = Path(__file__).resolve().parents[1]


def model_table(configs: Mapping[str, ZooConfig]) -> str:
    """Return the README's table of models."""
    rows = []
    for name, config in configs.items():
        image, weights, trained = config.image, config.weights, config.trained
        if weights is None or trained is None:
            continue
        figures = config.measured.figures if config.measured else {}
        rows.append(
            [
                f"[`{name}`](docs/models.md#{name})",
                f"`{config.architecture.name}`",
                f"`{config.dataset.name}`",
                f"{image.channels}x{image.height}x{image.width}",
                figure("fid_ratio", figures),
                figure("label_agreement", figures),
                f"{weights.parameters:,}",
                f"{weights.size / 1e6:.1f} MB",
                f"{duration(trained.seconds)} on {trained.machine}",
            ]
        )
    head = ["model", "architecture", "data", "images", "FID / floor", "label agreement"]
    return table([*head, "parameters", "size", "training time"], rows)


def extractor_table() -> str:
    """Return the table of the extractors that ship with genzoo itself."""
    known = registry()
    rows = [
        _extractor(spec)
        for name, spec in known.extractors.items()
        if known.owner("extractors", name).distribution == "genzoo"
    ]
    head = ["extractor", "for", "features", "test accuracy", "wrong", "epochs", "sha256", "licence"]
    return table(head, rows)


def _extractor(spec: Extractor) -> list[str]:
    file = package_file(spec.weights) if spec.weights else None
    features = epochs = "-"
    if file is not None:
        with safe_open(file, framework="numpy") as opened:  # for its header, which needs no torch
            header = json.loads(opened.metadata()["genzoo"])
        features = str(header["network"]["stages"][-1][-1])
        epochs = str(header["recipe"]["epochs"])
    accuracy = spec.accuracy
    return [
        f"`{spec.name}`",
        ", ".join(f"`{dataset}`" for dataset in spec.datasets) or "any, if asked for",
        features,
        "-" if accuracy is None else f"{100 * accuracy:.2f}%",
        "-" if accuracy is None else f"{100 * (1 - accuracy):.2f}%",
        epochs,
        short(spec.sha256) if spec.sha256 else "-",
        spec.licence or "-",
    ]


def protocol_table() -> str:
    """Return the numbers of the protocol."""
    options = inspect.signature(evaluation.evaluate).parameters
    facts = {
        "samples of the model, and real training images for the floor": (
            f"{protocol.SAMPLES:,}, or all training images of a set with fewer"
        ),
        "draws of training images whose mean FID is the floor": (
            f"{protocol.FLOOR_DRAWS}, or as many as the set has"
        ),
        "neighbours k of precision, recall, density and coverage": protocol.NEIGHBOURS,
        "subsets of KID": protocol.KID_SUBSETS,
        "images in each, of either kind": f"{protocol.KID_SUBSET_SIZE:,}, or all where fewer",
        "images whose nearest training images are looked up": f"{protocol.MEMORIZATION:,}",
        "importance samples of a likelihood": (
            f"{protocol.IMPORTANCE_SAMPLES}; {protocol.CARD_IMPORTANCE_SAMPLES:,} for a card"
        ),
        "test images of a likelihood": (
            f"{protocol.LIKELIHOOD_IMAGES:,}; all of the split for a card"
        ),
        "seed": options["seed"].default,
        "samples of `--evaluate-every`": f"{protocol.CURVE_SAMPLES:,}",
    }
    return table(["", "number"], ([name, str(value)] for name, value in facts.items()))


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
        row(
            f"`{field['name']}`",
            field["allowed"].replace(" | ", ", "),
            "required" if field["required"] else _code(field["default"]),
            field["description"],
        )
        for field in field_rows(model)
        if field["allowed"] != field["default"]  # the name that says which optimizer it is
    ]
    if not lines:
        return "No settings."
    return "\n".join(["| key | allowed | default | meaning |", "|---|---|---|---|", *lines])


def _code(value: object) -> str:
    return f"`{json.dumps(value)}`"


def check_table() -> str:
    """Return the table of what `genzoo check` looks at."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for kind, suite in SUITES.items():
        for check in suite.checks:
            rows.setdefault((check.name, check.about, check.mend), []).append(kind)
    cells = ([", ".join(kinds), f"`{name}`", *texts] for (name, *texts), kinds in rows.items())
    return table(["of", "check", "what holds", "to mend"], cells)


def documents(root: Path) -> dict[Path, str]:
    """Return each document of a checkout that has generated parts, as it should be."""
    configs, docs = models(root), root / "docs"
    parts = {
        root / "README.md": {"models": model_table(configs)},
        docs / "zoo-config.md": {"reference": reference()},
        docs / "evaluation.md": {"protocol": protocol_table(), "extractors": extractor_table()},
        docs / "plugin-api.md": {"checks": check_table()},
    }
    texts = {path: path.read_text(encoding="utf-8") for path in parts}
    for path, contents in parts.items():
        for marker, content in contents.items():
            texts[path] = _between(texts[path], marker, content)
    return {**texts, docs / "models.md": models_page(configs)}


def _between(text: str, marker: str, content: str) -> str:
    pattern = re.compile(rf"(<!-- {marker}:[^>]*-->\n).*?(<!-- /{marker} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"the marker {marker!r} is missing")
    return pattern.sub(lambda match: f"{match[1]}{content}\n{match[2]}", text)


def stale(root: Path) -> list[str]:
    """Return what is stale in a checkout, each with the command that mends it."""
    found = [
        f"{path.relative_to(root)} is stale: run `make docs`."
        for path, text in documents(root).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    folder = root / "docs" / "images"
    found += [
        f"docs/images/{picture.name}.png is stale: run `{picture.command}`."
        for picture in pictures.expected(models(root))
        if pictures.is_stale(picture, folder)
    ]
    return found


def main() -> None:
    """Write the documents, draw the pictures, or check both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true")
    what.add_argument("--pictures", action="store_true")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout")
    arguments = parser.parse_args()
    root: Path = arguments.root
    if arguments.check:
        if found := stale(root):
            raise SystemExit("\n".join(found))
    elif arguments.pictures:
        zoo, folder = root / "zoo_configs", root / "docs" / "images"
        for path in pictures.draw(models(root), zoo, folder):
            print(f"drew {path.relative_to(root)}")
    else:
        for path, text in documents(root).items():
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
