"""How images are cut into patches."""

from __future__ import annotations

from collections.abc import Iterable

from genzoo import ImageSpec

__all__ = ["tiling"]


def tiling(image: ImageSpec, sizes: Iterable[int], most: int) -> int | None:
    """Return the smallest of the sizes, which rise, that tiles `image` in at most so many patches.

    Where none is that coarse, the coarsest that tiles it; None where none does.
    """
    sides = (image.height, image.width)
    fitting = [size for size in sizes if not any(side % size for side in sides)]
    few = [size for size in fitting if image.height * image.width <= most * size * size]
    return next(iter(few or fitting[-1:]), None)
