"""The set that ships with genzoo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from genzoo.data.configs import DigitsConfig
from genzoo.data.fitting import Split, TensorImages, fit_tensors
from genzoo.registry.specs import ImageSpec

__all__ = ["DIGIT_NAMES", "digits"]

DIGIT_NAMES = tuple("0123456789")
_TRAIN = 1500  # of 1,797


def digits(config: DigitsConfig, image: ImageSpec, split: Split, root: Path | None) -> TensorImages:
    """Return the 1,797 handwritten digits (8x8, grey) that ship with genzoo: 1,500 train, 297 test.

    Alpaydin and Kaynak (1998), doi:10.24432/C50P49. `root` is not used. Raises DataError where
    `image` asks for another number of classes.
    """
    stored = load_file(Path(__file__).parent / "digits" / "digits.safetensors")
    # Not a Generator: only the stream of RandomState is frozen (NEP 19), and the split with it.
    order = np.random.RandomState(0).permutation(len(stored["labels"]))
    chosen = torch.from_numpy(order[:_TRAIN] if split == "train" else order[_TRAIN:])
    pixels = (stored["images"][chosen] * (255 / 16)).round_().to(torch.uint8).unsqueeze(1)
    return fit_tensors("digits", pixels, stored["labels"][chosen].long(), DIGIT_NAMES, image)
