"""Grey images as black and white ones: a pixel of value v is white with probability v / 255.

The images that likelihoods of MNIST are reported on since Salakhutdinov and Murray (2008), drawn
anew at each reading in training, as by Burda et al. (2016, arXiv:1509.00519).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["binarize", "grey_levels"]

_AT_ONCE = 2**20  # levels: each takes 16 bytes while it is drawn, and one when it is kept


def binarize(images: Tensor, levels: Tensor) -> Tensor:
    """Return uint8 images (N, C, H, W) of 0 and 255: white wherever they exceed `levels`.

    The levels are uint8 (N, 1, H, W), uniform over 0 ... 254, so that a value v exceeds v of 255.
    The channels share them, so that what is grey stays so.
    """
    return (levels < images).to(torch.uint8) * 255


def grey_levels(seed: int, stream: str, counter: int, count: int, size: Sequence[int]) -> Tensor:
    """Return uint8 (count, 1, *size), uniform over 0 ... 254: a function of the arguments alone."""
    # Not a Generator: only the raw stream of Philox is the same in every version of NumPy (NEP 19).
    key = np.array([seed, zlib.crc32(stream.encode())], dtype=np.uint64)
    philox = np.random.Philox(key=key, counter=np.array([0, 0, counter, 0], dtype=np.uint64))
    shape = (count, 1, *size)
    levels = np.empty(math.prod(shape), dtype=np.uint8)
    for start in range(0, len(levels), _AT_ONCE):
        part = levels[start : start + _AT_ONCE]
        # The upper half of each word as a fraction of 2^32, times 255, rounded down: no level is
        # more likely than another by over 2^-24 of its share.
        words = philox.random_raw(len(part)) >> np.uint64(32)
        part[:] = (words * np.uint64(255)) >> np.uint64(32)
    return torch.from_numpy(levels.reshape(shape))
