"""An evaluation as files: figures for programs, a picture for people."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from genzoo.evaluation.evaluate import Evaluation
from genzoo.files import write_text
from genzoo.images import grid, save_picture

__all__ = ["picture", "write_report"]

_MARGIN = 12  # pixels around each part, and
_TITLE = 22  # above it, for its title
_FONT = 15


def write_report(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write NAME.json and NAME.png into `folder`, and return both.

    Raises OutputError where they cannot be written.
    """
    figures = folder / f"{evaluation.model}.json"
    write_text(figures, json.dumps(evaluation.to_dict(), indent=2) + "\n")
    return [figures, picture(evaluation, folder / f"{evaluation.model}.png")]


def picture(evaluation: Evaluation, path: Path) -> Path:
    """Write real images, generated ones, and some of these before their nearest training images.

    Where there are classes, each has a row of the first two. Raises OutputError.
    """
    protocol, pictures = evaluation.protocol, evaluation.pictures
    parts = [
        (f"{protocol['dataset']}, {protocol['split']} split", grid(pictures["real"], 10)),
        (f"{evaluation.model}, seed {protocol['seed']}", grid(pictures["generated"], 10)),
        ("sample | nearest", grid(pictures["neighbours"], 4)),
    ]
    facts = {
        "model": evaluation.model,
        "weights_sha256": str(protocol["weights_sha256"] or ""),
        "seed": str(protocol["seed"]),
        "genzoo": str(protocol["genzoo"]),
    }
    return save_picture(_side_by_side(parts), path, facts)


def _side_by_side(parts: list[tuple[str, Tensor]]) -> Image.Image:
    height = max(panel.shape[1] for _, panel in parts)
    scaled = [(title, _enlarged(panel, height)) for title, panel in parts]
    width = sum(panel.shape[2] + _MARGIN for _, panel in scaled) + _MARGIN
    height = max(panel.shape[1] for _, panel in scaled)
    canvas = Image.new("RGB", (width, height + _TITLE + 2 * _MARGIN), "white")
    draw, font, left = ImageDraw.Draw(canvas), ImageFont.load_default(_FONT), _MARGIN
    for title, panel in scaled:
        draw.text((left, _MARGIN), title, fill="black", font=font)
        canvas.paste(Image.fromarray(panel.permute(1, 2, 0).numpy()), (left, _MARGIN + _TITLE))
        left += panel.shape[2] + _MARGIN
    return canvas


def _enlarged(panel: Tensor, height: int) -> Tensor:
    factor = max(1, height // panel.shape[1])
    wide: Tensor = torch.repeat_interleave(panel, factor, dim=1)
    return wide.repeat_interleave(factor, dim=2)
