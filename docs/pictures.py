"""The documents' pictures: which there are, which are stale, and how they are drawn.

Each PNG says in its text what it was drawn from, so that to check them nothing is drawn.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import charts
from PIL import Image, UnidentifiedImageError

from genzoo.registry.config import ZooConfig

__all__ = ["BESIDE_REAL", "LOOKED_INTO", "Picture", "draw", "expected", "is_stale"]

BESIDE_REAL = "dcgan-mnist"
"""The model that the README shows beside real images."""
LOOKED_INTO = "pixel-transformer-mnist"
"""The model whose completions, and whose attention, are shown."""
_ROWS = 6
_COLUMNS = 10  # of a grid: a label to a column, of the first labels where there are more


@dataclass(frozen=True)
class Picture:
    """A picture that should be there: what its text must say, and what makes it say so."""

    name: str
    key: str
    value: str
    command: str = "make pictures"


def expected(configs: Mapping[str, ZooConfig]) -> list[Picture]:
    """Return the pictures of these models."""
    hashes = {name: config.weights.sha256 for name, config in configs.items() if config.weights}
    found = [Picture(name, "weights_sha256", sha256) for name, sha256 in hashes.items()]
    if LOOKED_INTO in hashes:
        found.append(Picture(f"{LOOKED_INTO}-attention", "weights_sha256", hashes[LOOKED_INTO]))
    for model, what in ((BESIDE_REAL, "evaluation"), (LOOKED_INTO, "completion")):
        if model in hashes:
            name, sha256 = f"{model}-{what}", hashes[model]
            found.append(Picture(name, "weights_sha256", sha256, "make evaluations"))
    for name, rows in (("zoo", charts.bars(configs)), ("training", charts.curves(configs))):
        found += [Picture(name, "data_sha256", charts.digest(rows))] if rows else []
    return found


def is_stale(picture: Picture, folder: Path) -> bool:
    """Return whether a picture is missing or was drawn from something else."""
    try:
        with Image.open(folder / f"{picture.name}.png") as file:
            return file.info.get(picture.key) != picture.value
    except (FileNotFoundError, UnidentifiedImageError):
        return True


def draw(configs: Mapping[str, ZooConfig], zoo: Path, folder: Path) -> list[Path]:
    """Draw what is stale, but for what needs a dataset, and return the files.

    `zoo` is the folder of the configs.
    """
    drawn = []
    for picture in expected(configs):
        if picture.command != "make pictures" or not is_stale(picture, folder):
            continue
        path = folder / f"{picture.name}.png"
        if picture.name == f"{LOOKED_INTO}-attention":
            _run(
                "explain", zoo / f"{LOOKED_INTO}.yaml", "-n", 5, "--labels", "2,3,5,8,9", path=path
            )
        elif picture.key == "weights_sha256":
            _draw_grid(zoo / f"{picture.name}.yaml", configs[picture.name].classes, path)
        elif picture.name == "zoo":
            charts.draw_bars(charts.bars(configs), path)
        else:
            charts.draw_curves(charts.curves(configs), path)
        drawn.append(path)
    return drawn


def _draw_grid(config: Path, classes: int | None, path: Path) -> None:
    columns = min(classes or _COLUMNS, _COLUMNS)
    labels = ("--labels", f"0-{columns - 1}") if classes else ()
    _run("sample", config, "-n", _ROWS * columns, "--columns", columns, *labels, path=path)


def _run(verb: str, config: Path, *options: object, path: Path) -> None:
    words = (verb, config, *options, "--seed", 0, "-o", path)
    subprocess.run([sys.executable, "-m", "genzoo", *map(str, words)], check=True)
