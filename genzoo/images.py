"""Pictures of samples: grids and animations, with their provenance inside."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from genzoo.errors import OutputError
from genzoo.files import atomic_file

__all__ = [
    "grid",
    "save_animation",
    "save_arrays",
    "save_frames",
    "save_image",
    "save_picture",
    "to_bytes",
]

_GENERATED = "by a model, with genzoo"
_LEGIBLE = 448  # pixels: smaller grids are enlarged by a whole factor, so that digits can be seen
_GAP = 2  # pixels between images
_MOST_FRAMES = 100  # ten seconds of film, and
_LARGEST_FRAME = 800  # pixels of a side: Pillow holds all frames until it writes, 64 MB at the most
_FRAME_MS, _LAST_FRAME_MS = 100, 2000


def save_image(
    images: Tensor,
    path: str | os.PathLike[str],
    columns: int | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Path:
    """Write images (N, C, H, W) or (C, H, W) in [0, 1], or uint8, as one PNG grid.

    It is `columns` images wide. `provenance` goes into the PNG as text; a text `generated` marks
    every picture as a model's. Raises OutputError where it cannot be written.
    """
    return save_picture(_to_pil(grid(images, columns)), path, provenance)


def save_picture(
    picture: Image.Image,
    path: str | os.PathLike[str],
    provenance: Mapping[str, str] | None = None,
) -> Path:
    """Write any picture that shows samples as a PNG, marked as `save_image` marks its own."""
    target = _target(path, ".png")
    text = PngInfo()
    for key, value in {**(provenance or {}), "generated": _GENERATED}.items():
        text.add_itxt(key, value)
    with atomic_file(target) as beside:
        picture.save(beside, format="PNG", pnginfo=text)
    return target


def save_animation(
    frames: Tensor,
    path: str | os.PathLike[str],
    columns: int | None = None,
    seconds: float = 2.0,
    provenance: Mapping[str, str] | None = None,
) -> Path:
    """Write frames (N, T, C, H, W) in [0, 1] as a GIF: N images side by side, forth and back.

    `seconds` is the time of one way. Raises OutputError where it cannot be written.
    """
    target = _target(path, ".gif")
    if frames.ndim != 5 or not frames.shape[1]:
        raise OutputError(
            f"frames have shape {tuple(frames.shape)}.",
            hint="Give (N, T, C, H, W) with at least one frame.",
        )
    forth = [_to_pil(grid(frames[:, t], columns)) for t in range(frames.shape[1])]
    pictures = [*forth, *forth[-2:0:-1]]
    with atomic_file(target) as beside:
        pictures[0].save(
            beside,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=max(20, round(1000 * seconds / len(forth))),
            loop=0,
            comment=_comment(provenance or {}),
        )
    return target


def save_frames(pictures: Sequence[Path], path: str | os.PathLike[str]) -> Path:
    """Write PNGs of `save_image`, all of one size, as a GIF that shows one after the other.

    It has the first, the last and at most 98 between, evenly spread; the last is held longer. What
    the last says of itself goes into the comment. Raises OutputError where it cannot be written, or
    one of them cannot be read.
    """
    target = _target(path, ".gif")
    steps = max(1, min(len(pictures), _MOST_FRAMES) - 1)
    shown = [pictures[round(i * (len(pictures) - 1) / steps)] for i in range(steps + 1)]
    last = _opened(shown[-1]).info
    facts = {str(k): v for k, v in last.items() if isinstance(v, str) and k != "generated"}
    frames = map(_opened, shown)  # one at a time
    with atomic_file(target) as beside:
        next(frames).save(
            beside,
            format="GIF",
            save_all=True,
            append_images=frames,
            duration=[*[_FRAME_MS] * steps, _LAST_FRAME_MS],
            loop=0,
            comment=_comment(facts),
        )
    return target


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            picture.load()
            picture.thumbnail((_LARGEST_FRAME, _LARGEST_FRAME))
            return picture
    except (OSError, SyntaxError) as error:  # Pillow's for a PNG that is none
        raise OutputError(
            f"cannot read {path}: {error}.", hint="Delete it: an animation can do without."
        ) from error


def _comment(provenance: Mapping[str, str]) -> bytes:
    facts = (f"{key}: {value}" for key, value in provenance.items())
    return "; ".join([f"generated {_GENERATED}", *facts]).encode()


def save_arrays(images: Tensor, labels: Tensor | None, path: str | os.PathLike[str]) -> Path:
    """Write a NumPy archive: `images` float32 (N, C, H, W) in [0, 1] and `labels` int64 (N,).

    Without labels they are -1, so that both arrays are always there.
    """
    target = _target(path, ".npz")
    pixels = images.detach().cpu().float()
    classes = torch.full((len(pixels),), -1) if labels is None else labels.detach().cpu().long()
    # To an open file, because NumPy adds .npz to a name that does not end in it.
    with atomic_file(target) as beside, beside.open("wb") as file:
        np.savez(file, images=pixels.numpy(), labels=classes.numpy())
    return target


def grid(images: Tensor, columns: int | None = None) -> Tensor:
    """Return images (N, C, H, W) or (C, H, W) in [0, 1], or uint8, as one uint8 (3, H', W')."""
    if not isinstance(images, Tensor):
        raise OutputError(
            f"images are a {type(images).__name__}.",
            hint="Give a tensor, as torch.as_tensor makes of an array.",
        )
    images = images.detach().cpu()
    images = images / 255 if images.dtype == torch.uint8 else images.float()
    images = images.unsqueeze(0) if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise OutputError(
            f"images have shape {tuple(images.shape)}.",
            hint="Give (N, C, H, W) with 1 or 3 channels and at least one image.",
        )
    if columns is None:
        columns = next(c for c in range(1, len(images) + 1) if c * c >= len(images))
    if columns < 1:
        raise OutputError(f"columns is {columns}.", hint="Use 1 or more.")
    picture = _side_by_side(images.clamp(0, 1).expand(-1, 3, -1, -1), columns)
    scale = max(1, _LEGIBLE // max(picture.shape[1:]))
    picture = picture.repeat_interleave(scale, dim=1).repeat_interleave(scale, dim=2)
    return to_bytes(picture)


def to_bytes(images: Tensor) -> Tensor:
    """Return images in [0, 1], of any shape, as uint8: a picture of these is that of those."""
    return images.mul(255).round().to(torch.uint8)


def _side_by_side(images: Tensor, columns: int) -> Tensor:
    """Return images (N, 3, H, W) as one picture (3, H', W'), grey between and around them.

    As torchvision's make_grid does, whose import takes as long as that of torch itself.
    """
    if len(images) == 1:
        return images[0]
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height, width = (size + _GAP for size in images.shape[2:])
    picture = images.new_full((3, rows * height + _GAP, columns * width + _GAP), 0.5)
    for place, image in enumerate(images):
        row, column = divmod(place, columns)
        top, left = row * height + _GAP, column * width + _GAP
        picture[:, top : top + height - _GAP, left : left + width - _GAP] = image
    return picture


def _target(path: str | os.PathLike[str], suffix: str) -> Path:
    target = Path(path)
    if target.suffix.lower() != suffix:
        raise OutputError(
            f"cannot write {target}: not a {suffix}.", hint=f"Give a name that ends in {suffix}."
        )
    return target


def _to_pil(picture: Tensor) -> Image.Image:
    return Image.fromarray(picture.permute(1, 2, 0).numpy())
