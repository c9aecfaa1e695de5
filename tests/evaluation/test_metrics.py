"""Each metric against its definition, worked out another way, and against numbers on paper."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from genzoo.errors import UnsupportedError
from genzoo.evaluation import metrics

Points = list[list[float]]


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def normal(seed: int, count: int, size: int, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    draws = np.random.default_rng(seed).normal(shift, scale, (count, size))
    return torch.from_numpy(draws)


def prdc_by_definition(real: Points, fake: Points, k: int) -> dict[str, float]:
    """Return equations 1, 2, 4 and 6 of Naeem et al. 2020 (arXiv:2002.09797), word for word."""

    def radius(points: Points, i: int) -> float:
        others = [math.dist(points[i], other) for j, other in enumerate(points) if j != i]
        return sorted(others)[k - 1]

    def ball_counts(centres: Points, points: Points) -> list[list[bool]]:
        return [
            [math.dist(centre, point) < radius(centres, i) for point in points]
            for i, centre in enumerate(centres)
        ]

    in_real, in_fake = ball_counts(real, fake), ball_counts(fake, real)
    per_fake = [sum(ball[j] for ball in in_real) for j in range(len(fake))]
    return {
        "precision": sum(count > 0 for count in per_fake) / len(fake),
        "recall": sum(any(ball[i] for ball in in_fake) for i in range(len(real))) / len(real),
        "density": sum(per_fake) / (k * len(fake)),
        "coverage": sum(any(ball) for ball in in_real) / len(real),
    }


def test_prdc_worked_out_on_paper() -> None:
    real = column(-9, 0, 1, 2, 40)  # radii 9, 1, 1, 1, 38
    fake = column(0.5, 1.5, -30)  # radii 1, 1, 30.5
    assert metrics.prdc(real, fake, k=1) == pytest.approx(
        # 0.5 is in the balls of 0 and 1, 1.5 in those of 1 and 2, -30 in none.
        {"precision": 2 / 3, "recall": 4 / 5, "density": 4 / 3, "coverage": 3 / 5}
    )


def test_a_ball_does_not_hold_its_own_border() -> None:
    """As in the authors' code; else a repeated image, whose balls are points, would recall."""
    found = metrics.prdc(column(0, 1), column(-1, 5), k=1)
    assert (found["precision"], found["density"], found["coverage"]) == (0, 0, 0)
    assert metrics.prdc(column(0, 1, 1), column(1, 1, 1), k=1)["recall"] == 0


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(
    ("real", "fake"),
    [
        (normal(0, 40, 3), normal(1, 25, 3)),
        (normal(2, 12, 1), normal(3, 30, 1, shift=1.5)),
        (normal(4, 30, 8), normal(5, 30, 8, scale=0.3)),
        (normal(6, 20, 2), normal(7, 20, 2, shift=50)),
    ],
    ids=["alike", "shifted", "narrow", "apart"],
)
def test_prdc_is_what_the_paper_defines(real: Tensor, fake: Tensor, k: int) -> None:
    expected = prdc_by_definition(real.tolist(), fake.tolist(), k)
    assert metrics.prdc(real, fake, k) == pytest.approx(expected, abs=1e-12)


def test_prdc_does_not_depend_on_how_much_is_computed_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, fake = normal(1, 60, 3), normal(2, 50, 3)
    at_once = metrics.prdc(real, fake)
    rows: list[int] = []
    cdist = torch.cdist

    def counted(a: Tensor, b: Tensor) -> Tensor:
        rows.append(len(a))
        return cdist(a, b)

    monkeypatch.setattr(torch, "cdist", counted)
    monkeypatch.setattr(metrics, "_DISTANCES", 600)
    assert metrics.prdc(real, fake) == at_once
    assert max(rows) == 12
    monkeypatch.setattr(metrics, "_DISTANCES", 1)  # less than a row: a row all the same
    assert metrics.prdc(real, fake) == at_once


def test_prdc_of_more_than_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_DISTANCES", 1_000_000)  # 831 and 999 rows at a time
    real, fake, k = normal(0, 1203, 4).numpy(), normal(1, 1001, 4, shift=1.0).numpy(), 5

    def distances(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return np.sqrt(((rows[:, None] - columns[None]) ** 2).sum(2))

    real_radii = np.sort(distances(real, real), axis=1)[:, k]
    fake_radii = np.sort(distances(fake, fake), axis=1)[:, k]
    across = distances(real, fake)
    inside = across < real_radii[:, None]
    expected = {
        "precision": inside.any(0).mean(),
        "recall": (across < fake_radii).any(1).mean(),
        "density": inside.sum() / (k * len(fake)),
        "coverage": inside.any(1).mean(),
    }
    found = metrics.prdc(torch.from_numpy(real), torch.from_numpy(fake), k)
    assert found == pytest.approx(expected, abs=1e-12)
    assert 0.1 < found["coverage"] < found["recall"] < 0.99


def test_prdc_asks_for_five_neighbours_unless_told() -> None:
    real, fake = normal(0, 60, 3), normal(1, 50, 3)
    assert metrics.prdc(real, fake) == metrics.prdc(real, fake, k=5) != metrics.prdc(real, fake, 4)


@pytest.mark.parametrize(("real", "fake"), [(5, 9), (9, 5)])
def test_too_few_images_for_neighbours_are_refused(real: int, fake: int) -> None:
    with pytest.raises(UnsupportedError, match=f"more than 5 images, not {real} real and {fake}"):
        metrics.prdc(normal(0, real, 2), normal(1, fake, 2))


def fid_by_definition(real: np.ndarray, fake: np.ndarray) -> float:
    """Return Heusel et al. 2017, eq. 6, by the eigenvalues of a symmetric matrix.

    The trace of (A B)^(1/2) is that of (A^(1/2) B A^(1/2))^(1/2), which is symmetric.
    """
    first, second = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    gap = real.mean(0) - fake.mean(0)
    return float(gap @ gap + np.trace(first) + np.trace(second) - 2 * trace)


def test_fid_worked_out_on_paper() -> None:
    # Means 0 and 3, standard deviations sqrt(2) and 3 sqrt(2): 3^2 + (2 sqrt(2))^2.
    assert metrics.fid(column(-1, 1), column(0, 6)) == pytest.approx(17)


@pytest.mark.parametrize(
    ("size", "shift", "scale"), [(2, 0.0, 1.0), (5, 1.0, 1.0), (16, 0.3, 2.0), (16, 0.0, 0.01)]
)
def test_fid_is_what_the_paper_defines(size: int, shift: float, scale: float) -> None:
    mixing = normal(9, size, size).numpy()
    real, fake = normal(0, 90, size).numpy() @ mixing, normal(1, 70, size, shift, scale).numpy()
    found = metrics.fid(torch.from_numpy(real), torch.from_numpy(fake))
    assert found == pytest.approx(fid_by_definition(real, fake), rel=1e-9)


def test_fid_of_a_set_and_itself_is_0() -> None:
    features = normal(0, 80, 6)
    assert metrics.fid(features, features) == pytest.approx(0, abs=1e-9)
    assert metrics.fid(features, features) >= 0


def test_fid_of_fewer_images_than_features() -> None:
    real, fake = normal(0, 10, 30).numpy(), normal(1, 12, 30).numpy()
    found = metrics.fid(torch.from_numpy(real), torch.from_numpy(fake))
    assert found == pytest.approx(fid_by_definition(real, fake), rel=1e-6)


def kid_by_definition(real: Points, fake: Points) -> float:
    """Return the unbiased squared MMD with the kernel (x . y / d + 1)^3, over pairs one by one."""

    def kernel(x: list[float], y: list[float]) -> float:
        return (math.fsum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3

    within = sum(
        math.fsum(kernel(x, y) for x, y in itertools.permutations(points, 2))
        / (len(points) * (len(points) - 1))
        for points in (real, fake)
    )
    across = math.fsum(kernel(x, y) for x, y in itertools.product(real, fake))
    return within - 2 * across / (len(real) * len(fake))


def test_kid_worked_out_on_paper() -> None:
    # k(0, 1) = 1; k(1, 2) = 27; across, 1, 1, 8 and 27: 1 + 27 - 2 * 37 / 4.
    assert metrics.kid(column(0, 1), column(1, 2)) == pytest.approx(9.5)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.5, 1.0), (0.0, 2.0)])
def test_kid_of_whole_sets_is_the_unbiased_mmd(shift: float, scale: float) -> None:
    real, fake = normal(0, 30, 4), normal(1, 30, 4, shift, scale)
    expected = kid_by_definition(real.tolist(), fake.tolist())
    assert metrics.kid(real, fake) == pytest.approx(expected, rel=1e-9)


def test_kid_of_subsets_is_near_that_of_all() -> None:
    real, fake = normal(0, 40, 4), normal(1, 120, 4, shift=1.0)
    whole = kid_by_definition(real.tolist(), fake.tolist())
    assert metrics.kid(real, fake) == pytest.approx(whole, rel=0.05)
    assert metrics.kid(real, fake) != pytest.approx(whole, rel=1e-9)


def test_kid_falls_below_0_between_halves_of_a_set() -> None:
    values = [metrics.kid(*normal(seed, 60, 3).split(30)) for seed in range(8)]
    assert min(values) < 0 < max(values)


def test_the_subsets_of_kid_come_from_its_seed_alone() -> None:
    real, fake = normal(0, 20, 3), normal(1, 60, 3)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = metrics.kid(real, fake, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert metrics.kid(real, fake, seed=3) == first
    assert metrics.kid(real, fake, seed=4) != first


def test_metrics_do_not_depend_on_the_order_of_images() -> None:
    real, fake = normal(0, 50, 4), normal(1, 40, 4, shift=0.3)
    other = fake[torch.randperm(40, generator=torch.Generator().manual_seed(0))]
    assert metrics.fid(real, other) == pytest.approx(metrics.fid(real, fake), rel=1e-9)
    assert metrics.prdc(real, other) == metrics.prdc(real, fake)


def test_label_agreement() -> None:
    predicted, labels = torch.tensor([0, 1, 1, 3, 3, 0]), torch.tensor([0, 1, 0, 3, 3, 3])
    overall, by_class = metrics.label_agreement(predicted, labels, classes=5)
    assert overall == pytest.approx(4 / 6)
    # Nobody asked for 2 and 4: a share of no images is no figure, and 0 would be a wrong one.
    assert by_class == [0.5, 1.0, None, pytest.approx(2 / 3), None]


def test_class_shares_count_classes_that_do_not_occur() -> None:
    shares = metrics.class_shares(torch.tensor([2, 2, 0, 2]), classes=4)
    assert shares.tolist() == [0.25, 0, 0.75, 0]


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        ([0, 1, 2, 3], [3, 2, 1, 0, 0, 1, 2, 3], 1.0),
        ([0, 0, 1, 1], [2, 3], 0.0),
        ([0, 1, 2, 3], [0, 0, 0, 0], 0.25),
        ([0, 0, 0, 1], [0, 1], 0.75),
    ],
)
def test_class_balance(real: list[int], fake: list[int], expected: float) -> None:
    found = metrics.class_balance(torch.tensor(real), torch.tensor(fake), classes=4)
    assert found == pytest.approx(expected)
