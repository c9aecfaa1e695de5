from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import genzoo
from genzoo.errors import (
    ConfigError,
    UnknownNameError,
    UnsupportedError,
    WeightsError,
)
from genzoo.objectives.base import CanInterpolate
from genzoo.weights import format as weights_format

NAMES = genzoo.list_architectures()
SIZE = (1, 16, 16)

every_name = pytest.mark.parametrize("name", NAMES)


def rewrite(path: Path, **changes: Any) -> dict[str, Tensor]:
    """Write a weights file anew, well formed, with other tensors; None takes one away."""
    tensors, header = weights_format.read(path)
    tensors = {**tensors, **{name.replace("__", "."): value for name, value in changes.items()}}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    weights_format.write(path, tensors, header)
    return tensors


@every_name
@pytest.mark.parametrize("classes", [10, None])
def test_a_file_alone_rebuilds_its_model_bit_for_bit(
    name: str, classes: int | None, tmp_path: Path, model: Any
) -> None:
    before = model(name, classes)
    path = before.save(str(tmp_path / "new" / "toy.safetensors"))
    after = genzoo.load(path)
    assert not after.training
    assert (after.name, after.image, after.classes) == (name, before.image, classes)
    assert after.config.recipe() == before.config.recipe()
    assert after.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert set(after.networks) == before.objective.sampling_roles
    for key, tensor in after.state_dict().items():
        assert torch.equal(tensor, before.state_dict()[key]), key
    assert torch.equal(after.sample(4, seed=1), before.sample(4, seed=1))
    assert after.save(tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


@every_name
def test_loading_leaves_the_global_generator_alone(name: str, tmp_path: Path, model: Any) -> None:
    path = model(name).save(tmp_path / "toy.safetensors")
    state = torch.get_rng_state()
    genzoo.load(path)
    assert torch.equal(torch.get_rng_state(), state)


def test_only_what_samples_is_saved(saved: Path) -> None:
    assert {name.partition(".")[0] for name in load_file(saved)} == {"generator"}


def test_a_loaded_model_outlives_its_file(saved: Path, model: Any) -> None:
    loaded = genzoo.load(saved)
    expected = model().sample(2, seed=0)
    saved.unlink()
    assert torch.equal(loaded.sample(2, seed=0), expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.1), (torch.float64, 1e-5)])
@every_name
def test_models_of_other_types(
    name: str, dtype: torch.dtype, tolerance: float, tmp_path: Path, model: Any
) -> None:
    path = model(name).save(tmp_path / "toy.safetensors")
    loaded = genzoo.load(path, dtype=dtype)
    assert loaded.dtype == dtype
    images = loaded.sample(4, seed=1)
    assert images.dtype == torch.float32
    if isinstance(loaded.objective, CanInterpolate):
        torch.testing.assert_close(images, model(name).sample(4, seed=1), rtol=0, atol=tolerance)
        walks = loaded.interpolate(2, 3, seed=1)
        torch.testing.assert_close(walks[:, 0], loaded.sample(2, seed=1), rtol=0, atol=tolerance)
    else:  # what is drawn of a few levels cannot be close; what is drawn by can
        nats, expected = (drawn.log_likelihood(images, 1) for drawn in (loaded, model(name)))
        torch.testing.assert_close(nats, expected, rtol=tolerance / 10, atol=0)
    again = genzoo.load(loaded.save(tmp_path / "other.safetensors"))
    assert again.dtype == dtype
    assert torch.equal(again.sample(4, seed=1), images)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_impossible_types(saved: Path, dtype: torch.dtype) -> None:
    with pytest.raises(UnsupportedError, match=str(dtype)) as caught:
        genzoo.load(saved, dtype=dtype)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"generator__to_image__bias": None}, "missing generator.to_image.bias"),
        ({"generator__more": torch.zeros(1)}, "unexpected generator.more"),
        ({"discriminator__more": torch.zeros(1)}, "unexpected discriminator.more"),
        ({"objective__p": torch.zeros(1)}, "unexpected p"),
        (
            {"generator__to_image__bias": torch.zeros(255)},
            r"generator.to_image.bias has shape \[255\], not \[256\]",
        ),
        (
            {"generator__to_image__bias": torch.zeros(256, 1)},
            r"generator.to_image.bias has shape \[256, 1\], not \[256\]",
        ),
        (
            {"generator__to_image__bias": torch.zeros(256, dtype=torch.int32)},
            "generator.to_image.bias has type torch.int32, not torch.float32",
        ),
        (
            {"generator__to_image__bias": torch.zeros(256, dtype=torch.float64)},
            "generator.to_image.bias has type torch.float64, not torch.float32",
        ),
    ],
)
def test_tensors_that_do_not_fit_the_networks(
    saved: Path, changes: dict[str, Tensor | None], reason: str
) -> None:
    rewrite(saved, **changes)
    with pytest.raises(WeightsError, match=reason) as caught:
        genzoo.load(saved)
    assert f"{saved} does not fit its networks" in caught.value.message
    assert caught.value.hint


def test_many_problems_are_counted(saved: Path) -> None:
    tensors, header = weights_format.read(saved)
    weights_format.write(saved, {}, header)
    with pytest.raises(WeightsError, match=f"and {len(tensors) - 3} more"):
        genzoo.load(saved)


def test_no_flipped_byte_goes_unnoticed(saved: Path) -> None:
    content = saved.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    step = (len(content) - header) // 30
    places = [*range(0, header, header // 20), *range(header, len(content), step)]
    assert len(places) >= 50
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 0xFF
        saved.write_bytes(changed)
        with pytest.raises(WeightsError):
            genzoo.load(saved)


def test_a_config_of_a_file_is_validated(saved: Path) -> None:
    tensors, header = weights_format.read(saved)
    header["config"]["training"]["stesp"] = 5
    weights_format.write(saved, tensors, header)
    with pytest.raises(ConfigError) as caught:
        genzoo.load(saved)
    assert caught.value.message == (
        f"the metadata of {saved}: training.stesp: unknown key. Did you mean 'steps'?"
    )
    weights_format.write(saved, tensors, {})
    with pytest.raises(ConfigError, match="name: missing"):
        genzoo.load(saved)


def test_a_file_without_its_architecture_says_what_to_install(saved: Path) -> None:
    tensors, header = weights_format.read(saved)
    header["config"]["architecture"]["name"] = "not-here"
    header["config"]["requires"] = ["genzoo-not-here"]
    weights_format.write(saved, tensors, header)
    with pytest.raises(
        UnknownNameError, match="architecture 'not-here' is not installed"
    ) as caught:
        genzoo.load(saved)
    assert "pip install genzoo-not-here" in caught.value.hint


def test_parts_that_do_not_go_together(saved: Path) -> None:
    tensors, header = weights_format.read(saved)
    header["config"]["objective"] = {"name": "variational", "config": {}}
    weights_format.write(saved, tensors, header)
    with pytest.raises(ConfigError, match="objective 'variational' samples by the role 'decoder'"):
        genzoo.load(saved)
