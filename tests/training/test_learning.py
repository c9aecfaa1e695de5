"""What a training config can do to a step: clip, rest, start anew, and save memory or time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import genzoo
from genzoo.errors import ConfigError, UnsupportedError
from genzoo.registry.config import ZooConfig
from genzoo.training.callbacks import Callback, Run
from genzoo.training.engine import Engine

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]
State = Callable[[Path], dict[str, Tensor]]
Vector = NDArray[np.float64]

RATE = 0.05
CONSTANT = {
    "training__optimizer": {"name": "sgd", "lr": RATE},
    "training__schedule": {"name": "constant"},
}


class Record(Callback):
    """Keeps all figures, by step."""

    def __init__(self) -> None:
        self.figures: dict[int, Mapping[str, float]] = {}

    def on_figures(self, run: Run, figures: Mapping[str, float]) -> None:
        self.figures[run.step] = figures


def by_hand(
    steps: int,
    clip: Callable[[Vector], Vector] = lambda gradient: gradient,
    rests: range = range(0),
    renewed: tuple[int, ...] = (),
) -> tuple[Vector, Vector]:
    """Train the toy's vectors: g in every step, d but where it rests, g anew at steps `renewed`."""
    g, d = (start * np.linspace(0.5, 1.5, 64) for start in (1.0, -0.5))
    for step in range(steps):
        if step in renewed:
            g = np.linspace(0.5, 1.5, 64)
        if step not in rests:
            d = d - RATE * clip(d + g)
        g = g - RATE * clip(g - 2 * d)
    return g, d


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("settings", "tools"),
    [
        ({"clip_value": 0.3}, {"clip": lambda gradient: np.clip(gradient, -0.3, 0.3)}),
        ({"pauses": [{"phase": "discriminator", "start": 3, "stop": 6}]}, {"rests": range(3, 6)}),
        ({"resets": [{"role": "generator", "every": 4}]}, {"renewed": (4, 8)}),
    ],
)
def test_training_follows_the_equations(
    settings: dict[str, Any],
    tools: dict[str, Any],
    tmp_path: Path,
    recipe: Recipe,
    train: Train,
    state: State,
) -> None:
    changes = {f"training__{key}": value for key, value in settings.items()}
    train(recipe("toy", training__steps=10, **CONSTANT, **changes), tmp_path)
    found = state(tmp_path)
    for role, vector in zip(("generator", "discriminator"), by_hand(10, **tools), strict=True):
        weight = found[f"training.safetensors:networks.{role}.weight"].double()
        np.testing.assert_allclose(weight, vector, rtol=2e-5)
    plain = by_hand(10)
    assert not np.allclose(plain[0], by_hand(10, **tools)[0], rtol=1e-3)  # it matters


@pytest.mark.usefixtures("toy")
def test_an_optimizer_that_starts_anew_has_forgotten_its_momentum(
    tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    reset = {"role": "discriminator", "every": 3, "what": "optimizer"}
    optimizer = {"name": "sgd", "lr": RATE, "momentum": 0.9}
    config = recipe(
        "toy",
        training__steps=4,
        training__resets=[reset],
        training__schedule={},
        training__optimizer=optimizer,
    )
    train(config, tmp_path)
    g, d = (start * np.linspace(0.5, 1.5, 64) for start in (1.0, -0.5))
    speed_g = speed_d = np.zeros(64)
    for step in range(4):
        speed_d = (0.0 if step == 3 else 0.9) * speed_d + (d + g)
        d = d - RATE * speed_d
        speed_g = 0.9 * speed_g + (g - 2 * d)
        g = g - RATE * speed_g
    for role, vector in (("generator", g), ("discriminator", d)):
        weight = state(tmp_path)[f"training.safetensors:networks.{role}.weight"].double()
        np.testing.assert_allclose(weight, vector, rtol=2e-5)


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd"])
def test_one_of_the_networks_of_a_phase_can_start_anew(
    name: str, tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    """With it the optimizer forgets what it knew of that network, and of that alone."""
    momentum = {"momentum": 0.9} if name in ("rmsprop", "sgd") else {}
    same = {
        "training__steps": 4,
        "training__optimizer": {"name": name, "lr": 1e-3, **momentum},
        "training__schedule": {"name": "constant"},
    }
    resets = [{"role": "decoder", "every": 3, "what": "optimizer"}]
    train(recipe("vae", **same, training__resets=resets), tmp_path / "reset")
    train(recipe("vae", **same), tmp_path / "plain")
    plain, reset = state(tmp_path / "plain"), state(tmp_path / "reset")
    networks = {name.split(":networks.")[1] for name in plain if ":networks." in name}
    moved = {
        name.partition(".")[0]
        for name in networks
        if not torch.equal(
            *(each[f"training.safetensors:networks.{name}"] for each in (plain, reset))
        )
    }
    assert moved == {"decoder"}


def test_a_network_that_starts_anew_has_weights_that_nobody_has_trained(
    tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    """And others each time."""
    reset = {"role": "discriminator", "every": 2}
    still = {"training__pauses": [{"phase": "discriminator", "start": 0, "stop": 9}]}
    found = []
    for steps in (2, 4, 6):
        config = recipe(training__steps=steps, training__resets=[reset], **CONSTANT, **still)
        train(config, tmp_path / str(steps))
        whole = state(tmp_path / str(steps))
        found.append({k: t for k, t in whole.items() if ":networks.discriminator." in k})
    names = [name for name in found[0] if name.endswith("weight") and found[0][name].ndim > 1]
    assert names
    for name in names:
        first, second, third = (tensors[name] for tensors in found)
        assert not torch.equal(first, second)
        assert not torch.equal(second, third)
        assert second.std().item() == pytest.approx(first.std().item(), rel=0.5)


@pytest.mark.parametrize("architecture", ["mlp-gan", "vae", "pixel-transformer", "transformer-gan"])
def test_a_batch_in_parts_gives_the_gradients_of_the_whole(
    architecture: str, tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    for parts in (1, 4):
        slow = {**CONSTANT, "training__optimizer": {"name": "sgd", "lr": 1e-3}}
        config = recipe(architecture, training__steps=4, training__accumulate=parts, **slow)
        train(config, tmp_path / str(parts))
    whole, parted = state(tmp_path / "1"), state(tmp_path / "4")
    assert whole.keys() == parted.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(parted[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        (
            {"pauses": [{"phase": "critic", "start": 0, "stop": 1}]},
            "training.pauses.0.phase: critic: the objective has no such phase",
            "discriminator, generator",
        ),
        (
            {"resets": [{"role": "decoder", "every": 5}]},
            "training.resets.0.role: decoder: the objective has no such role",
            "discriminator, generator",
        ),
        ({"pauses": [{"phase": "generator", "start": 4, "stop": 4}]}, "must come after start", ""),
        ({"accumulate": 3}, "batch_size 8 cannot be cut into 3 parts", "multiple of 3"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_step(
    settings: dict[str, Any],
    message: str,
    hint: str,
    tmp_path: Path,
    recipe: Recipe,
    train: Train,
) -> None:
    with pytest.raises(ConfigError) as raised:
        train(recipe(**{f"training__{k}": v for k, v in settings.items()}), tmp_path / "run")
    assert message in raised.value.message
    assert hint in raised.value.hint
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("clip_norm", [None, 1e-3])
def test_figures_have_the_norm_of_each_gradient_and_the_learning_rate(
    clip_norm: float | None, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    """The norm before it is clipped, at the phase's last step before the figures."""
    record = Record()
    config = recipe(
        "toy",
        objective__config__every=3,
        training__steps=10,
        training__log_every=4,
        training__clip_norm=clip_norm,
        training__optimizer={"name": "sgd", "lr": 0.0001},
        training__schedule={"name": "cosine", "warmup_steps": 20},
    )
    train(config, tmp_path, record)
    assert list(record.figures) == [4, 8, 10]
    start = np.linalg.norm(np.linspace(0.5, 1.5, 64))
    for step, last_g in ((4, 3), (8, 6), (10, 9)):
        figures = record.figures[step]
        assert figures["discriminator/grad_norm"] == pytest.approx(0.5 * start, rel=0.01)
        assert figures["generator/grad_norm"] == pytest.approx(2 * start, rel=0.01)
        assert figures["discriminator/lr"] == pytest.approx(0.0001 * step / 20)
        assert figures["generator/lr"] == pytest.approx(0.0001 * last_g / 20)


def test_a_phase_that_rests_tells_of_its_last_step_before_that(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    record = Record()
    pauses = [{"phase": "discriminator", "start": 3, "stop": 8}]
    train(recipe(training__steps=12, training__pauses=pauses, **CONSTANT), tmp_path, record)
    told = {step: "discriminator/grad_norm" in f for step, f in record.figures.items()}
    assert told == {4: True, 8: False, 12: True}
    assert all("generator/grad_norm" in figures for figures in record.figures.values())


def test_fp16_trains_in_float16_on_weights_in_float32(
    tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    train(recipe(training__steps=3, training__precision="fp16", **CONSTANT), tmp_path / "fp16")
    train(recipe(training__steps=3, **CONSTANT), tmp_path / "fp32")
    half, full = state(tmp_path / "fp16"), state(tmp_path / "fp32")
    weights = [name for name in full if name.startswith("training.safetensors:networks.")]
    assert weights
    assert all(half[name].dtype == torch.float32 for name in weights)
    for name in weights:
        torch.testing.assert_close(half[name], full[name], rtol=0.1, atol=2e-2, msg=name)
    assert any(not torch.equal(half[name], full[name]) for name in weights)


@pytest.mark.usefixtures("toy")
def test_fp16_skips_a_step_that_overflows_and_halves_its_scale(
    tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    """The very first one, when the momentum is not there yet."""
    config = recipe(
        "toy",
        objective__config__infinite_gradient_at=1,
        training__steps=3,
        training__precision="fp16",
        training__optimizer={"name": "sgd", "lr": RATE, "momentum": 0.9},
        training__schedule={"name": "constant"},
    )
    train(config, tmp_path)
    g, d = (start * np.linspace(0.5, 1.5, 64) for start in (1.0, -0.5))
    speed_g = speed_d = np.zeros(64)
    for step in range(3):
        speed_d = 0.9 * speed_d + (d + g)
        d = d - RATE * speed_d
        if step > 0:
            speed_g = 0.9 * speed_g + (g - 2 * d)
            g = g - RATE * speed_g
    found = state(tmp_path)
    for role, vector in (("generator", g), ("discriminator", d)):
        weight = found[f"training.safetensors:networks.{role}.weight"].double()
        np.testing.assert_allclose(weight, vector, rtol=1e-3)
    assert found["training.safetensors:scaler.generator.scale"].item() == 2.0**15
    assert found["training.safetensors:scaler.discriminator.scale"].item() == 2.0**16


@pytest.mark.parametrize("architecture", ["mlp-gan", "dcgan"])
def test_channels_last_trains_the_same_but_for_rounding(
    architecture: str, tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    for last in (False, True):
        config = recipe(architecture, training__steps=4, training__channels_last=last, **CONSTANT)
        train(config, tmp_path / str(last))
    plain, found = state(tmp_path / "False"), state(tmp_path / "True")
    for name, tensor in plain.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_channels_last_lays_out_images_and_convolutions(recipe: Recipe) -> None:
    engine = Engine("cpu", recipe(training__channels_last=True).training)
    placed = engine.place(nn.ModuleDict({"generator": nn.Conv2d(8, 8, 3)}))
    weight = placed["generator"].get_parameter("weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)
    images = engine.lay_out(torch.zeros(2, 3, 8, 8))
    assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.fixture
def fresh_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.usefixtures("fresh_compiler")
def test_compiled_networks_train_the_same_but_for_rounding(
    tmp_path: Path, recipe: Recipe, train: Train, state: State
) -> None:
    for compiled in (False, True):
        config = recipe(training__steps=4, training__compile=compiled, **CONSTANT)
        train(config, tmp_path / str(compiled))
    plain, found = state(tmp_path / "False"), state(tmp_path / "True")
    assert plain.keys() == found.keys()
    for name, tensor in plain.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.usefixtures("fresh_compiler")
def test_without_a_compiler_the_error_says_what_to_do(
    tmp_path: Path, recipe: Recipe, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (str(tmp_path / "no-such-compiler"),))
    with pytest.raises(UnsupportedError, match=r"torch\.compile does not work here") as raised:
        train(recipe(training__compile=True), tmp_path / "run")
    assert "training.compile" in raised.value.hint
