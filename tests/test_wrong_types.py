"""Values of a wrong type get an error of ours, which says what to give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import genzoo
from genzoo.errors import GenzooError
from genzoo.model import Model

CALLS: dict[str, Callable[[Model], Any]] = {
    "a number of images": lambda model: model.sample(1.5),  # type: ignore[arg-type]
    "a text for a number": lambda model: model.sample("5"),  # type: ignore[arg-type]
    "a batch size": lambda model: model.sample(2, batch_size=1.5),  # type: ignore[arg-type]
    "an array to encode": lambda model: model.encode(np.zeros((1, 1, 8, 8)), labels=0),  # type: ignore[arg-type]
    "a list to reconstruct": lambda model: model.reconstruct([[0.0]], labels=0),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_model_names_what_is_wrong(call: Callable[[Model], Any], model: Any) -> None:
    with pytest.raises(GenzooError) as caught:
        call(model("vae", classes=10))
    assert caught.value.hint


@pytest.mark.parametrize("images", [np.zeros((1, 1, 8, 8)), [torch.zeros(1, 8, 8)], "a.png"])
def test_a_picture_needs_a_tensor(images: Any, tmp_path: Path) -> None:
    with pytest.raises(GenzooError, match="images are a"):
        genzoo.save_image(images, tmp_path / "a.png")


@pytest.mark.parametrize("dtype", ["float32", torch.int64])
def test_a_dtype_is_of_torch_and_of_floating_point(dtype: Any, saved: Path) -> None:
    with pytest.raises(GenzooError, match="a model cannot be"):
        genzoo.load(saved, dtype=dtype)
