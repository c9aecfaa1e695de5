from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from genzoo import ImageSpec, LabelError, UnsupportedError
from genzoo_dcgan.config import DCGANConfig
from genzoo_dcgan.networks import Discriminator, Generator, build, halvings

MNIST = ImageSpec(1, 28, 28, 10)


def maps(network: nn.Module, kind: type[nn.Conv2d] | type[nn.ConvTranspose2d]) -> list[int]:
    """Return the output channels of the network's convolutions of one kind, in order."""
    return [m.out_channels for m in network.modules() if isinstance(m, kind)]


@pytest.mark.parametrize(
    ("height", "width", "times"),
    [
        (8, 8, 1),
        (10, 12, 1),
        (28, 28, 2),
        (32, 32, 3),
        (32, 64, 3),
        (48, 48, 3),
        (64, 64, 4),
        (96, 96, 4),
        (128, 128, 5),
        (256, 256, 6),
        (512, 512, 6),
    ],
)
def test_sides_halve_to_the_smallest_base_of_4_to_8(height: int, width: int, times: int) -> None:
    assert halvings(height, width) == times
    assert all(4 <= side / 2**times <= 8 for side in (height, width))


@pytest.mark.parametrize(
    ("height", "width", "nearest"),
    [
        (1, 1, "8x8, 10x10, 12x12"),
        (4, 4, "8x8, 10x10, 12x12"),
        (27, 27, "28x28, 24x24, 32x32"),
        (30, 30, "28x28, 32x32, 24x24"),
        (29, 31, "28x32, 28x28, 32x32"),
        (1000, 1000, "512x512, 448x448, 384x384"),
    ],
)
def test_a_size_that_does_not_halve_is_refused_with_the_nearest_that_do(
    height: int, width: int, nearest: str
) -> None:
    with pytest.raises(UnsupportedError, match=f"{height}x{width}") as caught:
        build(ImageSpec(1, height, width), DCGANConfig())
    assert nearest in caught.value.hint


def test_the_generators_maps_halve_as_the_image_doubles() -> None:
    generator = Generator(ImageSpec(3, 64, 64), DCGANConfig(generator_channels=8, max_channels=50))
    assert generator.base == (50, 4, 4)
    assert maps(generator, nn.ConvTranspose2d) == [50, 32, 16, 8]
    assert maps(generator, nn.Conv2d) == [3]


def test_the_discriminators_maps_double_as_the_image_halves() -> None:
    config = DCGANConfig(discriminator_channels=8, max_channels=50)
    assert maps(Discriminator(ImageSpec(3, 64, 64), config), nn.Conv2d) == [8, 16, 32, 50, 50]


def test_the_parameters_are_those_counted_by_hand() -> None:
    config = DCGANConfig(
        latent_dim=5, class_dim=3, generator_channels=4, discriminator_channels=6, max_channels=100
    )
    built = build(ImageSpec(1, 8, 8, 10), config)
    counts = {
        role: sum(parameter.numel() for parameter in network.parameters())
        for role, network in built.items()
    }
    base = 10 * 3 + (5 + 3) * (8 * 4 * 4) + 8 * 4 * 4 + 2 * 8
    assert counts["generator"] == base + (8 * 4 * 16 + 2 * 4) + (4 * 1 * 9 + 1)
    convolutions = (1 * 6 * 16 + 6) + (6 * 12 * 16 + 12)
    features = 12 * 2 * 2
    assert counts["discriminator"] == convolutions + (features + 1) + 10 * features


def test_the_class_adds_its_projection_onto_the_features_to_the_logit() -> None:
    torch.manual_seed(0)
    config = DCGANConfig(discriminator_channels=4)
    conditional = Discriminator(MNIST, config).double()
    plain = Discriminator(ImageSpec(1, 28, 28), config).double()
    shared = {k: v for k, v in conditional.state_dict().items() if not k.startswith("embedding")}
    plain.load_state_dict(shared)
    images = torch.rand(3, 1, 28, 28, dtype=torch.float64) * 2 - 1
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
    config = DCGANConfig(generator_channels=4, latent_dim=6, class_dim=2)
    conditional = Generator(MNIST, config).eval()
    assert conditional.embedding is not None
    plain = Generator(ImageSpec(1, 28, 28), config.model_copy(update={"latent_dim": 8})).eval()
    weights = {k: v for k, v in conditional.state_dict().items() if not k.startswith("embedding")}
    plain.load_state_dict(weights)
    z, labels = torch.randn(3, 6), torch.tensor([4, 1, 4])
    with torch.no_grad():
        joined = torch.cat([z, conditional.embedding.weight[labels]], dim=1)
        assert torch.equal(conditional(z, labels), plain(joined))


def test_the_generator_starts_at_the_papers_scale() -> None:
    torch.manual_seed(0)
    generator = Generator(ImageSpec(1, 28, 28), DCGANConfig())
    for key in ("project.weight", "up.0.conv.weight"):
        weight = generator.get_parameter(key)
        assert weight.std().item() == pytest.approx(0.02, rel=0.02)
        assert weight.mean().item() == pytest.approx(0.0, abs=1e-3)


def test_features_keep_their_scale_through_the_discriminator_at_the_start() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(ImageSpec(3, 64, 64), DCGANConfig())
    x, scales = torch.randn(4, 3, 64, 64), []
    with torch.no_grad():
        for stage in discriminator.down:
            x = stage(x)
            scales.append(x.square().mean().sqrt().item())
    assert all(0.6 < after / before < 1.6 for before, after in pairwise([1.0, *scales]))


@pytest.mark.parametrize(("norm", "layers"), [("none", 0), ("batch", 2)])
def test_the_discriminator_normalizes_all_but_its_first_layer_on_request(
    norm: Any, layers: int
) -> None:
    discriminator = Discriminator(MNIST, DCGANConfig(discriminator_norm=norm))
    assert sum(isinstance(m, nn.BatchNorm2d) for m in discriminator.modules()) == layers
    assert discriminator(torch.zeros(1, 1, 28, 28), torch.zeros(1, dtype=torch.int64)).shape == (1,)


def test_images_of_a_batch_share_nothing_in_the_default_discriminator() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(MNIST, DCGANConfig())
    images = torch.randn(3, 1, 28, 28, requires_grad=True)
    logits = discriminator(images, torch.tensor([1, 2, 3]))
    (gradient,) = torch.autograd.grad(logits[1], images)
    assert gradient[1].any()
    assert not gradient[[0, 2]].any()


def test_the_discriminator_can_be_differentiated_twice() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(MNIST, DCGANConfig(discriminator_channels=4)).double()
    images = torch.randn(1, 1, 28, 28, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([3])
    weight = discriminator.get_parameter("down.1.conv.weight")
    direction = torch.randn_like(weight)

    def penalty() -> torch.Tensor:
        (gradient,) = torch.autograd.grad(
            discriminator(images, labels).sum(), images, create_graph=True
        )
        return gradient.square().sum()

    (gradient,) = torch.autograd.grad(penalty(), weight)
    step = 1e-6
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight.add_(sign * step * direction)
        values.append(penalty().item())
        with torch.no_grad():
            weight.sub_(sign * step * direction)
    slope = (values[0] - values[1]) / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(slope, rel=1e-5)


def test_both_networks_say_that_labels_are_missing() -> None:
    built = build(MNIST, DCGANConfig(generator_channels=4, discriminator_channels=4))
    with pytest.raises(LabelError, match="no labels"):
        built["generator"](torch.zeros(2, 64), None)
    with pytest.raises(LabelError, match="no labels"):
        built["discriminator"](torch.zeros(2, 1, 28, 28), None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"latent_dim": 0},
        {"class_dim": 0},
        {"generator_channels": 0},
        {"discriminator_channels": 2000},
        {"max_channels": 0},
        {"discriminator_norm": "spectral"},
        {"generator_channels": 48.0},
        {"chanels": 48},
    ],
    ids=str,
)
def test_a_config_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DCGANConfig(**wrong)
