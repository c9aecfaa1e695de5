"""Drawing symbols by chance, and in float32 what float64 would draw."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

import genzoo
from genzoo_transformer import drawing
from genzoo_transformer.autoregressor import NO_LABEL
from genzoo_transformer.config import AutoregressiveConfig
from genzoo_transformer.drawing import continued, cumulative, error_of, level_at, slack
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


def draw(logits: Tensor, chance: Tensor, config: AutoregressiveConfig) -> Tensor:
    return level_at(cumulative(logits, config), chance)


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


def loud() -> PixelTransformer:
    """Return a network of large logits, which float32 gets wrong by far more than the zoo's."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        config = {"levels": 32, "patch_size": 1, "width": 128, "depth": 8, "kv_heads": 2}
        network = genzoo.create("pixel-transformer", (1, 6, 6), None, **config).networks[
            "autoregressor"
        ]
        for parameter in network.parameters():
            if parameter.dim() == 2:
                parameter.normal_(0, 2 * parameter.shape[1] ** -0.5)
        network.answer.weight.mul_(16)
    assert isinstance(network, PixelTransformer)
    return network


NETWORKS: dict[str, Callable[[], PixelTransformer]] = {
    **{name: partial(network_of, name) for name in NAMES},
    "loud": loud,
}


def at_boundaries(
    network: PixelTransformer,
    label: Tensor | None,
    config: AutoregressiveConfig,
    symbols: Tensor,
    known: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return chances (1, T, S) as near as can be to boundaries of float64, and what they draw.

    Each is near one that is drawn at random, so that images are of the usual kind.
    """
    generator = torch.Generator().manual_seed(0)
    chance, symbols = torch.rand(symbols.shape, generator=generator), symbols.clone()
    weight = config.guidance if label is not None else 1
    asked = [(label, weight)]
    if weight != 1:
        assert label is not None
        asked.append((torch.full_like(label, NO_LABEL), 1 - weight))
    readers = [(network.reader(1, each, torch.float64), share) for each, share in asked]
    with torch.no_grad():
        for token, place in product(*map(range, network.sequence)):
            logits = sum((share * reader.logits() for reader, share in readers), torch.zeros(1))
            if not known[token, place]:
                level = int(draw(logits, chance[:, token, place], config))
                edge = cumulative(logits, config)[0, level].clamp(1e-3, 1 - 1e-3)
                chance[:, token, place] = edge.float()
                symbols[:, token, place] = draw(logits, chance[:, token, place], config)
            for reader, _ in readers:
                reader.put(symbols[:, token, place])
    return chance, symbols


def check_at_boundaries(
    network: PixelTransformer,
    label: Tensor | None,
    config: AutoregressiveConfig,
    count: int,
    rows: int = 0,
) -> None:
    """Assert that many images are drawn as one is, symbol by symbol, in float64."""
    shape, generator = network.sequence, torch.Generator().manual_seed(1)
    known = network.above(rows)
    symbols = torch.randint(0, network.levels, (1, *shape), generator=generator) * known
    chance, expected = at_boundaries(network, label, config, symbols, known)
    many = [each.expand(count, -1, -1) for each in (symbols, chance, expected)]
    labels = None if label is None else label.expand(count)
    with torch.no_grad():
        drawn = continued(network, many[0], known, many[1], labels, config)
    assert torch.equal(drawn, many[2])


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("count", [1, 20])
def test_at_the_boundaries_between_levels_all_is_drawn_as_in_float64(told: str, count: int) -> None:
    network = network_of("pixel-transformer-digits")
    check_at_boundaries(network, torch.tensor([3]), AutoregressiveConfig(**TOLD[told]), count)


@pytest.mark.parametrize("rows", [2, 3])
def test_so_it_is_where_rows_are_kept(rows: int) -> None:
    """Of patches of 2 pixels a side: at their edge, and through them."""
    network = network_of("pixel-transformer-digits")
    check_at_boundaries(network, torch.tensor([3]), AutoregressiveConfig(), 20, rows)


def test_so_it_is_however_wrong_float32_is() -> None:
    check_at_boundaries(loud(), None, AutoregressiveConfig(), 20)


def test_so_it_is_with_weights_of_bfloat16() -> None:
    network = network_of("pixel-transformer-digits").to(torch.bfloat16)
    check_at_boundaries(network, torch.tensor([3]), AutoregressiveConfig(), 20)


def test_so_it_is_under_autocast() -> None:
    network = network_of("pixel-transformer-digits")
    with torch.autocast("cpu", torch.bfloat16):
        check_at_boundaries(network, torch.tensor([3]), AutoregressiveConfig(), 20)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("told", ["as learned", "guided", "colder"])
def test_two_images_tell_how_wrong_float32_may_be_for_others(name: str, told: str) -> None:
    network, config = NETWORKS[name](), AutoregressiveConfig(**TOLD[told])
    labels = None if network.classes is None else torch.arange(20) % 10
    generator = torch.Generator().manual_seed(0)
    chance = torch.rand(20, *network.sequence, generator=generator)
    weight = config.guidance if labels is not None else 1

    def boundaries(of: PixelTransformer, symbols: Tensor) -> Tensor:
        logits = of(symbols, labels)
        if weight != 1:
            assert labels is not None
            logits = torch.lerp(of(symbols, torch.full_like(labels, NO_LABEL)), logits, weight)
        return cumulative(logits.double().flatten(0, 2), config).unflatten(0, (20, -1))

    with torch.no_grad():
        symbols = torch.zeros_like(chance, dtype=torch.int64)
        symbols = continued(network, symbols, network.above(0), chance, labels, config)
        ours = boundaries(network, symbols)
        exact = boundaries(network.double(), symbols)
    errors = [error_of(*each) for each in zip(ours, exact, strict=True)]
    for first in range(0, 20, 2):
        assert 0 < max(errors) < drawing._SAFETY * max(errors[first : first + 2])


def test_an_error_as_large_as_the_slack_draws_another_level_and_a_smaller_one_does_not() -> None:
    """By the worst that it can do: logits up to a level up by it, those above down."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 5, generator=generator, dtype=torch.float64)
    chance = torch.rand(200, generator=generator, dtype=torch.float64)
    config = AutoregressiveConfig()
    drawn, room = draw(logits, chance, config), slack(cumulative(logits, config), chance)
    near = room < 0.02  # it is of first order in the error
    assert near.sum() > 10

    def changed(share: float) -> Tensor:
        """Return whether some error of a share of the slack draws another."""
        others = torch.zeros_like(near)
        for level, sign in product(range(4), (1, -1)):
            signs = torch.where(torch.arange(5) <= level, sign, -sign)
            moved = logits + share * room[:, None] * signs
            others |= draw(moved, chance, config) != drawn
        return others[near]

    assert changed(1.1).all()
    assert not changed(0.9).any()


def test_few_images_are_read_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or float32 would be drawn in for nothing."""
    read = []
    measure = drawing.error_of

    def counted(below: Tensor, exact: Tensor) -> float:
        read.append(len(below))
        return measure(below, exact)

    monkeypatch.setattr(drawing, "error_of", counted)
    genzoo.load("pixel-transformer-mnist").sample(64, seed=0, labels=range(10))
    assert 0 < sum(read) <= 8 * 784
