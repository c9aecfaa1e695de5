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

__all__ = ["BESIDE_REAL", "Picture", "draw", "expected", "is_stale"]

BESIDE_REAL = "dcgan-mnist"
"""The model that the README shows beside real images."""
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
    if BESIDE_REAL in hashes:
        name = f"{BESIDE_REAL}-evaluation"
        found.append(Picture(name, "weights_sha256", hashes[BESIDE_REAL], "make evaluations"))
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
        if picture.key == "weights_sha256":
            _draw_grid(zoo / f"{picture.name}.yaml", configs[picture.name].classes, path)
        elif picture.name == "zoo":
            charts.draw_bars(charts.bars(configs), path)
        else:
            charts.draw_curves(charts.curves(configs), path)
        drawn.append(path)
    return drawn


def _draw_grid(config: Path, classes: int | None, path: Path) -> None:
    columns = min(classes or _COLUMNS, _COLUMNS)
    command = [
        sys.executable,
        "-m",
        "genzoo",
        "sample",
        str(config),
        "--seed",
        "0",
        "-o",
        str(path),
    ]
    command += ["-n", str(_ROWS * columns), "--columns", str(columns)]
    command += ["--labels", f"0-{columns - 1}"] if classes else []
    subprocess.run(command, check=True)
