"""What a step computes, checked against the same by hand in float64."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

import genzoo
from genzoo.errors import ConfigError
from genzoo.registry.config import ZooConfig
from genzoo.training.callbacks import Callback, Run

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]
State = Callable[[Path], dict[str, Tensor]]
Vector = NDArray[np.float64]

STEPS = 12
RATE = 0.05


class Record(Callback):
    """Keeps all figures, by step."""

    def __init__(self) -> None:
        self.figures: dict[int, Mapping[str, float]] = {}

    def on_figures(self, run: Run, figures: Mapping[str, float]) -> None:
        self.figures[run.step] = figures


def factor(step: int) -> float:
    """Return a warm-up of 3 steps, then half a cosine to 0.1."""
    if step < 3:
        return (step + 1) / 3
    return 0.1 + 0.9 * (1 + math.cos(math.pi * (step - 3) / (STEPS - 3))) / 2


def clipped(gradient: Vector, norm: float | None) -> Vector:
    if norm is None:
        return gradient
    return gradient * min(1.0, norm / float(np.linalg.norm(gradient)))


def by_hand(
    every: int, clip_norm: float | None, ema: Mapping[str, Any] | None
) -> dict[str, Vector]:
    """Train the toy's vectors by stochastic gradient descent; return them and g's average."""
    g, d = (start * np.linspace(0.5, 1.5, 64) for start in (1.0, -0.5))
    average = g
    for step in range(STEPS):
        d = d - RATE * factor(step) * clipped(d + g, clip_norm)
        if (step + 1) % every == 0:
            g = g - RATE * factor(step) * clipped(g - 2 * d, clip_norm)
        decay = 0.0
        if ema is not None and step > 0:
            decay = min(ema["decay"], (1 + step) / (10 + step)) if ema["rampup"] else ema["decay"]
        average = decay * average + (1 - decay) * g
    return {"g": g, "d": d, "average": average}


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("every", "clip_norm", "ema"),
    [
        (1, None, None),
        (1, None, {"decay": 0.9, "rampup": True}),
        (1, None, {"decay": 0.9, "rampup": False}),
        (3, None, {"decay": 0.9, "rampup": True}),
        (1, 0.5, {"decay": 0.9, "rampup": True}),
        (2, 1e6, {"decay": 0.9, "rampup": True}),
    ],
)
def test_training_follows_the_equations(
    every: int,
    clip_norm: float | None,
    ema: dict[str, Any] | None,
    tmp_path: Path,
    recipe: Recipe,
    train: Train,
    state: State,
) -> None:
    config = recipe(
        "toy",
        objective__config__every=every,
        training__steps=STEPS,
        training__optimizer={"name": "sgd", "lr": RATE},
        training__schedule={"name": "cosine", "warmup_steps": 3, "final": 0.1},
        training__clip_norm=clip_norm,
        training__ema=ema,
    )
    train(config, tmp_path)
    found, expected = state(tmp_path), by_hand(every, clip_norm, ema)
    for name, vector in (
        ("training.safetensors:networks.generator.weight", expected["g"]),
        ("training.safetensors:networks.discriminator.weight", expected["d"]),
        ("weights.safetensors:generator.weight", expected["average"]),
    ):
        np.testing.assert_allclose(found[name].double(), vector, rtol=2e-5, err_msg=name)


@pytest.mark.usefixtures("toy")
def test_a_phase_differentiates_its_own_networks_alone(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    record = Record()
    config = recipe("toy", training__steps=4, training__log_every=1, objective__config__every=2)
    train(config, tmp_path, record)
    expected = {
        "discriminator/discriminator_learns": 1.0,
        "discriminator/generator_learns": 0.0,
        "generator/discriminator_learns": 0.0,
        "generator/generator_learns": 1.0,
    }
    for step, figures in record.figures.items():
        learns = {name: value for name, value in figures.items() if name.endswith("learns")}
        due = step % 2 == 0
        assert learns == {k: v for k, v in expected.items() if due or k[0] == "d"}, step


@pytest.mark.usefixtures("toy")
def test_each_phase_has_the_optimizer_named_for_it(
    tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    config = recipe(
        "toy",
        training__steps=1,
        training__schedule={},
        training__optimizer={"name": "sgd", "lr": RATE},
        training__optimizers={"discriminator": {"name": "adam", "lr": 0.25}},
    )
    train(config, tmp_path)
    found = state(tmp_path)
    g, d = (start * np.linspace(0.5, 1.5, 64) for start in (1.0, -0.5))
    d = d - 0.25 * np.sign(d + g)  # Adam's first step is as long as its rate
    g = g - RATE * (g - 2 * d)
    for role, vector in (("discriminator", d), ("generator", g)):
        weight = found[f"training.safetensors:networks.{role}.weight"]
        np.testing.assert_allclose(weight.double(), vector, rtol=1e-5)


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(("precision", "autocast"), [("fp32", 0.0), ("bf16", 1.0)])
def test_losses_are_computed_in_the_precision_asked_for(
    precision: str, autocast: float, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    record = Record()
    train(recipe("toy", training__steps=1, training__precision=precision), tmp_path, record)
    assert record.figures[1]["generator/autocast"] == autocast


def test_bf16_keeps_weights_and_penalties_in_float32(
    tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    first = {}
    for precision in ("fp32", "bf16"):
        record = Record()
        config = recipe(training__steps=2, training__log_every=1, training__precision=precision)
        train(config, tmp_path / precision, record)
        first[precision] = record.figures[1]
    floats = [t for t in state(tmp_path / "bf16").values() if t.is_floating_point()]
    assert {tensor.dtype for tensor in floats} == {torch.float32}
    penalty, logits = (
        [first[p][f"discriminator/{name}"] for p in ("fp32", "bf16")]
        for name in ("r1", "real_logits")
    )
    assert penalty[1] == pytest.approx(penalty[0], rel=1e-5)
    assert logits[1] != pytest.approx(logits[0], rel=1e-5)  # these are of bfloat16 layers
    assert logits[1] == pytest.approx(logits[0], rel=0.1)


@pytest.mark.parametrize(
    "architecture", ["mlp-gan", "dcgan", "vae", "pixel-transformer", "transformer-gan"]
)
def test_training_moves_every_weight(
    architecture: str, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    # Not the relativistic loss, which gives the bias of the logits no gradient.
    config = recipe(architecture, training__steps=8, training__checkpoint_every=4)
    if config.objective.name == "adversarial":
        config.objective.config["loss"] = "non-saturating"
    train(config, tmp_path)
    before, after = (
        load_file(tmp_path / "checkpoints" / f"step-{step:08d}" / "training.safetensors")
        for step in (4, 8)
    )
    weights = [n for n in before if n.startswith("networks.") and before[n].is_floating_point()]
    assert weights
    assert [name for name in weights if torch.equal(before[name], after[name])] == []


def test_training_lowers_a_loss_that_can_be_lowered(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    record = Record()
    config = recipe("vae", training__optimizer={"name": "adam", "lr": 1e-2})
    train(config, tmp_path, record)
    assert record.figures[20]["elbo/loss"] < 0.95 * record.figures[4]["elbo/loss"]


def test_two_runs_in_one_process_give_the_same_weights(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    config = recipe("dcgan", training__steps=4)
    for name in ("first", "second"):
        torch.rand(3)  # what the caller draws between them is its own affair
        train(config, tmp_path / name)
    first, second = (tmp_path / name / "weights.safetensors" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_another_seed_gives_other_weights(
    tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    for seed in (0, 1):
        train(recipe(training__steps=1, training__seed=seed), tmp_path / str(seed))
    name = "weights.safetensors:generator.to_image.weight"
    assert not torch.equal(*(state(tmp_path / str(seed))[name] for seed in (0, 1)))


def test_the_callers_random_numbers_are_left_alone(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    config = recipe(training__steps=3, architecture__config__dropout=0.5)
    before = (torch.get_rng_state(), random.getstate(), repr(np.random.get_state()))
    train(config, tmp_path)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), repr(np.random.get_state())) == before[1:]


def test_the_model_is_in_eval_mode_and_draws_what_the_saved_one_draws(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    for ema in (None, {"decay": 0.5}):
        folder = tmp_path / str(ema)
        model = train(recipe("dcgan", training__steps=3, training__ema=ema), folder)
        assert not any(module.training for module in model.modules())
        loaded = genzoo.load(folder, device="cpu")
        assert torch.equal(loaded.sample(4, seed=1), model.sample(4, seed=1))


@pytest.mark.parametrize("ema", [None, {"decay": 0.9}])
def test_callbacks_see_a_model_in_eval_mode_and_training_goes_on_in_train_mode(
    ema: dict[str, Any] | None, tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    seen: list[bool] = []

    class Look(Callback):
        def on_step(self, run: Run) -> None:
            seen.extend(module.training for module in run.model.networks.modules())

    config = recipe("dcgan", training__steps=5, training__ema=ema)
    train(config, tmp_path / "watched", Look())
    assert seen
    assert not any(seen)
    counts = [v for k, v in state(tmp_path / "watched").items() if k.endswith("batches_tracked")]
    # Two forwards a step, one a phase, each counted by BatchNorm in train mode alone.
    assert {int(count) for count in counts} == {10}


def test_an_objective_whose_roles_are_not_there_is_refused(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    config = recipe("mlp-gan", objective={"name": "variational"})
    with pytest.raises(ConfigError, match="'decoder'") as raised:
        train(config, tmp_path / "run")
    assert raised.value.hint
    assert not (tmp_path / "run").exists()


def test_an_optimizer_for_a_phase_that_is_not_there_is_refused(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    config = recipe(training__optimizers={"elbo": {"name": "adam"}})
    with pytest.raises(ConfigError, match=r"training\.optimizers\.elbo") as raised:
        train(config, tmp_path / "run")
    assert "discriminator, generator" in raised.value.hint
    assert not (tmp_path / "run").exists()
