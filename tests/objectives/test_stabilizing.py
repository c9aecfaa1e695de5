"""The stabilizing tools: each does what its paper says, on networks that are trained."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

import genzoo
from genzoo.building import build_networks, build_objective
from genzoo.errors import ConfigError
from genzoo.loading import untrained
from genzoo.noise import StepNoise
from genzoo.objectives.adversarial import Adversarial
from genzoo.objectives.base import Batch
from genzoo.objectives.configs import AdversarialConfig
from genzoo.objectives.losses import losses
from genzoo.objectives.stabilizing import (
    Members,
    accuracy,
    focused_mean,
    members,
    normalize_spectrally,
)
from genzoo.registry import yamlfile
from genzoo.registry.config import ZooConfig
from genzoo.registry.fields import field_rows
from genzoo.registry.schema import validate
from genzoo.registry.specs import ImageSpec
from genzoo.registry.training_config import TrainingConfig
from genzoo.testing.bench import Bench
from genzoo.testing.checks import run_all
from genzoo.testing.models import MODELS
from genzoo.testing.networks import NETWORKS
from genzoo.testing.specimens import Specimen

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "stabilizing.md"
BATCH, LATENT, SIDE = 6, 3, 4
SMALL: Mapping[str, dict[str, Any]] = {
    "mlp-gan": {"latent_dim": LATENT, "generator_widths": [16], "discriminator_widths": [16, 8]},
    "dcgan": {"latent_dim": LATENT, "generator_channels": 4, "discriminator_channels": 4},
    "transformer-gan": {
        "latent_dim": LATENT,
        "width": 16,
        "depth": 1,
        "heads": 2,
        "pixel_features": 4,
        "discriminator_channels": 8,
    },
}


def objective(**config: Any) -> Adversarial:
    return Adversarial(validate(AdversarialConfig, config, source="test"))


def zoo(
    architecture: str = "mlp-gan", side: int = SIDE, classes: int | None = None, **config: Any
) -> ZooConfig:
    """Return the zoo config of small networks whose objective has these settings."""
    image = ImageSpec(1, side, side, classes)
    found = untrained(architecture, "adversarial", image, SMALL[architecture], source="test")
    part = found.objective.model_copy(update={"config": config})
    return found.model_copy(update={"objective": part})


def built(config: ZooConfig, seed: int = 0) -> nn.ModuleDict:
    torch.manual_seed(seed)
    return nn.ModuleDict(build_networks(config, build_objective(config)))


def make_batch(
    step: int = 0, rows: slice = slice(0, BATCH), side: int = SIDE, dtype: Any = torch.float32
) -> Batch:
    images = torch.linspace(-3, 3, BATCH * side * side, dtype=dtype).sin()
    noise = StepNoise(0, step, stream="test", batch_size=BATCH, rows=rows)
    return Batch(images.view(BATCH, 1, side, side)[rows], None, noise)


def gradients(loss: Tensor, network: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(network.parameters()), retain_graph=True))


# --- Several discriminators: GMAN, Durugkar et al. 2017

R3GAN = {"loss": "relativistic", "penalties": {"r1": 0.5, "r2": 0.25}}


def test_each_of_several_discriminators_learns_as_if_it_were_alone() -> None:
    networks = built(zoo(discriminators=3)).double()
    loss, logs = objective(**R3GAN, discriminators=3).loss(
        "discriminator", networks, make_batch(dtype=torch.float64), 0
    )
    together = members(networks["discriminator"])
    assert len(together) == 3
    alone = []
    for member in together:
        pair = nn.ModuleDict({"generator": networks["generator"], "discriminator": member})
        own, own_logs = objective(**R3GAN).loss(
            "discriminator", pair, make_batch(dtype=torch.float64), 0
        )
        alone.append(own_logs)
        for found, expected in zip(gradients(loss, member), gradients(own, member), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    assert len({each["loss"].item() for each in alone}) == 3
    assert loss.item() == pytest.approx(sum(each["loss"].item() for each in alone))
    for name, value in logs.items():
        mean = sum(each[name].item() for each in alone) / 3
        assert value.item() == pytest.approx(mean), name


def generator_losses(focus: float, **config: Any) -> tuple[Tensor, list[Tensor], nn.Module]:
    """Return the loss of a generator against three, and against each of them alone."""
    networks = built(zoo(discriminators=3)).double()
    settings = {**config, "discriminators": 3, "discriminator_focus": focus}
    together, _ = objective(**settings).loss(
        "generator", networks, make_batch(dtype=torch.float64), 0
    )
    alone = []
    for member in members(networks["discriminator"]):
        pair = nn.ModuleDict({"generator": networks["generator"], "discriminator": member})
        batch = make_batch(dtype=torch.float64)
        alone.append(objective(**config).loss("generator", pair, batch, 0)[0])
    return together, alone, networks["generator"]


@pytest.mark.parametrize("focus", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("name", ["non-saturating", "relativistic"])
def test_the_generator_minimizes_the_papers_softmax_weighted_mean(name: str, focus: float) -> None:
    together, alone, _ = generator_losses(focus, loss=name)
    values = [loss.item() for loss in alone]
    weights = [math.exp(focus * value) for value in values]
    mean = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    assert together.item() == pytest.approx(mean, rel=1e-12)
    if focus == 0:
        assert together.item() == pytest.approx(sum(values) / 3, rel=1e-12)


def test_a_large_focus_leaves_the_harshest_critic_alone() -> None:
    together, alone, generator = generator_losses(1e6)
    harshest = max(alone, key=lambda loss: loss.item())
    assert together.item() == pytest.approx(harshest.item(), rel=1e-12)
    pairs = zip(gradients(together, generator), gradients(harshest, generator), strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_the_weights_of_the_critics_are_differentiated_too() -> None:
    losses_ = torch.tensor([0.2, 0.9, -0.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda each: focused_mean(each.unbind(), 2.0), losses_)


def test_one_discriminator_is_built_as_ever_and_more_beside_it() -> None:
    """So that weights and checkpoints of one load, and a run of one draws as it did."""
    plain, one, three = (
        built(zoo(**c)) for c in ({}, {"discriminators": 1}, {"discriminators": 3})
    )
    assert list(plain.state_dict()) == list(one.state_dict())
    for name, tensor in plain.state_dict().items():
        assert torch.equal(one.state_dict()[name], tensor)
        role, _, inner = name.partition(".")
        same = name if role == "generator" else f"discriminator.0.{inner}"
        assert torch.equal(three.state_dict()[same], tensor)
    weights = [member.state_dict()["head.weight"] for member in members(three["discriminator"])]
    assert len(weights) == 3
    assert not any(torch.equal(first, second) for first, second in pairwise(weights))


def test_an_architecture_without_a_discriminator_is_still_the_one_that_is_named(
    tmp_path: Path,
) -> None:
    config = untrained("vae", "adversarial", ImageSpec(1, 16, 16), {}, source="test")
    part = config.objective.model_copy(update={"config": {"discriminators": 2}})
    config = config.model_copy(update={"objective": part})
    with pytest.raises(ConfigError, match="needs the role 'discriminator'"):
        genzoo.train(config, tmp_path, device="cpu", progress=False)


def test_members_are_compiled_each_by_itself() -> None:
    group = Members([nn.Linear(2, 2), nn.Linear(2, 2)])
    group.compile()
    assert all(member._compiled_call_impl is not None for member in group)


# --- Spectral normalization: Miyato et al. 2018


def normalized_layers(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if hasattr(module, "parametrizations")]


def largest_singular_value(layer: nn.Module) -> float:
    weight = layer.get_parameter("parametrizations.weight.original")
    transposed = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
    normalized = layer.eval().weight
    assert isinstance(normalized, Tensor)
    assert normalized.shape == weight.shape
    outputs_first = normalized.detach().transpose(0, 1) if transposed else normalized.detach()
    return torch.linalg.matrix_norm(outputs_first.flatten(1), 2).item()


def trained(
    config: ZooConfig, side: int = SIDE, *, autocast: bool = False, lr: float = 1e-3
) -> nn.ModuleDict:
    """Return networks after 40 steps of Adam, of both phases."""
    networks, adversarial = built(config).train(), build_objective(config)
    optimizers = {
        phase.name: torch.optim.Adam(
            [p for role in phase.trains for p in networks[role].parameters()], lr=lr
        )
        for phase in adversarial.phases
    }
    for step in range(40):
        for phase in adversarial.phases:
            for role, network in networks.items():
                network.requires_grad_(role in phase.trains)
            batch = make_batch(step, side=side)
            if config.classes is not None:
                labels = torch.arange(BATCH) % config.classes
                batch = Batch(batch.images, labels, batch.noise)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                loss, _ = adversarial.loss(phase.name, networks, batch, step)
            networks.zero_grad()
            torch.autograd.backward(loss)
            optimizers[phase.name].step()
    return networks


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", sorted(SMALL))
def test_after_training_the_largest_singular_value_of_every_normalized_weight_is_one(
    architecture: str, autocast: bool
) -> None:
    side = {"mlp-gan": SIDE}.get(architecture, 8)
    config = zoo(architecture, side, classes=3, spectral_norm="both", penalties={"r1": 0.1})
    networks = trained(config, side, autocast=autocast)
    for role, network in networks.items():
        layers = normalized_layers(network)
        expected = [
            module
            for module in built(zoo(architecture, side, classes=3))[role].modules()
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding)
        ]
        assert len(layers) == len(expected) > 0
        for layer in layers:
            # Power iteration follows the weights, a little behind.
            assert largest_singular_value(layer) == pytest.approx(1, abs=0.05), (role, layer)


def test_a_fully_connected_discriminator_is_lipschitz_with_constant_one() -> None:
    def steepest(config: ZooConfig) -> float:
        discriminator = trained(config, lr=1e-2)["discriminator"].eval()
        images = torch.randn(500, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
        images.requires_grad_()
        (slopes,) = torch.autograd.grad(discriminator(images, None).sum(), images)
        return slopes.flatten(1).norm(dim=1).max().item()

    settings = {"loss": "wasserstein"}  # which makes the slope as steep as it may be
    assert steepest(zoo(**settings)) > 2
    assert 0.5 < steepest(zoo(**settings, spectral_norm="discriminator")) < 1.02


def test_the_generator_is_normalized_only_where_both_are_asked_for() -> None:
    for chosen, roles in (
        ("none", set()),
        ("discriminator", {"discriminator"}),
        ("both", {"discriminator", "generator"}),
    ):
        networks = built(zoo(spectral_norm=chosen))
        assert {role for role in networks if normalized_layers(networks[role])} == roles


def test_penalties_differentiate_through_the_norm() -> None:
    """Against differences: the gradient of the penalty by the weight before the division."""
    networks = built(zoo(spectral_norm="discriminator")).double().eval()
    adversarial = objective(penalties={"r1": 1.0})
    weight = networks["discriminator"].get_parameter(
        "hidden.0.linear.parametrizations.weight.original"
    )

    def penalty() -> Tensor:
        batch = make_batch(dtype=torch.float64)
        loss, _ = adversarial.loss("discriminator", networks, batch, 0)
        return loss - losses["non-saturating"].discriminator(
            networks["discriminator"](batch.images, None),
            networks["discriminator"](_fakes(networks), None),
        )

    (gradient,) = torch.autograd.grad(penalty(), weight)
    direction = torch.randn(weight.shape, dtype=torch.float64, generator=_SEEDED)
    values = []
    for change in (1e-5, -1e-5):
        with torch.no_grad():
            weight.add_(change * direction)
        values.append(penalty().item())
        with torch.no_grad():
            weight.sub_(change * direction)
    slope = (gradient * direction).sum().item()
    assert slope == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)
    assert abs(slope) > 1e-4


_SEEDED = torch.Generator().manual_seed(0)


def _fakes(networks: nn.ModuleDict) -> Tensor:
    noise = make_batch(dtype=torch.float64).noise
    images: Tensor = networks["generator"](noise.normal(LATENT).double(), None)
    return images.detach()


def test_a_weight_that_the_architecture_makes_itself_is_left_to_it() -> None:
    layers = nn.Sequential(weight_norm(nn.Linear(3, 4)), nn.Linear(4, 2))
    before = layers[0].weight.clone()
    normalize_spectrally(layers, "discriminator")
    normalize_spectrally(layers, "discriminator")  # nor is one that is normalized already
    assert torch.equal(layers[0].weight, before)
    assert len(layers[1].parametrizations.weight) == 1


class Equalized(nn.Module):
    """A linear layer of one's own, as StyleGAN has it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight / self.weight.shape[1] ** 0.5, self.bias)


class Raw(nn.Module):
    """A network of bare parameters, by names of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(3, 4))
        self.second = nn.Parameter(torch.randn(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.first).relu() @ self.second


def assembled(network: nn.Module, role: str = "discriminator", **config: Any) -> nn.Module:
    """Return what the objective makes of a network when asked for spectral normalization."""
    settings = {"spectral_norm": "both", **config}
    return objective(**settings).assemble(lambda: {role: network})[role]


@pytest.mark.parametrize(
    ("network", "named"),
    [
        (lambda: nn.Sequential(nn.Linear(3, 4), Equalized(4, 2)), ("1.weight", "Equalized")),
        (lambda: nn.GRU(3, 4), ("weight_ih_l0, weight_hh_l0", "GRU")),
        (lambda: nn.Sequential(nn.Linear(3, 3), nn.Bilinear(3, 3, 2)), ("1.weight", "Bilinear")),
        (Raw, ("first, second", "Raw")),
        (lambda: nn.LSTM(3, 4, num_layers=3), ("weight_ih_l1 and 3 more", "LSTM")),
    ],
    ids=["a layer of one's own", "GRU", "Bilinear", "bare parameters", "many"],
)
@pytest.mark.parametrize("role", ["discriminator", "generator"])
def test_a_weight_that_cannot_be_normalized_is_named(
    role: str, network: Callable[[], nn.Module], named: tuple[str, str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        assembled(network(), role)
    weights, layer = named
    assert "objective.config.spectral_norm cannot normalize" in caught.value.message
    assert f"{weights} of the {role}" in caught.value.message
    assert layer in caught.value.message
    assert "torch.nn.utils.parametrizations.spectral_norm" in caught.value.hint
    assert normalized_layers(assembled(network(), role, spectral_norm="none")) == []


class Positioned(nn.Module):
    """A linear layer on tokens that know their places, and a norm of all of them together."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(1, 5, 4))
        self.norm = nn.LayerNorm((5, 4))
        self.layer = nn.Linear(4, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.layer(self.norm(tokens + self.places))


def test_what_is_added_and_not_multiplied_by_is_named_in_a_warning_and_left_as_it_is() -> None:
    network = Positioned()
    before = network.places.clone()
    with pytest.warns(UserWarning, match="leaves places of the discriminator as they are"):
        assert normalized_layers(assembled(network)) == [network.layer]
    assert torch.equal(network.places, before)


@pytest.mark.parametrize("architecture", ["mlp-gan", "dcgan"])
def test_networks_that_are_normalized_as_a_whole_warn_of_nothing(
    architecture: str, recwarn: pytest.WarningsRecorder
) -> None:
    built(zoo(architecture, 8, classes=3, spectral_norm="both", discriminators=2))
    assert not recwarn.list


@pytest.mark.parametrize("normalize", [nn.utils.spectral_norm, nn.utils.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_a_layer_of_ones_own_that_is_normalized_already_is_accepted(normalize: Any) -> None:
    network = nn.Sequential(normalize(Equalized(3, 4)), weight_norm(Equalized(4, 2)))
    names = list(network.state_dict())
    assert list(assembled(network).state_dict()) == names


def test_a_model_is_loaded_and_sketched_whatever_it_was_trained_with() -> None:
    with torch.device("meta"):
        network = nn.Sequential(nn.Linear(3, 4), Equalized(4, 2))
    assert len(normalized_layers(assembled(network))) == 1


@pytest.mark.parametrize("sizes", [{}, {"kdim": 3, "vdim": 5}], ids=["one width", "three widths"])
def test_all_projections_of_attention_are_normalized(sizes: dict[str, int]) -> None:
    attention = nn.MultiheadAttention(4, 2, batch_first=True, **sizes)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.mul_(7).add_(1)
    assembled(attention)
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(2, 6, width, generator=generator)
        for width in (4, sizes.get("kdim", 4), sizes.get("vdim", 4))
    )
    for _ in range(30):  # each a step of power iteration
        attention(query, key, value)
    attention.eval()
    names = ["q_proj_weight", "k_proj_weight", "v_proj_weight"] if sizes else ["in_proj_weight"]
    for weight in (*(getattr(attention, name) for name in names), attention.out_proj.weight):
        assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=0.01)
    with torch.no_grad():
        quick, _ = attention(query, key, value, need_weights=False)
    slow, _ = attention(query, key, value)
    torch.testing.assert_close(quick, slow)


def test_a_normalized_generator_is_averaged_saved_and_loaded(tmp_path: Path) -> None:
    config = zoo(side=8, classes=10, spectral_norm="both", discriminators=2)
    training = validate(
        type(config.training), {"steps": 30, "batch_size": 8, "ema": {"decay": 0.9}}, source="test"
    )
    config = config.model_copy(update={"training": training})
    model = genzoo.train(config, tmp_path, device="cpu", progress=False)
    for layer in normalized_layers(model.networks["generator"]):
        assert largest_singular_value(layer) == pytest.approx(1, abs=0.02)
    loaded = genzoo.load(tmp_path / "weights.safetensors", device="cpu")
    assert torch.equal(loaded.sample(4, seed=0), model.sample(4, seed=0))


# --- All of them at once

ALL: Mapping[str, Any] = {
    "label_smoothing": 0.1,
    "instance_noise": 0.1,
    "instance_noise_steps": 100,
    "discriminators": 2,
    "discriminator_focus": 0.5,
    "spectral_norm": "both",
    "penalties": {"r1": 0.1, "r2": 0.1, "wgan_gp": 0.1, "every": 2},
    "augmentation": {"colour": 1.0, "translation": 0.125, "cutout": 0.25},
}


def test_networks_with_every_tool_pass_the_conformance_kit() -> None:
    bench = Bench([Specimen(zoo(side=8, classes=3, **ALL))])
    outcomes = list(run_all((*NETWORKS.checks, *MODELS.checks), bench, "every tool"))
    assert [str(outcome) for outcome in outcomes if outcome.status != "passed"] == []


# --- The accuracy that is logged


@pytest.mark.parametrize(
    ("real", "fake", "share"),
    [
        ([1.0, 2.0], [0.0, 1.0], 1.0),
        ([0.0, 1.0], [1.0, 2.0], 0.0),
        ([1.0, 0.0, 5.0, 2.0], [0.0, 1.0, -5.0, 1.0], 0.75),
        ([1.0, 1.0], [1.0, 0.0], 0.75),
        ([3.0, 3.0], [3.0, 3.0], 0.5),
    ],
)
def test_accuracy_is_the_share_of_pairs_in_order_and_ties_count_half(
    real: list[float], fake: list[float], share: float
) -> None:
    assert accuracy(torch.tensor(real), torch.tensor(fake)).item() == share


def test_the_discriminator_phase_logs_its_accuracy() -> None:
    networks = built(zoo())
    _, logs = objective().loss("discriminator", networks, make_batch(), 0)
    noise = make_batch().noise
    fake = networks["generator"](noise.normal(LATENT), None)
    pairs = zip(
        networks["discriminator"](make_batch().images, None).tolist(),
        networks["discriminator"](fake, None).tolist(),
        strict=True,
    )
    assert logs["accuracy"].item() == pytest.approx(sum(r > f for r, f in pairs) / BATCH)
    assert not logs["accuracy"].requires_grad


# --- The document


def test_every_key_that_the_document_names_is_one() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    named = {key for row in rows for key in re.findall("`([a-z0-9_.]+)`", row.split(" | ")[0])}
    objective_keys, training_keys = (
        {field["name"] for field in field_rows(config)} | set(config.model_fields)
        for config in (AdversarialConfig, TrainingConfig)
    )
    assert named <= objective_keys | training_keys
    # And the other way round: there is no key of the objective that it does not explain.
    leaves = {field["name"] for field in field_rows(AdversarialConfig)}
    assert leaves <= named


def test_the_example_of_the_document_is_a_config() -> None:
    (block,) = re.findall("```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    data = yamlfile.parse(block, source=str(DOCUMENT))
    validate(AdversarialConfig, data["objective"]["config"], source=str(DOCUMENT))
    training = validate(TrainingConfig, data["training"], source=str(DOCUMENT))
    assert training.pauses
    assert training.resets
