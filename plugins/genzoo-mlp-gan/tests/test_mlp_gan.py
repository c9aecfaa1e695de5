from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from genzoo import ImageSpec, LabelError, UnsupportedError
from genzoo_mlp_gan.config import MLPGANConfig
from genzoo_mlp_gan.networks import MAX_VALUES, Discriminator, Generator, build

DIGITS = ImageSpec(1, 8, 8, 10)
TINY = MLPGANConfig(
    latent_dim=5, class_dim=3, generator_widths=(7, 11), discriminator_widths=(13, 6, 4)
)


def layers(network: nn.Module) -> list[tuple[int, int]]:
    """Return the inputs and outputs of the network's linear layers, in order."""
    return [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]


@pytest.mark.parametrize(
    ("classes", "inputs"), [(None, 5), (10, 8)], ids=["unconditional", "10 classes"]
)
def test_the_widths_are_those_of_the_config(classes: int | None, inputs: int) -> None:
    built = build(ImageSpec(3, 2, 4, classes), TINY)
    assert layers(built["generator"]) == [(inputs, 7), (7, 11), (11, 24)]
    assert layers(built["discriminator"]) == [(24, 13), (13, 6), (6, 4), (4, 1)]


def test_the_parameters_are_those_counted_by_hand() -> None:
    counts = {
        role: sum(parameter.numel() for parameter in network.parameters())
        for role, network in build(DIGITS, TINY).items()
    }
    hidden = (8 * 7 + 7 + 2 * 7) + (7 * 11 + 11 + 2 * 11)
    assert counts["generator"] == 10 * 3 + hidden + (11 * 64 + 64)
    hidden = (64 * 13 + 13) + (13 * 6 + 6) + (6 * 4 + 4)
    assert counts["discriminator"] == hidden + (4 + 1) + 10 * 4


@pytest.mark.parametrize(
    "image", [ImageSpec(1, 1, 1), ImageSpec(2, 13, 7), ImageSpec(3, 128, 128)], ids=str
)
def test_any_size_up_to_the_bound_works(image: ImageSpec) -> None:
    with torch.no_grad():
        images = Generator(image, TINY)(torch.zeros(2, 5))
    assert images.shape == (2, image.channels, image.height, image.width)


def test_an_image_above_the_bound_is_refused_with_the_name_of_a_better_architecture() -> None:
    image = ImageSpec(3, 128, 129)
    with pytest.raises(UnsupportedError, match="3x128x129") as caught:
        build(image, TINY)
    assert str(MAX_VALUES) in caught.value.message
    assert "dcgan" in caught.value.hint


def test_the_class_adds_its_projection_onto_the_features_to_the_logit() -> None:
    torch.manual_seed(0)
    conditional = Discriminator(DIGITS, TINY).double()
    plain = Discriminator(ImageSpec(1, 8, 8), TINY).double()
    shared = {k: v for k, v in conditional.state_dict().items() if not k.startswith("embedding")}
    plain.load_state_dict(shared)
    images = torch.rand(3, 1, 8, 8, dtype=torch.float64) * 2 - 1
    labels = torch.tensor([7, 0, 7])
    seen: list[torch.Tensor] = []
    conditional.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        logits = conditional(images, labels)
        assert conditional.embedding is not None
        table = conditional.embedding.weight
        expected = [
            plain(images)[i] + torch.dot(table[label], seen[0][i])
            for i, label in enumerate(labels.tolist())
        ]
    torch.testing.assert_close(logits, torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_the_class_reaches_the_generator_as_an_embedding_beside_the_latent() -> None:
    torch.manual_seed(0)
    conditional = Generator(DIGITS, TINY)
    assert conditional.embedding is not None
    plain = Generator(ImageSpec(1, 8, 8), TINY.model_copy(update={"latent_dim": 8}))
    weights = {k: v for k, v in conditional.state_dict().items() if not k.startswith("embedding")}
    plain.load_state_dict(weights)
    z, labels = torch.randn(3, 5), torch.tensor([4, 1, 4])
    with torch.no_grad():
        joined = torch.cat([z, conditional.embedding.weight[labels]], dim=1)
        assert torch.equal(conditional(z, labels), plain(joined))


@pytest.mark.parametrize("role", ["generator", "discriminator"])
def test_images_of_a_batch_share_nothing_in_training_either(role: str) -> None:
    torch.manual_seed(0)
    network = build(DIGITS, TINY)[role].train()
    shape = (3, 5) if role == "generator" else (3, 1, 8, 8)
    inputs = torch.randn(shape, requires_grad=True)
    outputs = network(inputs, torch.tensor([1, 2, 3]))
    (gradient,) = torch.autograd.grad(outputs[1].sum(), inputs)
    assert gradient[1].any()
    assert not gradient[[0, 2]].any()


def test_dropout_drops_its_share_in_training_and_nothing_in_evaluation() -> None:
    torch.manual_seed(0)
    config = MLPGANConfig(discriminator_widths=(4000,), dropout=0.25)
    discriminator = Discriminator(ImageSpec(1, 8, 8), config)
    seen: list[torch.Tensor] = []
    discriminator.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        discriminator.train()(torch.randn(1, 1, 8, 8))
        discriminator.eval()(torch.randn(1, 1, 8, 8))
    dropped, kept = ((features == 0).float().mean().item() for features in seen)
    assert dropped == pytest.approx(0.25, abs=0.03)
    assert kept == 0


def test_both_networks_say_that_labels_are_missing() -> None:
    built = build(DIGITS, TINY)
    with pytest.raises(LabelError, match="no labels"):
        built["generator"](torch.zeros(2, 5), None)
    with pytest.raises(LabelError, match="no labels"):
        built["discriminator"](torch.zeros(2, 1, 8, 8), None)


def test_widths_are_read_from_a_list_as_a_zoo_config_has_them() -> None:
    read = MLPGANConfig.model_validate_json('{"generator_widths": [16, 32]}')
    assert read.generator_widths == (16, 32)


@pytest.mark.parametrize(
    "wrong",
    [
        {"latent_dim": 0},
        {"class_dim": 5000},
        {"generator_widths": ()},
        {"generator_widths": (16, 0)},
        {"discriminator_widths": (9000,)},
        {"discriminator_widths": (16,) * 17},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"widths": (16,)},
    ],
    ids=str,
)
def test_a_config_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MLPGANConfig(**wrong)
