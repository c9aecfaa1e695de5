"""Pictures of attention: an image, and beside it where some of its pixels look."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["edges", "overlay"]

_SIDE = 168  # pixels: smaller images are enlarged by a whole factor, so that a mark can be seen
_SEEN = 0.2  # the least contrast that is an edge
_FAINT = 0.45  # of the image beneath
_HEAT = (1.0, 0.55, 0.0)
_MARK = (0.2, 0.9, 1.0)


def edges(image: Tensor, count: int = 5) -> list[tuple[int, int]]:
    """Return a place (row, column) in each of `count` bands of an image (C, H, W), from above.

    It is the pixel that differs most from those to its right and beneath. The bands share the rows
    from the first that has such an edge to the last, or all where these are too few.
    """
    grey = torch.nn.functional.pad(image.mean(0)[None], (0, 1, 0, 1), mode="replicate")[0]
    across, down = grey[:-1, 1:] - grey[:-1, :-1], grey[1:, :-1] - grey[:-1, :-1]
    contrast = across.abs() + down.abs()
    width = contrast.shape[1]
    rows = (contrast.amax(1) > _SEEN).nonzero().flatten().tolist() or [0]
    first, height = rows[0], rows[-1] + 1 - rows[0]
    if height < count:
        first, height = 0, len(contrast)
    places, bands = [], min(count, height)
    for band in range(bands):
        start, end = (first + (band + step) * height // bands for step in (0, 1))
        place = int(contrast[start:end].argmax())
        places.append((start + place // width, place % width))
    return places


def overlay(image: Tensor, looked: Tensor, places: Sequence[tuple[int, int]]) -> Tensor:
    """Return an image (C, H, W) in [0, 1] and P pictures (1 + P, 3, H', W') of where it was looked.

    `looked` (P, H, W) is how much the place (row, column) of the same index looked at each pixel.
    The brightest is where it looked most, and the square is the place itself.
    """
    colour = image.cpu().float().expand(3, -1, -1)
    scale = max(1, _SIDE // max(colour.shape[1:]))
    pictures = [_enlarged(colour, scale)]
    for heat, (row, column) in zip(looked.cpu().float(), places, strict=True):
        # Square roots, for attention spreads thin: what is a hundredth shows as a tenth.
        share = (heat / heat.max().clamp(min=1e-12)).sqrt()
        picture = colour * _FAINT * (1 - share) + torch.tensor(_HEAT).view(3, 1, 1) * share
        picture = _enlarged(picture, scale)
        top, left = row * scale, column * scale
        square = picture[:, top : top + scale, left : left + scale]
        inside = square[:, 1:-1, 1:-1].clone()
        square[:] = torch.tensor(_MARK).view(3, 1, 1)
        square[:, 1:-1, 1:-1] = inside
        pictures.append(picture)
    return torch.stack(pictures)


def _enlarged(picture: Tensor, scale: int) -> Tensor:
    return picture.repeat_interleave(scale, dim=1).repeat_interleave(scale, dim=2)
