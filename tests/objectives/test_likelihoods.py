import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution

from genzoo.objectives.likelihoods import (
    LIKELIHOODS,
    DiscretizedLogistic,
    PixelBernoulli,
    PixelCategorical,
    PixelGaussian,
    image_distribution,
    parameters_per_channel,
)


def column(values: list[float]) -> Tensor:
    """One image of one pixel each."""
    return torch.tensor(values).reshape(-1, 1, 1, 1)


def levels(bins: int) -> Tensor:
    """One image of one pixel for each level."""
    return column([2 * level / (bins - 1) - 1 for level in range(bins)])


def sigmoid(t: float) -> float:
    return 1 / (1 + math.exp(-t))


def random_parameters(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def make(name: str, batch: int = 3, channels: int = 2, bins: int = 8) -> Distribution:
    maps = channels * parameters_per_channel(name, bins)
    scaled = name in ("gaussian", "discretized-logistic")
    log_scale = torch.tensor(-1.0) if scaled else None
    parameters = random_parameters(batch, maps, 4, 5)
    return image_distribution(name, parameters, channels, bins, log_scale)


def test_bernoulli_of_binary_images_is_a_probability() -> None:
    logits = torch.tensor([0.3, -2.0, 5.0])
    images = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3)))
    log_probs = PixelBernoulli(logits.expand(8, 3)).log_prob(images)
    chances = [sigmoid(0.3), sigmoid(-2.0), sigmoid(5.0)]
    expected = [
        math.prod(p if x > 0 else 1 - p for p, x in zip(chances, image, strict=True))
        for image in images.tolist()
    ]
    assert log_probs.exp().tolist() == pytest.approx(expected, rel=1e-5)
    assert log_probs.exp().sum().item() == pytest.approx(1)


@pytest.mark.parametrize("logit", [-3.0, 0.0, 1.7])
@pytest.mark.parametrize("target", [0.0, 0.25, 0.9, 1.0])
def test_bernoulli_of_grey_images_is_the_cross_entropy(logit: float, target: float) -> None:
    p = sigmoid(logit)
    expected = target * math.log(p) + (1 - target) * math.log(1 - p)
    log_prob = PixelBernoulli(column([logit])).log_prob(column([2 * target - 1]))
    assert log_prob.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(), (2, 1, 1), (2, 3, 3), (5, 2, 3, 3)])
def test_gaussian_is_the_normal_density_whatever_its_log_scale_broadcasts_from(
    shape: tuple[int, ...],
) -> None:
    mean, images = random_parameters(5, 2, 3, 3), random_parameters(5, 2, 3, 3).flip(0)
    log_scale = random_parameters(*shape) / 2
    spread = log_scale.expand(5, 2, 3, 3)
    expected = [
        sum(
            -0.5 * ((x - m) / math.exp(s)) ** 2 - s - 0.5 * math.log(2 * math.pi)
            for x, m, s in zip(
                *(t[i].flatten().tolist() for t in (images, mean, spread)), strict=True
            )
        )
        for i in range(5)
    ]
    log_probs = PixelGaussian(mean, log_scale).log_prob(images)
    assert log_probs.tolist() == pytest.approx(expected, rel=1e-5)


def test_gaussian_density_integrates_to_one() -> None:
    x = torch.linspace(-6, 6, 2001)
    gaussian = PixelGaussian(torch.full((2001, 1), 0.4), torch.tensor(-0.5))
    area = torch.trapezoid(gaussian.log_prob(x[:, None]).exp(), x)
    assert area.item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("bins", [2, 17, 256])
@pytest.mark.parametrize("log_scale", [-7.0, -3.0, 0.0, 3.0])
@pytest.mark.parametrize("mean", [-5.0, -1.0, 0.0, 0.3123, 1.0, 1.2])
def test_discretized_logistic_sums_to_one_over_the_levels(
    mean: float, log_scale: float, bins: int
) -> None:
    logistic = DiscretizedLogistic(column([mean] * bins), torch.tensor(log_scale), bins)
    total = logistic.log_prob(levels(bins)).double().exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("level", [0, 1, 100, 128, 254, 255])
def test_discretized_logistic_is_a_difference_of_sigmoids(level: int) -> None:
    mean, scale, half = 0.1, 0.4, 1 / 255
    x = 2 * level / 255 - 1
    upper = 1.0 if level == 255 else sigmoid((x + half - mean) / scale)
    lower = 0.0 if level == 0 else sigmoid((x - half - mean) / scale)
    logistic = DiscretizedLogistic(column([mean]), torch.tensor(math.log(scale)))
    log_prob = logistic.log_prob(column([x])).item()
    assert log_prob == pytest.approx(math.log(upper - lower), rel=1e-4)


@pytest.mark.parametrize("level", [20, 200])
def test_discretized_logistic_is_exact_far_in_the_tails(level: int) -> None:
    # There, s(a) - s(b) is exp(-distance / scale) (1 - exp(-2 half / scale)), 0 in float32.
    scale, half = 1e-3, 1 / 255
    x = 2 * level / 255 - 1
    expected = -(abs(x) - half) / scale + math.log1p(-math.exp(-2 * half / scale))
    logistic = DiscretizedLogistic(column([0.0]), torch.tensor(math.log(scale)))
    assert logistic.log_prob(column([x])).item() == pytest.approx(expected, rel=1e-5)
    assert expected < -500


def test_categorical_is_a_softmax_over_the_levels() -> None:
    bins = 5
    logits = random_parameters(1, bins, 1, 1, 1)
    weights = [math.exp(logit) for logit in logits.flatten().tolist()]
    categorical = PixelCategorical(logits.expand(bins, bins, 1, 1, 1))
    log_probs = categorical.log_prob(levels(bins))
    expected = [math.log(weight / sum(weights)) for weight in weights]
    assert log_probs.tolist() == pytest.approx(expected, rel=1e-5)
    assert log_probs.exp().sum().item() == pytest.approx(1)


def test_categorical_sums_over_pixels_and_channels() -> None:
    logits = random_parameters(2, 4, 3, 2, 2)
    images = levels(4).flatten()[torch.arange(24) % 4].reshape(2, 3, 2, 2)
    whole = PixelCategorical(logits).log_prob(images)
    parts = [
        PixelCategorical(logits[..., c : c + 1, i : i + 1, j : j + 1]).log_prob(
            images[:, c : c + 1, i : i + 1, j : j + 1]
        )
        for c, i, j in itertools.product(range(3), range(2), range(2))
    ]
    assert whole.tolist() == pytest.approx(torch.stack(parts).sum(0).tolist(), rel=1e-5)


def test_every_value_of_an_8_bit_image_has_a_level_of_its_own() -> None:
    images = (torch.arange(256, dtype=torch.uint8).float() / 127.5 - 1).reshape(256, 1, 1, 1)
    logits = torch.full((256, 256, 1, 1, 1), -1e3)
    logits[torch.arange(256), torch.arange(256)] = 0  # image i is certain to be level i
    assert PixelCategorical(logits).log_prob(images).tolist() == [0.0] * 256


@pytest.mark.parametrize(("pixel", "level"), [(-0.9, 0), (-0.6, 1), (0.2, 2), (0.65, 2), (0.7, 3)])
def test_images_are_rounded_to_the_nearest_level(pixel: float, level: int) -> None:
    grid = levels(4)
    categorical = PixelCategorical(random_parameters(1, 4, 1, 1, 1))
    logistic = DiscretizedLogistic(column([0.1]), torch.tensor(-1.0), bins=4)
    for distribution in (categorical, logistic):
        exact = distribution.log_prob(grid[level : level + 1])
        assert distribution.log_prob(column([pixel])).item() == exact.item()


def test_bernoulli_mean_is_its_expected_image() -> None:
    mean = PixelBernoulli(column([-50.0, -1.0, 0.0, 2.0])).mean.flatten().tolist()
    assert mean == pytest.approx([2 * sigmoid(t) - 1 for t in (-50.0, -1.0, 0.0, 2.0)])


def test_gaussian_mean_is_an_image() -> None:
    gaussian = PixelGaussian(column([-3.0, -0.5, 0.0, 1.5]), torch.tensor(0.0))
    assert gaussian.mean.flatten().tolist() == [-1.0, -0.5, 0.0, 1.0]


@pytest.mark.parametrize("log_scale", [-7.0, -3.0, -1.0, 1.0])
@pytest.mark.parametrize("location", [-4.0, -1.0, 0.2, 0.98, 3.0])
def test_discretized_logistic_mean_is_within_half_a_level(
    location: float, log_scale: float
) -> None:
    bins = 16
    logistic = DiscretizedLogistic(column([location] * bins), torch.tensor(log_scale), bins)
    grid = levels(bins)
    expected = (logistic.log_prob(grid).exp() * grid.flatten()).sum().item()
    mean = logistic.mean[0].item()
    assert -1 <= mean <= 1
    assert mean == pytest.approx(expected, abs=1 / (bins - 1))


def test_categorical_mean_weighs_the_levels() -> None:
    logits = torch.tensor([0.7, 0.2, 0.1]).log().reshape(1, 3, 1, 1, 1)
    assert PixelCategorical(logits).mean.item() == pytest.approx(-0.7 + 0.1)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_draws_follow_the_distribution(name: str) -> None:
    torch.manual_seed(0)
    distribution = make(name)
    draws = distribution.sample((8000,))
    assert draws.shape == (8000, 3, 2, 4, 5)
    if name == "gaussian":  # its mean, unlike its draws, stays in [-1, 1]
        draws = draws[:, distribution.mean.abs() < 1]
        assert draws.mean(0).sub(distribution.mean[distribution.mean.abs() < 1]).abs().max() < 0.03
        assert draws.std(0).sub(math.exp(-1)).abs().max() < 0.02
        return
    tolerance = 0.06 + (1 / 7 if name == "discretized-logistic" else 0)
    assert draws.mean(0).sub(distribution.mean).abs().max() < tolerance
    allowed = torch.tensor([-1.0, 1.0]) if name == "bernoulli" else levels(8).flatten()
    assert torch.allclose(torch.unique(draws), allowed, atol=1e-6)


@pytest.mark.parametrize("name", ["discretized-logistic", "categorical"])
def test_levels_are_drawn_as_often_as_they_are_probable(name: str) -> None:
    torch.manual_seed(0)
    maps = parameters_per_channel(name, 6)
    parameters = random_parameters(1, maps, 1, 1).expand(6, -1, -1, -1)
    distribution = image_distribution(name, parameters, 1, 6, torch.tensor(-0.7))
    draws = distribution.sample((20_000,))[:, 0].flatten()
    shares = [(draws - level).abs().lt(1e-3).float().mean().item() for level in levels(6).flatten()]
    assert shares == pytest.approx(distribution.log_prob(levels(6)).exp().tolist(), abs=0.015)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_shapes(name: str) -> None:
    distribution = make(name)
    images = distribution.sample()
    assert distribution.batch_shape == (3,)
    assert distribution.event_shape == images.shape[1:] == (2, 4, 5)
    assert distribution.mean.shape == images.shape == (3, 2, 4, 5)
    assert distribution.log_prob(images).shape == (3,)
    several = distribution.sample((6,))
    assert distribution.log_prob(several).shape == (6, 3)
    assert distribution.log_prob(several)[4].tolist() == pytest.approx(
        distribution.log_prob(several[4]).tolist()
    )


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("magnitude", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("log_scale", [-20.0, 0.0, 20.0])
def test_log_prob_and_gradients_are_finite_at_extreme_values(
    name: str, magnitude: float, log_scale: float
) -> None:
    bins = 8
    signs = torch.tensor([-1.0, 1.0]).repeat(parameters_per_channel(name, bins) * 6)
    parameters = (signs * magnitude).reshape(2, -1, 2, 3).requires_grad_()
    scale = torch.tensor(log_scale, requires_grad=True)
    images = torch.tensor([-1.0, 1.0, 0.0, -0.5, 0.97, 1.0]).reshape(1, 1, 2, 3).repeat(2, 1, 1, 1)
    log_prob = image_distribution(name, parameters, 1, bins, scale).log_prob(images)
    torch.autograd.backward(log_prob.sum())
    assert log_prob.isfinite().all()
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()
    assert scale.grad is None or scale.grad.isfinite()


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_log_prob_is_float32_for_coarser_parameters(name: str) -> None:
    parameters = random_parameters(2, parameters_per_channel(name, 8), 2, 2).bfloat16()
    scale = torch.tensor(-1.0).bfloat16()
    images = levels(8).reshape(2, 1, 2, 2)
    coarse = image_distribution(name, parameters, 1, 8, scale)
    exact = image_distribution(name, parameters.double(), 1, 8, scale.double())
    assert coarse.log_prob(images).dtype == torch.float32
    assert exact.log_prob(images.double()).dtype == torch.float64
    assert coarse.log_prob(images).tolist() == pytest.approx(
        exact.log_prob(images.double()).tolist(), rel=1e-5
    )
