from __future__ import annotations

import pytest
import torch
from torch import nn

from genzoo import ImageSpec, UnsupportedError
from genzoo_sngan.networks import build
from genzoo_sngan.plugin import SNGANConfig

PAPER = SNGANConfig(latent_dim=128, generator_channels=256, discriminator_channels=128)


def test_the_papers_networks_have_as_many_parameters_as_its_table() -> None:
    networks = build(ImageSpec(3, 32, 32), PAPER)
    counts = {role: sum(p.numel() for p in n.parameters()) for role, n in networks.items()}

    def conv(inputs: int, outputs: int, side: int) -> int:
        return inputs * outputs * side**2 + outputs

    grow = 2 * conv(256, 256, 3) + conv(256, 256, 1) + 2 * 2 * 256
    generator = 129 * 256 * 4 * 4 + 3 * grow + 2 * 256 + conv(256, 3, 3)
    first = conv(3, 128, 3) + conv(128, 128, 3) + conv(3, 128, 1)
    shrink = 2 * conv(128, 128, 3) + conv(128, 128, 1)
    discriminator = first + shrink + 2 * 2 * conv(128, 128, 3) + 129
    assert counts == {"generator": generator, "discriminator": discriminator}


def test_no_layer_of_the_discriminator_stretches_what_goes_through_it() -> None:
    torch.manual_seed(0)
    network = build(ImageSpec(1, 28, 28, 10), SNGANConfig(discriminator_channels=8))[
        "discriminator"
    ]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(7.0)
    images, labels = torch.rand(4, 1, 28, 28), torch.arange(4)
    for _ in range(50):  # each one a step of the power iteration
        network.train()(images, labels)
    network.eval()
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    norms = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]
    assert len(layers) == 3 + 3 + 2 + 2 + 2
    assert norms == pytest.approx([1.0] * len(layers), abs=1e-3)


@pytest.mark.parametrize(
    ("side", "bottom", "times"), [(28, 7, 2), (32, 4, 3), (64, 8, 3), (20, 5, 2)]
)
def test_sides_are_doubled_as_often_as_they_can_be(side: int, bottom: int, times: int) -> None:
    generator = build(ImageSpec(1, side, side), SNGANConfig(generator_channels=8))["generator"]
    assert generator.bottom == (8, bottom, bottom)
    assert len(list(generator.get_submodule("blocks").children())) == times


def test_a_side_that_cannot_be_doubled_into_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="30x28") as caught:
        build(ImageSpec(1, 30, 28), SNGANConfig())
    assert "multiples of 4" in caught.value.hint
