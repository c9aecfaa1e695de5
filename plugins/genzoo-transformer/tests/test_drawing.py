"""Drawing symbols by chance, and in float32 what float64 would draw."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

import genzoo
from genzoo_transformer import drawing
from genzoo_transformer.autoregressor import NO_LABEL
from genzoo_transformer.config import AutoregressiveConfig
from genzoo_transformer.drawing import continued, cumulative, doubtful, draw
from genzoo_transformer.pixel_transformer import PixelTransformer

CHANCES = (torch.arange(1000) + 0.5) / 1000
NAMES = (
    "pixel-transformer-mnist",
    "pixel-transformer-binarized-mnist",
    "pixel-transformer-digits",
)
TOLD: dict[str, dict[str, Any]] = {
    "as learned": {},
    "guided": {"guidance": 3.0},
    "without labels": {"guidance": 0.0},
    "colder": {"temperature": 0.5},
    "far colder": {"temperature": 0.05},
    "likeliest": {"top_k": 3, "top_p": 0.9},
}


def drawn_shares(logits: list[float], **settings: Any) -> list[float]:
    """Return how often each level is drawn."""
    every = torch.tensor(logits).expand(1000, -1)
    drawn = draw(every, CHANCES.double(), AutoregressiveConfig(**settings))
    return [share / 1000 for share in drawn.bincount(minlength=len(logits)).tolist()]


def test_levels_are_drawn_as_likely_as_they_are() -> None:
    logits = torch.tensor([0.1, 0.2, 0.0, 0.7]).log().tolist()
    assert drawn_shares(logits) == pytest.approx([0.1, 0.2, 0, 0.7], abs=2e-3)


def test_a_low_temperature_draws_the_likeliest_level() -> None:
    assert drawn_shares([0.0, 1.0, 0.9], temperature=0.001) == [0, 1, 0]
    two = torch.tensor([0.2, 0.8]).log()
    expected = (two / 2).softmax(0).tolist()
    assert drawn_shares(two.tolist(), temperature=2) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("temperature", [1e-300, 5e-324])
def test_however_low_the_temperature_the_likeliest_level_is_drawn(temperature: float) -> None:
    assert drawn_shares([0.0, 1.0, 3.0, 0.9], temperature=temperature) == [0, 0, 1, 0]


def test_no_more_levels_than_top_k_are_drawn_though_some_are_alike() -> None:
    shares = drawn_shares([0.0, 0.0, 0.0, 0.0], top_k=2)
    assert sorted(shares) == pytest.approx([0, 0, 0.5, 0.5], abs=2e-3)


def test_top_k_draws_from_the_likeliest_levels() -> None:
    logits = torch.tensor([0.1, 0.4, 0.2, 0.3]).log().tolist()
    assert drawn_shares(logits, top_k=1) == [0, 1, 0, 0]
    assert drawn_shares(logits, top_k=2) == pytest.approx([0, 4 / 7, 0, 3 / 7], abs=2e-3)
    assert drawn_shares(logits, top_k=99) == drawn_shares(logits)


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [(0.3, [0, 1, 0, 0]), (0.5, [0, 4 / 7, 0, 3 / 7]), (0.75, [0, 4 / 9, 2 / 9, 3 / 9])],
)
def test_top_p_draws_from_as_many_levels_as_together_have_it(
    top_p: float, expected: list[float]
) -> None:
    logits = torch.tensor([0.1, 0.4, 0.2, 0.3]).log().tolist()
    assert drawn_shares(logits, top_p=top_p) == pytest.approx(expected, abs=2e-3)


def test_no_chance_draws_a_level_that_has_none() -> None:
    edge = torch.tensor([0.0, 1 - 2**-24], dtype=torch.float64)
    logits = torch.tensor([-torch.inf, 0.0, 0.0, -torch.inf]).expand(2, -1)
    assert draw(logits, edge, AutoregressiveConfig()).tolist() == [1, 2]


def network_of(name: str) -> PixelTransformer:
    network = genzoo.load(name).networks["autoregressor"]
    assert isinstance(network, PixelTransformer)
    return network


def labels_for(network: PixelTransformer, count: int) -> Tensor | None:
    return None if network.classes is None else torch.arange(count) % 10


def at_boundaries(
    network: PixelTransformer, label: Tensor | None, config: AutoregressiveConfig
) -> tuple[Tensor, Tensor]:
    """Return chances (1, T, S) as near as can be to boundaries of float64, and what they draw.

    Each is near one that is drawn at random, so that images are of the usual kind.
    """
    generator = torch.Generator().manual_seed(0)
    chance = torch.rand(1, *network.sequence, generator=generator)
    symbols = torch.zeros_like(chance, dtype=torch.int64)
    weight = config.guidance if label is not None else 1
    asked = [(label, weight)]
    if weight != 1:
        assert label is not None
        asked.append((torch.full_like(label, NO_LABEL), 1 - weight))
    readers = [(network.reader(1, each, torch.float64), share) for each, share in asked]
    with torch.no_grad():
        for token, place in product(*map(range, network.sequence)):
            logits = sum((share * reader.logits() for reader, share in readers), torch.zeros(1))
            below = cumulative(logits, config)[0]
            level = int(draw(logits, chance[:, token, place], config))
            edge = below[level].clamp(1e-3, 1 - 1e-3)
            chance[:, token, place] = edge.float()
            symbols[:, token, place] = draw(logits, chance[:, token, place], config)
            for reader, _ in readers:
                reader.put(symbols[:, token, place])
    return chance, symbols


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("count", [1, 5])
def test_at_the_boundaries_between_levels_all_is_drawn_as_in_float64(told: str, count: int) -> None:
    network, config = network_of("pixel-transformer-digits"), AutoregressiveConfig(**TOLD[told])
    label = torch.tensor([3])
    chance, expected = at_boundaries(network, label, config)
    blank = torch.zeros(count, *network.sequence, dtype=torch.int64)
    with torch.no_grad():
        drawn = continued(
            network,
            blank,
            network.above(0),
            chance.expand(count, -1, -1),
            label.expand(count),
            config,
        )
    assert torch.equal(drawn, expected.expand(count, -1, -1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("told", ["as learned", "guided", "colder"])
def test_half_of_the_doubt_would_do(name: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By all chances that are between a boundary of float32 and that of float64.

    Of 10^9 images less than one has such a chance that is not in doubt.
    """
    monkeypatch.setattr(drawing, "_ERROR", drawing._ERROR / 2)
    network, config = network_of(name), AutoregressiveConfig(**TOLD[told])
    labels = labels_for(network, 10)
    images = genzoo.load(name).sample(10, seed=1, labels=None if labels is None else range(10))
    symbols = network.to_symbols(images * 2 - 1)
    exact = network_of(name).double()
    weight = config.guidance if labels is not None else 1

    def boundaries(of: PixelTransformer) -> Tensor:
        logits = of(symbols, labels)
        if weight != 1:
            assert labels is not None
            logits = torch.lerp(of(symbols, torch.full_like(labels, NO_LABEL)), logits, weight)
        return cumulative(logits.double().flatten(0, 2), config)[:, :-1]

    with torch.no_grad():
        ours, right = boundaries(network), boundaries(exact)
    rows, levels = (ours != right).nonzero(as_tuple=True)
    doubt = doubtful(ours[rows], (ours + right)[rows, levels] / 2, config)
    chances = (ours - right)[rows, levels].abs()  # of another level than in float64
    assert chances.sum() / len(symbols) > 1e-6
    assert chances[~doubt].sum() / len(symbols) < 1e-9


def test_little_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or float32 would be drawn in for nothing."""
    again = []
    ask = drawing._Drawing._asked_again

    def counted(self: Any, rows: Tensor, *place: int) -> Tensor:
        again.append(len(rows))
        return ask(self, rows, *place)

    monkeypatch.setattr(drawing._Drawing, "_asked_again", counted)
    genzoo.load("pixel-transformer-mnist").sample(64, seed=0, labels=range(10))
    assert sum(again) <= 8
