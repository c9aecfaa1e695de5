"""The network of `pixel-transformer`: its order, its symbols, and reading as fast as it can."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from genzoo import ImageSpec, LabelError, UnsupportedError
from genzoo_transformer.config import PixelTransformerConfig
from genzoo_transformer.pixel_transformer import (
    Block,
    PixelTransformer,
    build,
    choose_patch_size,
)

Made = Callable[..., PixelTransformer]
SMALL = {"width": 16, "depth": 2, "heads": 2, "reach": 2}
KINDS = {
    "pixels": (ImageSpec(1, 6, 5, None), {"levels": 16, "patch_size": 1}),
    "classes": (ImageSpec(1, 8, 8, 10), {"levels": 4, "patch_size": 2}),
    "colours": (ImageSpec(3, 4, 6, None), {"levels": 256, "patch_size": 2}),
    "both": (ImageSpec(3, 6, 3, 4), {"levels": 3, "patch_size": 3, "reach": 1}),
    "shared": (ImageSpec(1, 6, 5, 3), {"levels": 8, "patch_size": 1, "heads": 4, "kv_heads": 2}),
    "long": (ImageSpec(1, 10, 15, 3), {"levels": 2, "patch_size": 1, "reach": 1, "depth": 1}),
}


@pytest.fixture(params=KINDS)
def network(request: pytest.FixtureRequest) -> PixelTransformer:
    return made(*KINDS[request.param])


def made(image: ImageSpec, config: dict[str, Any]) -> PixelTransformer:
    """Return a network whose weights are away from their start."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        network = build(image, PixelTransformerConfig(**{**SMALL, **config}))["autoregressor"]
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    assert isinstance(network, PixelTransformer)
    return network.eval()


def given(network: PixelTransformer, count: int = 3) -> tuple[Tensor, Tensor | None]:
    """Return symbols (B, T, S) at random, and labels of which one stands for none."""
    generator = torch.Generator().manual_seed(1)
    shape = (count, *network.sequence)
    symbols = torch.randint(0, network.levels, shape, generator=generator)
    return symbols, None if network.classes is None else torch.tensor([1, -1, 0])[:count]


def test_a_symbol_s_logits_depend_on_those_before_it_alone(network: PixelTransformer) -> None:
    symbols, labels = given(network)
    with torch.no_grad():
        before = network(symbols, labels).flatten(1, 2)
        for place in range(before.shape[1]):
            changed = symbols.clone().flatten(1)
            changed[:, place] = (changed[:, place] + 1) % network.levels
            after = network(changed.view_as(symbols), labels).flatten(1, 2)
            torch.testing.assert_close(after[:, : place + 1], before[:, : place + 1])
            if place + 1 < before.shape[1]:  # and the next one sees it
                assert not torch.equal(after[:, place + 1], before[:, place + 1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kept", [0, 1, 2])
def test_with_a_memory_the_logits_are_those_of_the_whole_pass(
    network: PixelTransformer, kept: int, dtype: torch.dtype
) -> None:
    symbols, labels = given(network)
    with torch.no_grad():
        expected = network(symbols, labels)
        reader = network.reader(len(symbols), labels, dtype)
        reader.read(symbols[:, :kept])
        for token, place in product(range(kept, network.sequence[0]), range(network.sequence[1])):
            torch.testing.assert_close(
                reader.logits(), expected[:, token, place].to(dtype), rtol=0, atol=1e-4
            )
            reader.put(symbols[:, token, place])


def test_in_float64_how_many_are_read_together_changes_less_than_a_chance_can_tell(
    network: PixelTransformer,
) -> None:
    """Where a boundary between two levels moves, a chance that falls between draws another image.

    By 1e-13, that is one draw in 10^13.
    """
    symbols, labels = given(network)
    counts = (1, 40)
    readers = [network.reader(n, None if labels is None else labels[:1].expand(n)) for n in counts]
    with torch.no_grad():
        for token, place in product(*map(range, network.sequence)):
            alone, together = (reader.logits()[:1].softmax(1).double() for reader in readers)
            torch.testing.assert_close(alone, together, rtol=0, atol=1e-13)
            for reader, count in zip(readers, counts, strict=True):
                reader.put(symbols[:1, token, place].expand(count))


def test_what_is_done_for_each_symbol_is_translated_once(network: PixelTransformer) -> None:
    """As one graph each, with nothing in it that changes from one token to the next."""
    graphs = []

    def backend(module: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        graphs.append(module)
        return module.forward

    def translate(function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(function, backend=backend, fullgraph=True, dynamic=False)

    symbols, labels = given(network)
    torch._dynamo.reset()
    with torch.no_grad():
        expected = network(symbols, labels)
        reader = network.reader(len(symbols), labels, torch.float64, translate)
        for token, place in product(*map(range, network.sequence)):
            torch.testing.assert_close(
                reader.logits(), expected[:, token, place].double(), rtol=0, atol=1e-4
            )
            reader.put(symbols[:, token, place])
    places = network.sequence[0] + (network.classes is not None)
    assert len(graphs) == 1 + -(-places // 64)  # of a symbol, and of tokens as memory fills


def test_reading_allocates_no_memory_for_keys_after_the_start(network: PixelTransformer) -> None:
    symbols, labels = given(network)
    reader = network.reader(len(symbols), labels)
    before = [(m.keys.data_ptr(), m.keys.shape) for m in reader.memories]
    with torch.no_grad():
        for token, place in product(*map(range, network.sequence)):
            reader.logits()
            reader.put(symbols[:, token, place])
    assert [(m.keys.data_ptr(), m.keys.shape) for m in reader.memories] == before


def test_images_of_the_levels_come_back_as_they_were(network: PixelTransformer) -> None:
    symbols, _ = given(network)
    images = network.to_images(symbols)
    assert images.shape == (len(symbols), *network.image_shape)
    assert images.min() >= -1
    assert images.max() <= 1
    assert torch.equal(network.to_symbols(images), symbols)


def test_symbols_go_patch_by_patch_then_pixel_by_pixel_then_channel_by_channel() -> None:
    network = made(ImageSpec(3, 4, 4, None), {"levels": 256, "patch_size": 2})
    count = torch.arange(48).view(1, 4, 4, 3)  # by row, column, channel
    symbols = network.to_symbols(count.permute(0, 3, 1, 2) / 127.5 - 1)
    assert symbols[0, 0].tolist() == [0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17]
    assert symbols[0, :, 0].tolist() == [0, 6, 24, 30]


def test_the_nearest_level_is_taken() -> None:
    network = made(ImageSpec(1, 1, 5, None), {"levels": 3, "patch_size": 1})
    images = torch.tensor([-1.0, -0.51, -0.49, 0.49, 0.51]).view(1, 1, 1, 5)
    assert network.to_symbols(images).flatten().tolist() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("height", "width", "size"), [(8, 8, 1), (28, 28, 2), (32, 32, 2), (64, 64, 4), (29, 29, 1)]
)
def test_patches_are_as_small_as_256_of_them_allow(height: int, width: int, size: int) -> None:
    assert choose_patch_size(ImageSpec(1, height, width, None)) == size


def test_what_patches_do_not_tile_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="28x30: patches of 4") as caught:
        choose_patch_size(ImageSpec(1, 28, 30, None), 4)
    assert caught.value.hint == "Take width 28 or 32, or another patch_size."


def test_heads_that_cannot_share_keys_and_values_alike_are_refused() -> None:
    with pytest.raises(ValidationError, match="heads 4 is not a multiple of kv_heads 3"):
        PixelTransformerConfig(heads=4, kv_heads=3)


def test_the_symbols_of_the_first_rows() -> None:
    network = made(ImageSpec(3, 4, 6, None), {"patch_size": 2})
    assert not network.above(0).any()
    assert network.above(4).all()
    whole, half = [True] * 12, [True] * 6 + [False] * 6
    assert network.above(2).tolist() == [whole] * 3 + [[False] * 12] * 3
    assert network.above(3).tolist() == [whole] * 3 + [half] * 3


def test_labels_are_needed_where_there_are_classes() -> None:
    network = made(*KINDS["classes"])
    with pytest.raises(LabelError, match="got no labels"):
        network(given(network)[0], None)


def test_attention_goes_to_what_came_before_and_sums_to_no_more_than_one(
    network: PixelTransformer,
) -> None:
    symbols, labels = given(network)
    _, height, width = network.image_shape
    places = list(product(range(height), range(width)))
    with torch.no_grad():
        looked = network.attention(symbols, labels, places)
    assert looked.shape == (len(symbols), len(places), height, width)
    assert (looked >= 0).all()
    total = looked.sum((2, 3))
    assert (total <= 1 + 1e-5).all()
    if labels is None:  # nothing came from a class
        torch.testing.assert_close(total, torch.ones_like(total))
    size = network.patch_size
    order = (torch.arange(height) // size)[:, None] * width + torch.arange(width) // size
    for index, (row, column) in enumerate(places):
        assert not looked[:, index][:, order > order[row, column]].any()


def test_attention_is_to_what_is_given_and_not_to_what_has_nothing_to_say() -> None:
    """Of one block of one head, whose sum is taken apart by hand."""
    network = made(ImageSpec(1, 3, 4, None), {"patch_size": 1, "depth": 1, "heads": 1})
    symbols, _ = given(network, 1)
    block = network.blocks[0]
    assert isinstance(block, Block)
    with torch.no_grad():
        block.out.bias.zero_()
        tokens = network.entering(network.values(symbols))
        query, key, value = block.qkv(block.attention_norm(tokens))[0].chunk(3, dim=1)  # (T, 16)
        expected = torch.zeros(12, 12)
        for asked in range(12):
            attention = (key[: asked + 1] @ query[asked] / 4).softmax(0)
            parts = attention[:, None] * block.out(value[: asked + 1])
            expected[asked, : asked + 1] = parts.norm(dim=1) / parts.norm(dim=1).sum()
        looked = network.attention(symbols, None, list(product(range(3), range(4))))
    torch.testing.assert_close(looked[0].flatten(1), expected)
