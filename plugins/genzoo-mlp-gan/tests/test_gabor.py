"""Weights that start as Gabor filters: what they are for, whatever the image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from genzoo import ImageSpec
from genzoo_mlp_gan.config import MLPGANConfig
from genzoo_mlp_gan.gabor import gabor_filters
from genzoo_mlp_gan.networks import Discriminator, Generator, build

CLOTHES = ImageSpec(1, 28, 28, 10)
NOISE, GABOR = MLPGANConfig(filters="noise"), MLPGANConfig(filters="gabor")


def neighbours(images: Tensor) -> float:
    """Return how far a pixel goes with the one to its right: 0 for noise, 1 for a plain area."""
    deviations = images - images.mean((-2, -1), keepdim=True)
    products = (deviations[..., 1:] * deviations[..., :-1]).mean()
    return (products / deviations.square().mean()).item()


def natural(count: int, side: int) -> Tensor:
    """Return images (count, 1, side, side) whose power falls with the square of the frequency."""
    rows = torch.fft.fftfreq(2 * side)
    frequencies = (rows.view(-1, 1).square() + rows.square()).sqrt().clamp_min(1 / (2 * side))
    spectra = torch.fft.fft2(torch.randn(count, 1, 2 * side, 2 * side)) / frequencies
    return torch.fft.ifft2(spectra).real[..., :side, :side]


def first_layer(network: nn.Module) -> nn.Linear:
    return next(module for module in network.modules() if isinstance(module, nn.Linear))


def test_what_an_untrained_generator_draws_is_smooth_instead_of_noise() -> None:
    torch.manual_seed(0)
    found = []
    for config in (NOISE, GABOR):
        with torch.no_grad():
            images = Generator(CLOTHES, config)(torch.randn(8, 64), torch.arange(8))
        found.append(neighbours(images))
    assert abs(found[0]) < 0.1
    assert found[1] > 0.5


def test_each_unit_of_the_discriminator_looks_at_one_place() -> None:
    torch.manual_seed(0)
    for config, at_least, at_most in ((NOISE, 0.0, 0.3), (GABOR, 0.6, 1.0)):
        weights = first_layer(Discriminator(CLOTHES, config)).weight.detach().view(-1, 28, 28)
        places = nn.functional.avg_pool2d(weights.square(), 11, stride=1, padding=5) * 11 * 11
        shares = places.flatten(1).amax(1) / weights.square().sum((1, 2))
        assert at_least < shares.quantile(0.1) < shares.quantile(0.9) <= at_most + 1e-3


def test_to_images_of_every_kind_of_detail_its_units_respond_alike() -> None:
    torch.manual_seed(0)
    images = natural(500, 28).flatten(1)
    powers = {}
    for config in (NOISE, GABOR):
        layer = first_layer(Discriminator(CLOTHES, config))
        with torch.no_grad():
            powers[config.filters] = layer(images - images.mean(0)).square().mean(0)
    assert powers["gabor"].quantile(0.9) < 3 * powers["gabor"].quantile(0.1)
    assert 0.5 < powers["gabor"].mean() / powers["noise"].mean() < 2


@pytest.mark.parametrize("image", [ImageSpec(1, 1, 1), ImageSpec(3, 13, 7, 2)], ids=str)
def test_any_size_and_any_channels_get_filters_that_differ_by_channel(image: ImageSpec) -> None:
    torch.manual_seed(0)
    filters, windows = gabor_filters(50, (image.channels, image.height, image.width))
    assert filters.shape == (50, image.channels, image.height, image.width)
    assert windows.shape == (50,)
    for network in build(image, GABOR).values():
        assert all(parameter.isfinite().all() for parameter in network.parameters())
    if image.channels > 1:
        assert not torch.allclose(filters[:, 0], filters[:, 1])


def test_weights_trained_from_either_fit_the_other() -> None:
    for role, network in build(CLOTHES, NOISE).items():
        build(CLOTHES, GABOR)[role].load_state_dict(network.state_dict())


def test_the_seed_decides_the_filters() -> None:
    built = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        built.append(first_layer(Discriminator(CLOTHES, GABOR)).weight)
    assert torch.equal(built[0], built[1])
    assert not torch.equal(built[0], built[2])
