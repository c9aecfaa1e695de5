from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genzoo.errors import PluginError
from genzoo.noise import Noise, StepNoise
from genzoo.objectives.adversarial import Adversarial
from genzoo.objectives.base import Batch, CanEncode, CanInterpolate, HasLogLikelihood, Phase
from genzoo.objectives.configs import AdversarialConfig
from genzoo.objectives.losses import losses

BATCH, LATENT, PIXELS, CLASSES = 5, 3, 4, 2


class Generator(nn.Module):
    latent_dim = LATENT

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(LATENT, PIXELS)
        self.shift = nn.Embedding(CLASSES, PIXELS)

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        pixels = self.linear(latents) + (0 if labels is None else self.shift(labels))
        return torch.tanh(pixels).reshape(-1, 1, 2, 2)


class Discriminator(nn.Module):
    """D(x, y) = w.x + e_y.x + a/2 ||x||^2, whose gradient is w + e_y + a x."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(PIXELS, 1, bias=False)
        self.projection = nn.Embedding(CLASSES, PIXELS)
        self.curvature = nn.Parameter(torch.tensor(0.8))

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        flat = images.flatten(1)
        logits: Tensor = self.linear(flat)[:, 0] + self.curvature / 2 * flat.square().sum(1)
        return logits if labels is None else logits + (self.projection(labels) * flat).sum(1)

    def gradient(self, images: Tensor, labels: Tensor | None) -> Tensor:
        projection = 0 if labels is None else self.projection(labels)
        return self.linear.weight + projection + self.curvature * images.flatten(1)


class NormalizingDiscriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(PIXELS, 1))

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits[:, 0]


def make_networks(dtype: torch.dtype = torch.float64) -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict({"generator": Generator(), "discriminator": Discriminator()}).to(dtype)


def make_batch(*, labels: bool = False, dtype: torch.dtype = torch.float64) -> Batch:
    images = torch.linspace(-1, 1, BATCH * PIXELS, dtype=dtype).sin().reshape(BATCH, 1, 2, 2)
    noise = StepNoise(0, 0, stream="test", batch_size=BATCH, rows=slice(0, BATCH))
    return Batch(images, torch.arange(BATCH) % CLASSES if labels else None, noise)


def fakes(networks: nn.ModuleDict, batch: Batch) -> Tensor:
    """The images of a fresh copy of the batch's noise."""
    noise = make_batch().noise
    images: Tensor = networks["generator"](
        noise.normal(LATENT).to(batch.images.dtype), batch.labels
    )
    return images.detach()


def discriminator_of(networks: nn.ModuleDict) -> Discriminator:
    discriminator = networks["discriminator"]
    assert isinstance(discriminator, Discriminator)
    return discriminator


def objective(**config: Any) -> Adversarial:
    return Adversarial(AdversarialConfig.model_validate(config))


@pytest.mark.parametrize("labels", [False, True], ids=["unconditional", "conditional"])
@pytest.mark.parametrize("name", sorted(losses))
def test_phases_apply_the_loss_to_the_networks(name: str, labels: bool) -> None:
    networks, batch = make_networks(), make_batch(labels=labels)
    fake = fakes(networks, batch)
    logits = [networks["discriminator"](images, batch.labels) for images in (batch.images, fake)]
    for phase, function in (
        ("discriminator", losses[name].discriminator),
        ("generator", losses[name].generator),
    ):
        batch = make_batch(labels=labels)
        loss, logs = objective(loss=name).loss(phase, networks, batch, 0)
        assert loss.item() == pytest.approx(function(*logits).item())
        assert logs["loss"].item() == loss.item()


def test_discriminator_logs_the_mean_logits() -> None:
    networks, batch = make_networks(), make_batch()
    _, logs = objective().loss("discriminator", networks, batch, 0)
    real = networks["discriminator"](batch.images, None).mean()
    fake = networks["discriminator"](fakes(networks, batch), None).mean()
    assert logs["real_logits"].item() == pytest.approx(real.item())
    assert logs["fake_logits"].item() == pytest.approx(fake.item())


@pytest.mark.parametrize("labels", [False, True], ids=["unconditional", "conditional"])
def test_r1_and_r2_are_added_with_their_weights(labels: bool) -> None:
    networks, batch = make_networks(), make_batch(labels=labels)
    discriminator, fake = discriminator_of(networks), fakes(networks, batch)
    r1 = discriminator.gradient(batch.images, batch.labels).square().sum(1).mean().item() / 2
    r2 = discriminator.gradient(fake, batch.labels).square().sum(1).mean().item() / 2
    adversarial = objective(penalties={"r1": 0.5, "r2": 3.0})
    loss, logs = adversarial.loss("discriminator", networks, batch, 0)
    assert logs["r1"].item() == pytest.approx(r1)
    assert logs["r2"].item() == pytest.approx(r2)
    assert (loss - logs["adversarial"]).item() == pytest.approx(0.5 * r1 + 3.0 * r2)
    assert r1 != pytest.approx(r2)


def test_wgan_gp_is_added_with_its_weight() -> None:
    networks, batch = make_networks(), make_batch(labels=True)
    noise = make_batch().noise
    fake = networks["generator"](noise.normal(LATENT).double(), batch.labels)
    position = noise.uniform(1, 1, 1)
    between = position * batch.images + (1 - position) * fake
    norms = discriminator_of(networks).gradient(between, batch.labels).norm(dim=1)
    expected = (norms - 1).square().mean().item()
    adversarial = objective(loss="wasserstein", penalties={"wgan_gp": 10.0})
    loss, logs = adversarial.loss("discriminator", networks, batch, 0)
    assert logs["wgan_gp"].item() == pytest.approx(expected)
    assert (loss - logs["adversarial"]).item() == pytest.approx(10 * expected)


def test_penalty_gradients_reach_the_discriminator() -> None:
    networks, batch = make_networks(), make_batch()
    weight = discriminator_of(networks).linear.weight
    gradient = discriminator_of(networks).gradient(batch.images, None).mean(0)
    with_penalty, _ = objective(penalties={"r1": 2.0}).loss("discriminator", networks, batch, 0)
    without, _ = objective().loss("discriminator", networks, make_batch(), 0)
    (difference,) = torch.autograd.grad(with_penalty - without, weight)
    assert difference[0].tolist() == pytest.approx((2.0 * gradient).tolist())


@pytest.mark.parametrize("step", [0, 1, 3, 4])
def test_lazy_penalties_come_every_so_often_and_as_much_stronger(step: int) -> None:
    networks = make_networks()
    adversarial = objective(penalties={"r1": 0.5, "every": 4})
    loss, logs = adversarial.loss("discriminator", networks, make_batch(), step)
    penalty = (loss - logs["adversarial"]).item()
    if step % 4:
        assert "r1" not in logs
        assert penalty == 0
    else:
        assert penalty == pytest.approx(4 * 0.5 * logs["r1"].item())


def test_lazy_penalties_come_to_the_same_gradient_over_their_period() -> None:
    """Karras et al. 2020, section 3.1: regularization every k-th step changes no balance."""

    def pull(every: int) -> Tensor:
        adversarial = objective(penalties={"r1": 0.5, "r2": 0.25, "every": every})
        networks = make_networks()
        weight = discriminator_of(networks).linear.weight
        total = torch.zeros_like(weight)
        for step in range(8):
            loss, _ = adversarial.loss("discriminator", networks, make_batch(), step)
            plain, _ = objective().loss("discriminator", networks, make_batch(), step)
            total += torch.autograd.grad(loss - plain, weight)[0]
        return total

    assert pull(1).abs().min() > 0
    for every in (2, 4, 8):
        torch.testing.assert_close(pull(every), pull(1))


@pytest.mark.parametrize(("step", "weight"), [(0, 2.0), (50, 1.1), (100, 0.2), (500, 0.2)])
def test_penalties_are_annealed(step: int, weight: float) -> None:
    adversarial = objective(penalties={"r2": 2.0, "anneal_to": 0.1, "anneal_steps": 100})
    loss, logs = adversarial.loss("discriminator", make_networks(), make_batch(), step)
    assert (loss - logs["adversarial"]).item() == pytest.approx(weight * logs["r2"].item())


@pytest.mark.parametrize(
    ("penalties", "calls"), [({}, 2), ({"r1": 1.0, "r2": 1.0}, 2), ({"wgan_gp": 1.0}, 3)]
)
def test_zero_centred_penalties_cost_no_forward_of_their_own(
    penalties: dict[str, float], calls: int
) -> None:
    networks = make_networks()
    seen: list[int] = []
    networks["discriminator"].register_forward_hook(lambda *_: seen.append(1))
    objective(penalties=penalties).loss("discriminator", networks, make_batch(), 0)
    assert len(seen) == calls


@pytest.mark.parametrize("name", ["r1", "r2", "wgan_gp"])
def test_penalties_are_float32_under_autocast(name: str) -> None:
    networks, batch = make_networks(torch.float32), make_batch(dtype=torch.float32)
    adversarial = objective(penalties={name: 1.0})
    # This generator gives the same under autocast, so that only the penalty's precision can differ.
    for parameter in networks["generator"].parameters():
        nn.init.zeros_(parameter)
    _, exact = adversarial.loss("discriminator", networks, batch, 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        batch = make_batch(dtype=torch.float32)
        loss, logs = adversarial.loss("discriminator", networks, batch, 0)
    assert logs[name].dtype == loss.dtype == torch.float32
    assert logs[name].item() == pytest.approx(exact[name].item(), rel=1e-6)
    assert logs["real_logits"].item() != exact["real_logits"].item()  # so autocast was on
    (gradient,) = torch.autograd.grad(loss, discriminator_of(networks).linear.weight)
    assert gradient.isfinite().all()


def test_real_and_fake_images_are_normalized_apart() -> None:
    networks, batch = make_networks(), make_batch()
    networks["discriminator"] = NormalizingDiscriminator().double()
    real = networks["discriminator"](batch.images, None).mean()
    fake = networks["discriminator"](fakes(networks, batch), None).mean()
    loss, _ = objective(loss="wasserstein").loss("discriminator", networks, batch, 0)
    assert loss.item() == pytest.approx((fake - real).item())


@pytest.mark.parametrize("phase", ["discriminator", "generator"])
def test_a_discriminator_with_batch_norm_can_be_trained(phase: str) -> None:
    networks = make_networks()
    networks["discriminator"] = NormalizingDiscriminator().double()
    adversarial = objective(loss="relativistic", penalties={"r1": 1.0, "r2": 1.0})
    loss, _ = adversarial.loss(phase, networks, make_batch(), 0)
    torch.autograd.backward(loss)
    gradients = [parameter.grad for parameter in networks[phase].parameters()]
    assert any(gradient is not None and bool(gradient.any()) for gradient in gradients)
    assert all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients)


def test_discriminator_steps_thin_out_the_generator_phase() -> None:
    discriminator, generator = objective(discriminator_steps=5).phases
    assert discriminator == Phase("discriminator", frozenset({"discriminator"}), every=1)
    assert generator == Phase("generator", frozenset({"generator"}), every=5)


@pytest.mark.parametrize("name", sorted(losses))
def test_each_phase_gives_gradients_to_all_it_trains(name: str) -> None:
    networks = make_networks()
    adversarial = objective(loss=name, penalties={"r1": 1.0, "r2": 1.0})
    for phase in adversarial.phases:
        for role, network in networks.items():
            network.requires_grad_(role in phase.trains)
        loss, logs = adversarial.loss(phase.name, networks, make_batch(labels=True), 0)
        torch.autograd.backward(loss)
        for role, network in networks.items():
            moved = [p.grad is not None and bool(p.grad.any()) for p in network.parameters()]
            assert all(moved) if role in phase.trains else not any(moved)
        networks.zero_grad()
        assert loss.ndim == 0
        assert all(log.ndim == 0 and not log.requires_grad for log in logs.values())


def test_the_batch_is_left_as_it_was() -> None:
    batch = make_batch()
    loss, _ = objective(penalties={"r1": 1.0}).loss("discriminator", make_networks(), batch, 0)
    torch.autograd.backward(loss)
    assert not batch.images.requires_grad
    assert batch.images.grad is None
    assert torch.equal(batch.images, make_batch().images)


def test_sample_decodes_the_latents_of_the_noise() -> None:
    networks, adversarial = make_networks(torch.float32), objective()
    labels = torch.tensor([0, 1, 1, 0])
    images = adversarial.sample(networks, Noise(7, range(4)), labels)
    latents = adversarial.latents(networks, Noise(7, range(4)))
    assert isinstance(adversarial, CanInterpolate)
    assert images.shape == (4, 1, 2, 2)
    assert not images.requires_grad
    assert torch.equal(latents, Noise(7, range(4)).normal(LATENT))
    assert torch.equal(images, adversarial.decode(networks, latents, labels))
    first = adversarial.sample(networks, Noise(7, range(2)), labels[:2])
    assert torch.allclose(images[:2], first, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_latents_come_in_the_dtype_of_the_generator(dtype: torch.dtype) -> None:
    assert objective().sample(make_networks(dtype), Noise(0, range(2)), None).dtype == dtype


def test_a_generator_without_latent_dim_is_named() -> None:
    with pytest.raises(PluginError, match="Linear") as caught:
        objective().sample(nn.ModuleDict({"generator": nn.Linear(2, 2)}), Noise(0, [0]), None)
    assert "latent_dim" in caught.value.hint


def test_a_gan_claims_neither_an_encoder_nor_a_likelihood() -> None:
    assert not isinstance(objective(), CanEncode)
    assert not isinstance(objective(), HasLogLikelihood)
    assert Adversarial.roles == {"generator", "discriminator"}
    assert Adversarial.sampling_roles == {"generator"}
