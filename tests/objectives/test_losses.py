import math
from collections.abc import Callable

import pytest
import torch

from genzoo.objectives.losses import losses


def log_sigmoid(t: float) -> float:
    return -math.log1p(math.exp(-t))


Reference = Callable[[list[float], list[float]], float]


def mean_over(f: Callable[[float, float], float]) -> Reference:
    return lambda real, fake: sum(f(r, g) for r, g in zip(real, fake, strict=True)) / len(real)


REFERENCES: dict[str, tuple[Reference, Reference]] = {
    "non-saturating": (
        mean_over(lambda r, g: -log_sigmoid(r) - log_sigmoid(-g)),
        mean_over(lambda r, g: -log_sigmoid(g)),
    ),
    "minimax": (
        mean_over(lambda r, g: -log_sigmoid(r) - log_sigmoid(-g)),
        mean_over(lambda r, g: log_sigmoid(-g)),
    ),
    "least-squares": (
        mean_over(lambda r, g: 0.5 * (r - 1) ** 2 + 0.5 * g**2),
        mean_over(lambda r, g: 0.5 * (g - 1) ** 2),
    ),
    "hinge": (
        mean_over(lambda r, g: max(0, 1 - r) + max(0, 1 + g)),
        mean_over(lambda r, g: -g),
    ),
    "wasserstein": (mean_over(lambda r, g: g - r), mean_over(lambda r, g: -g)),
    "relativistic": (
        mean_over(lambda r, g: -log_sigmoid(r - g)),
        mean_over(lambda r, g: -log_sigmoid(g - r)),
    ),
}
REAL, FAKE = [0.3, -1.2, 2.5, 0.0], [-0.7, 1.5, 0.4, -3.0]


def test_every_loss_has_a_reference() -> None:
    assert set(losses) == set(REFERENCES)


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_loss_values(name: str) -> None:
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    discriminator, generator = REFERENCES[name]
    assert losses[name].discriminator(real, fake).item() == pytest.approx(discriminator(REAL, FAKE))
    assert losses[name].generator(real, fake).item() == pytest.approx(generator(REAL, FAKE))


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_losses_and_gradients_are_finite_for_extreme_logits(name: str) -> None:
    real = torch.tensor([1e4, -1e4, 1e4, -1e4], requires_grad=True)
    fake = torch.tensor([1e4, 1e4, -1e4, -1e4], requires_grad=True)
    total = losses[name].discriminator(real, fake) + losses[name].generator(real, fake)
    torch.autograd.backward(total)
    assert total.isfinite()
    assert real.grad is not None
    assert real.grad.isfinite().all()
    assert fake.grad is not None
    assert fake.grad.isfinite().all()
