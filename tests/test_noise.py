from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genzoo.errors import UnsupportedError
from genzoo.noise import MAX_SEED, Noise, StepNoise, check_seed

DRAWS = ["normal", "uniform", "integers"]


def draw(source: Noise | StepNoise, kind: str) -> Tensor:
    """Return one draw, (N, 3, 2) or (N,)."""
    return source.integers(1000) if kind == "integers" else getattr(source, kind)(3, 2)


def step_noise(rows: slice = slice(None), **changes: Any) -> StepNoise:
    values = {"seed": 5, "step": 3, "stream": "generator", "batch_size": 12, **changes}
    seed, step = values.pop("seed"), values.pop("step")
    return StepNoise(seed, step, rows=rows, **values)


@pytest.mark.parametrize("kind", DRAWS)
def test_a_row_depends_on_seed_and_index_alone(kind: str) -> None:
    whole = draw(Noise(7, range(20)), kind)
    assert torch.equal(draw(Noise(7, range(5, 9)), kind), whole[5:9])
    assert torch.equal(draw(Noise(7, [13, 2, 13]), kind), whole[[13, 2, 13]])


@pytest.mark.parametrize("kind", DRAWS)
def test_every_call_draws_anew_and_the_same_at_the_same_place(kind: str) -> None:
    first, second = Noise(7, range(8)), Noise(7, range(4, 8))
    calls = [draw(first, kind), draw(first, kind)]
    assert not torch.equal(*calls)
    assert torch.equal(draw(second, kind), calls[0][4:])
    assert torch.equal(draw(second, kind), calls[1][4:])


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("other", [Noise(8, range(8)), Noise(7, range(8), stream="labels")])
def test_seeds_and_streams_differ(other: Noise, kind: str) -> None:
    assert not torch.equal(draw(Noise(7, range(8)), kind), draw(other, kind))


def test_the_largest_seed_and_index_are_fine() -> None:
    big = Noise(MAX_SEED, [0, 2**40, 2**63]).normal(2)
    assert len(torch.unique(big)) == 6


def test_shapes_and_types() -> None:
    noise = Noise(0, range(4))
    assert len(noise) == 4
    assert noise.normal(3, 2).shape == (4, 3, 2)
    assert noise.normal().shape == (4,)
    assert noise.uniform(5).dtype == noise.normal(5).dtype == torch.float32
    labels = noise.integers(10)
    assert (labels.shape, labels.dtype) == ((4,), torch.int64)


def test_no_rows_give_empty_tensors() -> None:
    empty = Noise(0, [])
    assert empty.normal(3, 2).shape == (0, 3, 2)
    assert empty.uniform(3).shape == (0, 3)
    assert (empty.integers(10).shape, empty.integers(10).dtype) == ((0,), torch.int64)


def test_the_numbers_are_those_of_numpys_philox() -> None:
    """Other numbers would change every image that anybody has drawn by its seed."""
    key = np.array([7, zlib.crc32(b"sample")], dtype=np.uint64)
    for index in (0, 11):
        for call, kind in enumerate(["standard_normal", "random"]):
            counter = np.array([0, call, index, 0], dtype=np.uint64)
            generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
            expected = getattr(generator, kind)(6, dtype=np.float32)
            noise = Noise(7, [index])
            found = [noise.normal(6), noise.uniform(6)][call][0]
            assert found.tolist() == expected.tolist()


def test_normal_draws_are_standard_normal_over_rows_and_columns() -> None:
    values = Noise(3, range(4000)).normal(16).double()
    n = values.numel()
    assert abs(values.mean().item()) < 4 / n**0.5
    assert abs(values.square().mean().item() - 1) < 4 * (2 / n) ** 0.5
    inside = (values.abs() < 1).double().mean().item()
    assert abs(inside - 0.682689) < 4 * (0.6827 * 0.3173 / n) ** 0.5
    # Neighbouring rows, columns and calls are independent of each other.
    for one, other in ((values[1:], values[:-1]), (values[:, 1:], values[:, :-1])):
        assert abs((one * other).mean().item()) < 4 / one.numel() ** 0.5


def test_uniform_draws_fill_the_unit_interval_and_never_reach_one() -> None:
    values = Noise(3, range(4000)).uniform(16).double()
    assert values.min() >= 0
    assert values.max() < 1
    counts = torch.histc(values, bins=10, min=0, max=1)
    expected = values.numel() / 10
    assert ((counts - expected).abs() < 5 * expected**0.5).all()


def test_integers_are_uniform_over_their_range() -> None:
    counts = torch.bincount(Noise(3, range(10_000)).integers(10), minlength=10)
    assert counts.sum() == 10_000
    assert ((counts - 1000).abs() < 5 * 1000**0.5).all()
    assert Noise(3, range(5)).integers(1).tolist() == [0] * 5


@pytest.mark.parametrize("kind", DRAWS)
def test_processes_get_their_rows_of_one_global_draw(kind: str) -> None:
    whole, halves = step_noise(), [step_noise(slice(0, 6)), step_noise(slice(6, 12))]
    for _ in range(2):
        drawn = draw(whole, kind)
        assert torch.equal(torch.cat([draw(half, kind) for half in halves]), drawn)
    assert [len(half) for half in halves] == [6, 6]


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("change", [{"seed": 6}, {"step": 4}, {"stream": "discriminator"}])
def test_seeds_steps_and_phases_differ(change: dict[str, Any], kind: str) -> None:
    assert torch.equal(draw(step_noise(), kind), draw(step_noise(), kind))
    assert not torch.equal(draw(step_noise(), kind), draw(step_noise(**change), kind))


def test_step_noise_draws_anew_at_every_call() -> None:
    noise = step_noise()
    assert not torch.equal(noise.normal(4), noise.normal(4))


def test_step_noise_has_the_shapes_of_its_rows() -> None:
    noise = step_noise(slice(8, 12))
    assert noise.normal(3, 2).shape == (4, 3, 2)
    assert noise.uniform().shape == (4,)
    assert (noise.integers(10).shape, noise.integers(10).dtype) == ((4,), torch.int64)


def test_noise_leaves_the_global_generators_alone() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    expected = torch.rand(3).tolist(), np.random.rand(3).tolist()
    torch.manual_seed(0)
    np.random.seed(0)
    Noise(1, range(3)).normal(4)
    step_noise().uniform(4)
    assert (torch.rand(3).tolist(), np.random.rand(3).tolist()) == expected


@pytest.mark.parametrize("seed", [0, 1, MAX_SEED, np.int64(5)])
def test_possible_seeds(seed: int) -> None:
    assert check_seed(seed) == seed
    assert type(check_seed(seed)) is int


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 1.5, 1.0, "1", None])
def test_impossible_seeds(seed: Any) -> None:
    with pytest.raises(UnsupportedError, match="seed") as caught:
        check_seed(seed)
    assert str(MAX_SEED) in caught.value.hint
