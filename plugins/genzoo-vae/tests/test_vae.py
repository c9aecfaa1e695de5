from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.distributions import Normal, kl_divergence

from genzoo import ImageSpec, LabelError, UnsupportedError
from genzoo.registry.specs import resolve
from genzoo_vae import plugin
from genzoo_vae.config import VAEConfig
from genzoo_vae.networks import ConditionalNorm, build, count_halvings

MNIST = ImageSpec(1, 28, 28, 10)
LIKELIHOODS = ["bernoulli", "gaussian", "categorical", "discretized-logistic"]


def tiny(**fields: Any) -> VAEConfig:
    return VAEConfig(**{"latent_dim": 5, "channels": 16, **fields})


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_the_plugin_is_torch_free() -> None:
    code = "import sys, genzoo_vae.plugin, genzoo_vae.config as c; "
    code += "c.VAEConfig(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_descriptor_names_code_that_exists() -> None:
    (architecture,) = plugin.genzoo_architectures()
    assert resolve(architecture.config) is VAEConfig
    assert resolve(architecture.networks) is build


@pytest.mark.parametrize(
    ("height", "width", "halvings"),
    [(8, 8, 1), (14, 14, 1), (28, 28, 2), (32, 32, 3), (28, 64, 2), (64, 64, 4), (96, 128, 4)],
)
def test_the_shorter_side_ends_up_four_to_seven_pixels_long(
    height: int, width: int, halvings: int
) -> None:
    assert count_halvings(ImageSpec(1, height, width)) == halvings
    assert 4 <= min(height, width) / 2**halvings <= 7


@pytest.mark.parametrize(
    ("height", "width", "hint"),
    [
        (30, 30, "Take height 28 or 32 and width 28 or 32."),
        (28, 30, "Take width 28 or 32."),
        (9, 9, "Take height 8 or 10 and width 8 or 10."),
        (5, 16, "Take height 8."),
        (63, 64, "Take height 56 or 64."),
    ],
)
def test_a_size_that_does_not_fit_names_the_nearest_that_do(
    height: int, width: int, hint: str
) -> None:
    with pytest.raises(UnsupportedError, match=f"{height}x{width}") as caught:
        build(ImageSpec(1, height, width), tiny())
    assert caught.value.hint == hint


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("image", [MNIST, ImageSpec(3, 8, 16)], ids=str)
def test_the_decoder_gives_a_distribution_over_images(likelihood: str, image: ImageSpec) -> None:
    decoder = build(image, tiny(likelihood=likelihood))["decoder"]
    labels = None if image.classes is None else torch.tensor([3, 4])
    images = torch.rand(2, image.channels, image.height, image.width) * 2 - 1
    distribution = decoder(torch.randn(2, 5), labels)
    log_prob = distribution.log_prob(images)
    assert log_prob.shape == (2,)
    assert log_prob.isfinite().all()
    assert distribution.mean.shape == images.shape
    assert distribution.mean.abs().max() <= 1
    log_prob.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_only_likelihoods_with_a_scale_learn_one(likelihood: str) -> None:
    decoder = build(MNIST, tiny(likelihood=likelihood))["decoder"]
    has_scale = likelihood in ("gaussian", "discretized-logistic")
    assert ("log_scale" in decoder.state_dict()) is has_scale


def test_the_posterior_is_a_diagonal_gaussian() -> None:
    encoder = build(MNIST, tiny())["encoder"]
    posterior = encoder(torch.rand(3, 1, 28, 28) * 2 - 1, torch.tensor([0, 1, 2]))
    mean, variance = posterior.mean.double(), posterior.variance.double()
    z = posterior.rsample()
    expected = -0.5 * ((z - mean) ** 2 / variance + variance.log() + 1.8378770664093453).sum(1)
    torch.testing.assert_close(posterior.log_prob(z).double(), expected, atol=1e-5, rtol=1e-5)
    prior = Normal(torch.zeros(5), torch.ones(5))
    divergence = kl_divergence(posterior.base_dist, prior).sum(1)
    expected = 0.5 * (mean**2 + variance - variance.log() - 1).sum(1)
    torch.testing.assert_close(divergence.double(), expected, atol=1e-5, rtol=1e-5)


def test_the_posterior_stays_finite_for_wild_images() -> None:
    posterior = build(MNIST, tiny())["encoder"](
        1e6 * torch.randn(2, 1, 28, 28), torch.tensor([0, 1])
    )
    assert posterior.rsample().isfinite().all()
    assert (posterior.stddev > 0).all()


def test_under_bfloat16_autocast_the_distributions_stay_float32() -> None:
    networks = build(MNIST, tiny())
    labels = torch.tensor([1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        posterior = networks["encoder"](torch.zeros(1, 1, 28, 28), labels)
        log_prob = networks["decoder"](posterior.mean, labels).log_prob(torch.zeros(1, 1, 28, 28))
    assert posterior.mean.dtype == log_prob.dtype == torch.float32


def test_conditional_norm_is_its_formula() -> None:
    norm = ConditionalNorm(16, condition_dim=3).double()
    features = torch.randn(2, 16, 4, 5, dtype=torch.float64)
    condition = torch.randn(2, 3, dtype=torch.float64)
    groups = features.reshape(2, 2, -1)  # 8 channels a group
    variance, mean = torch.var_mean(groups, dim=2, keepdim=True, correction=0)
    normal = ((groups - mean) / (variance + 1e-5).sqrt()).reshape(features.shape)
    modulation = condition @ norm.modulation.weight.T + norm.modulation.bias
    scale, shift = modulation[:, :16, None, None], modulation[:, 16:, None, None]
    torch.testing.assert_close(norm(features, condition), (1 + scale) * normal + shift)


@pytest.mark.parametrize("changed", ["latent", "label"])
def test_the_latent_and_the_class_both_reach_the_image(changed: str) -> None:
    decoder = build(MNIST, tiny())["decoder"]
    z, labels = torch.randn(1, 5), torch.tensor([3])
    before = decoder(z, labels).mean
    after = decoder(-z, labels).mean if changed == "latent" else decoder(z, labels + 1).mean
    assert (before - after).abs().max() > 1e-4


def test_the_spatial_latent_acts_where_it_is() -> None:
    networks = build(MNIST, tiny(spatial_channels=2))
    encoder, decoder = networks["encoder"], networks["decoder"]
    labels, images = torch.tensor([3]), torch.rand(1, 1, 28, 28) * 2 - 1
    z = encoder(images, labels).mean
    assert z.shape == (1, 5 + 2 * 7 * 7)
    assert decoder.latent_dim == 103

    def where(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        change = (after - before).abs()[0].sum(0)
        return (change > 0.5 * change.max()).nonzero().float().mean(0)

    other = z.clone()
    other[0, 5 + 7 * 1 + 5] += 3  # the first channel at row 1 of 7, column 5
    row, column = where(decoder(z, labels).mean, decoder(other, labels).mean)
    assert row < 12
    assert column > 16

    marked = images.clone()
    marked[..., 20:24, 4:8] *= -1
    codes = encoder(marked, labels).mean
    maps = [each[:, 5:].unflatten(1, (2, 7, 7)) for each in (z, codes)]
    row, column = where(*maps)
    assert row > 3.5
    assert column < 2.5


def test_the_class_reaches_the_posterior() -> None:
    encoder = build(MNIST, tiny())["encoder"]
    images = torch.rand(1, 1, 28, 28)
    means = [encoder(images, torch.tensor([label])).mean for label in (3, 4)]
    assert (means[0] - means[1]).abs().max() > 1e-4


def test_labels_are_required_of_a_conditional_network() -> None:
    networks = build(MNIST, tiny())
    with pytest.raises(LabelError):
        networks["encoder"](torch.zeros(1, 1, 28, 28), None)
    with pytest.raises(LabelError):
        networks["decoder"](torch.zeros(1, 5), None)


def test_a_latent_of_another_size_is_another_map() -> None:
    image = ImageSpec(3, 32, 64)
    networks = build(image, tiny(spatial_channels=2, prior_layers=2))
    z = networks["encoder"](torch.rand(2, 3, 32, 64)).mean
    assert z.shape == (2, 5 + 2 * 4 * 8)
    base, log_det = networks["prior"](z)
    assert base.shape == z.shape
    assert log_det.shape == (2,)
    assert networks["decoder"](z).mean.shape == (2, 3, 32, 64)


@pytest.mark.parametrize("field", ["channels", "blocks"])
def test_a_larger_config_is_a_larger_network(field: str) -> None:
    def parameters(config: VAEConfig) -> int:
        networks = build(MNIST, config).values()
        return sum(p.numel() for network in networks for p in network.parameters())

    small = tiny()
    assert parameters(tiny(**{field: 2 * getattr(small, field)})) > 1.3 * parameters(small)


@pytest.mark.parametrize(
    "wrong",
    [
        {"latent_dim": 0},
        {"channels": 24},
        {"channels": 0},
        {"blocks": 0},
        {"spatial_channels": 65},
        {"prior_layers": 3},
        {"bins": 1},
        {"bins": 257},
        {"likelihood": "cauchy"},
        {"chanels": 32},
    ],
)
def test_a_config_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VAEConfig(**wrong)
