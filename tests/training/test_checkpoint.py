from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import genzoo
from genzoo.objectives.base import Phase
from genzoo.registry.schema import validate
from genzoo.registry.training_config import TrainingConfig
from genzoo.training.checkpoint import (
    Position,
    load_optimizer,
    newest,
    newest_whole,
    optimizer_tensors,
    prune,
    save,
    set_aside,
)
from genzoo.training.optimization import build_optimizer

ONE = {"value": torch.ones(1)}
OPTIMIZERS: list[dict[str, Any]] = [
    {"name": "adam"},
    {"name": "adamw"},
    {"name": "rmsprop", "momentum": 0.9},
    {"name": "sgd", "momentum": 0.9},
    {"name": "sgd"},
]


def build(settings: dict[str, Any]) -> tuple[list[nn.Parameter], torch.optim.Optimizer]:
    """Return parameters of several layouts, one of them a scalar, and their optimizer."""
    torch.manual_seed(0)
    layouts = [torch.randn(4, 3, 5, 2).to(memory_format=torch.channels_last), torch.randn(())]
    parameters = [nn.Parameter(value) for value in (*layouts, torch.randn(7))]
    config = validate(TrainingConfig, {"steps": 1, "optimizer": settings}, source="test")
    return parameters, build_optimizer(config, Phase("phase", frozenset()), parameters)


def step(parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters[:2]:  # the last one never gets a gradient
        gradient = torch.empty_like(parameter)
        parameter.grad = gradient.copy_(torch.randn(parameter.shape, generator=generator))
    optimizer.step()


@pytest.mark.parametrize("settings", OPTIMIZERS)
def test_an_optimizer_goes_on_where_it_was_saved(settings: dict[str, Any], tmp_path: Path) -> None:
    parameters, optimizer = build(settings)
    for seed in range(4):
        step(parameters, optimizer, seed)
    tensors = {k: v.contiguous() for k, v in optimizer_tensors(optimizer, "it").items()}
    save_file(tensors, tmp_path / "state.safetensors")
    copies, resumed = build(settings)
    for parameter, copy in zip(parameters, copies, strict=True):
        copy.data.copy_(parameter.data)
    load_optimizer(resumed, load_file(tmp_path / "state.safetensors"), "it")
    assert_same_state(resumed, optimizer)
    for seed in range(4, 8):
        step(parameters, optimizer, seed)
        step(copies, resumed, seed)
    for parameter, copy in zip(parameters, copies, strict=True):
        assert torch.equal(parameter, copy)
    assert_same_state(resumed, optimizer)


def assert_same_state(found: torch.optim.Optimizer, expected: torch.optim.Optimizer) -> None:
    ours, theirs = (o.state_dict()["state"] for o in (found, expected))
    assert ours.keys() == theirs.keys()
    for index, values in theirs.items():
        tensors = {key: value for key, value in values.items() if value is not None}
        assert ours[index].keys() >= tensors.keys()
        for key, value in tensors.items():
            assert torch.equal(ours[index][key], value), (index, key)
            assert ours[index][key].dtype == value.dtype
            assert ours[index][key].stride() == value.stride(), (index, key)


def test_an_optimizer_takes_its_own_state_alone() -> None:
    parameters, optimizer = build({"name": "adam"})
    step(parameters, optimizer, 0)
    tensors = optimizer_tensors(optimizer, "optimizer.a") | {"optimizer.ab.0.step": torch.ones(())}
    _, other = build({"name": "adam"})
    load_optimizer(other, tensors, "optimizer.ab")
    assert list(other.state_dict()["state"]) == [0]
    assert other.state_dict()["state"][0].keys() == {"step"}


@pytest.fixture
def model() -> genzoo.Model:
    return genzoo.create("mlp-gan", (1, 8, 8), generator_widths=[8], discriminator_widths=[8])


def write(
    folder: Path, step: int, model: genzoo.Model, tensors: Mapping[str, Tensor], keep: int = 2
) -> Path:
    written = save(folder, Position(step, 1.5 * step), tensors, model)
    prune(folder, keep)
    return written


def test_a_checkpoint_gives_back_what_was_saved(tmp_path: Path, model: genzoo.Model) -> None:
    tensors = {
        "float": torch.randn(2, 3),
        "integer": torch.tensor(7),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "transposed": torch.arange(6.0).view(2, 3).t(),
    }
    folder = write(tmp_path, 3, model, tensors)
    found, damaged = newest_whole(tmp_path)
    assert found is not None
    assert not damaged
    assert (found.folder, found.position) == (folder, Position(3, 4.5))
    read = found.tensors
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(read[name], tensor)
        assert read[name].dtype == tensor.dtype
    loaded = genzoo.load(folder / "weights.safetensors", device="cpu")
    assert torch.equal(loaded.sample(2, seed=0), model.sample(2, seed=0))


def test_tensors_that_share_memory_are_saved(tmp_path: Path, model: genzoo.Model) -> None:
    tied = torch.randn(3)
    write(tmp_path, 1, model, {"embedding": tied, "head": tied})
    found, damaged = newest_whole(tmp_path)
    assert found is not None
    assert not damaged
    assert all(torch.equal(tensor, tied) for tensor in found.tensors.values())


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_stay(keep: int, tmp_path: Path, model: genzoo.Model) -> None:
    for number in (1, 2, 10, 100):
        write(tmp_path, number, model, ONE, keep)
    names = ["step-00000002", "step-00000010", "step-00000100"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names[-keep:]


def test_the_best_stays_however_old_it_is(tmp_path: Path, model: genzoo.Model) -> None:
    for number in (1, 2, 10, 100):
        save(tmp_path, Position(number, 0.0), ONE, model)
    prune(tmp_path, 1, best=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000100"]
    prune(tmp_path, 1, best=100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000100"]


def test_none_is_newest_where_there_is_none(tmp_path: Path) -> None:
    assert newest(tmp_path / "missing") is None
    (tmp_path / ".step-00000003.x1").mkdir()
    assert newest(tmp_path) is None
    assert newest_whole(tmp_path) == (None, {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1, 2]",
        '{"step": 2, "seconds": 2, "more": 3}',
        '{"step": 9, "seconds": 2, "machines": [], "sha256": ""}',
        '{"step": 2, "seconds": NaN, "machines": [], "sha256": ""}',
    ],
)
def test_a_damaged_position_is_named(text: str, tmp_path: Path, model: genzoo.Model) -> None:
    older, newer = (write(tmp_path, step, model, ONE) for step in (1, 2))
    (newer / "position.json").write_text(text)
    found, damaged = newest_whole(tmp_path)
    assert found is not None
    assert found.folder == older
    assert list(damaged) == [newer]
    assert f"{newer} is damaged" in damaged[newer].message


def test_what_is_set_aside_is_no_checkpoint_any_more(tmp_path: Path, model: genzoo.Model) -> None:
    for _ in range(2):  # the same step may be damaged twice
        aside = set_aside(write(tmp_path, 2, model, ONE))
        assert newest(tmp_path) is None
        assert (aside / "position.json").is_file()
