from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from genzoo import ImageSpec, LabelError, UnsupportedError
from genzoo.registry.specs import resolve
from genzoo_transformer import plugin
from genzoo_transformer.config import TransformerGANConfig
from genzoo_transformer.networks import (
    Block,
    Discriminator,
    Generator,
    SelfAttention,
    SelfModulatedNorm,
    assemble,
    build,
    choose_patch_size,
)

MNIST = ImageSpec(1, 28, 28, 10)
TINY = TransformerGANConfig(latent_dim=5, width=16, depth=2, heads=2, discriminator_channels=8)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def tiny_generator(image: ImageSpec = MNIST) -> Generator:
    return Generator(image, TINY, choose_patch_size(image))


def test_the_plugin_is_torch_free() -> None:
    code = "import sys, genzoo_transformer.plugin, genzoo_transformer.config as c; "
    code += "c.TransformerGANConfig(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_descriptor_names_code_that_exists() -> None:
    architecture = plugin.genzoo_architectures()[0]
    assert resolve(architecture.config) is TransformerGANConfig
    assert resolve(architecture.networks) is build


def test_assemble_lays_patches_out_row_by_row() -> None:
    # A 4x6 image of two features, cut by hand into 2x2 patches: 2 rows of 3.
    image = torch.arange(2 * 4 * 6.0).reshape(1, 2, 4, 6)
    patches = [
        image[0, :, row : row + 2, column : column + 2].flatten()
        for row in (0, 2)
        for column in (0, 2, 4)
    ]
    assert torch.equal(assemble(torch.stack(patches)[None], (2, 3), 2), image)


@pytest.mark.parametrize(
    ("height", "width", "patch_size"),
    [(8, 8, 2), (28, 28, 4), (32, 32, 4), (16, 32, 4), (64, 64, 8), (30, 30, 5), (256, 256, 16)],
)
def test_the_default_patch_size_keeps_tokens_few(height: int, width: int, patch_size: int) -> None:
    assert choose_patch_size(ImageSpec(1, height, width)) == patch_size


def test_a_wanted_patch_size_is_taken() -> None:
    config = TINY.model_copy(update={"patch_size": 7})
    generator = build(MNIST, config)["generator"]
    assert generator.get_parameter("row_positions").shape[0] == 4
    assert generator(torch.zeros(1, 5), torch.tensor([3])).shape == (1, 1, 28, 28)


@pytest.mark.parametrize(
    ("height", "width", "wanted", "hint"),
    [
        (29, 29, None, "Take height 28 or 30 and width 28 or 30."),
        (28, 30, 4, "Take width 28 or 32."),
        (4, 28, None, "Take height 8."),
        (5, 28, 7, "Take height 14."),
    ],
)
def test_a_size_that_does_not_fit_names_the_nearest_that_do(
    height: int, width: int, wanted: int | None, hint: str
) -> None:
    config = TINY.model_copy(update={"patch_size": wanted})
    with pytest.raises(UnsupportedError, match=f"{height}x{width}") as caught:
        build(ImageSpec(1, height, width), config)
    assert caught.value.hint == hint


def test_self_modulated_norm_is_its_formula() -> None:
    norm = SelfModulatedNorm(6, style_dim=3).double()
    tokens = torch.randn(2, 4, 6, dtype=torch.float64)
    style = torch.randn(2, 3, dtype=torch.float64)
    mean = tokens.mean(-1, keepdim=True)
    std = ((tokens - mean).square().mean(-1, keepdim=True) + 1e-5).sqrt()
    modulation = style @ norm.modulation.weight.T + norm.modulation.bias
    gamma, beta = 1 + modulation[:, None, :6], modulation[:, None, 6:]
    torch.testing.assert_close(norm(tokens, style), gamma * (tokens - mean) / std + beta)


def test_attention_is_its_formula() -> None:
    attention = SelfAttention(width=8, heads=2).double()
    tokens = torch.randn(3, 5, 8, dtype=torch.float64)
    query, key, value = (tokens @ w.T for w in attention.qkv.weight.chunk(3))
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        scores = query[..., head] @ key[..., head].transpose(1, 2) / 4**0.5
        heads.append(scores.softmax(-1) @ value[..., head])
    torch.testing.assert_close(attention(tokens), attention.out(torch.cat(heads, -1)))


def test_a_block_lets_every_token_see_every_other() -> None:
    block = Block(16, heads=2, mlp_ratio=2, style_dim=4)
    tokens, style = torch.randn(1, 6, 16, requires_grad=True), torch.randn(1, 4)
    (gradient,) = torch.autograd.grad(block(tokens, style)[0, 0].sum(), tokens)
    assert (gradient[0].abs().sum(-1) > 0).all()


@pytest.mark.parametrize("changed", ["latent", "label"])
def test_the_latent_and_the_class_both_reach_the_image(changed: str) -> None:
    generator = tiny_generator()
    z, labels = torch.randn(1, 5), torch.tensor([3])
    before = generator(z, labels)
    after = generator(-z, labels) if changed == "latent" else generator(z, labels + 1)
    assert (before - after).abs().max() > 1e-3


def test_the_latent_is_not_drowned_by_the_class() -> None:
    # A generator that starts out deaf to its latent collapses to one image a class.
    generator = Generator(MNIST, TransformerGANConfig(), patch_size=4).eval()
    latents = torch.randn(8, generator.latent_dim)
    with torch.no_grad():
        by_latent = generator(latents, torch.full((8,), 3)).var(0).mean()
        by_class = generator(latents[:1].expand(8, -1), torch.arange(8)).var(0).mean()
    assert by_latent > 0.5 * by_class


def test_patches_differ_by_their_position() -> None:
    images = tiny_generator(ImageSpec(1, 28, 28))(torch.randn(1, 5), None)
    patches = F.unfold(images, 4, stride=4)[0].T
    assert torch.pdist(patches).min() > 1e-4


def test_the_discriminator_projects_the_class() -> None:
    discriminator = Discriminator(MNIST, channels=8).double()
    images = torch.randn(2, 1, 28, 28, dtype=torch.float64)
    features = discriminator.features(images)
    class_vector = discriminator.get_parameter("embedding.weight")[7]
    expected = features @ (discriminator.logit.weight[0] + class_vector) + discriminator.logit.bias
    torch.testing.assert_close(discriminator(images, torch.tensor([7, 7])), expected)


def test_the_discriminator_can_be_differentiated_twice() -> None:
    discriminator = Discriminator(MNIST, channels=8)
    images = torch.randn(2, 1, 28, 28, requires_grad=True)
    logits = discriminator(images, torch.tensor([1, 2]))
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    gradient.square().sum().backward()
    weight_gradient = discriminator.get_parameter("features.0.weight").grad
    assert weight_gradient is not None
    assert weight_gradient.abs().sum() > 0


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 48), (64, 64)])
def test_the_discriminator_takes_any_size(size: tuple[int, int]) -> None:
    discriminator = Discriminator(ImageSpec(3, *size), channels=8)
    assert discriminator(torch.randn(2, 3, *size)).shape == (2,)


def test_labels_are_required_of_a_conditional_network() -> None:
    networks = build(MNIST, TINY)
    with pytest.raises(LabelError, match="generator"):
        networks["generator"](torch.zeros(1, 5), None)
    with pytest.raises(LabelError, match="discriminator"):
        networks["discriminator"](torch.zeros(1, 1, 28, 28), None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 30, "heads": 4},
        {"width": 0},
        {"depth": 0},
        {"heads": 0},
        {"latent_dim": 0},
        {"patch_size": 0},
        {"mlp_ratio": 0},
        {"pixel_features": 0},
        {"discriminator_channels": 4},
        {"depht": 4},
    ],
)
def test_a_config_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TransformerGANConfig(**wrong)
