"""A loss, a gradient or a weight that is not finite stops the run, and is never saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

import genzoo
from genzoo.errors import TrainingError
from genzoo.registry.config import ZooConfig
from genzoo.training.callbacks import Callback, Run

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]


class Ends(Callback):
    """Counts the ends that it is told of."""

    count = 0

    def on_end(self, run: Run) -> None:
        self.count += 1


def assert_last_good(raised: TrainingError, folder: Path, step: int) -> None:
    """Check that the error names the checkpoint of `step`, and that it is the newest and whole."""
    last = folder / "checkpoints" / f"step-{step:08d}"
    assert str(last) in raised.hint
    assert max(folder.glob("checkpoints/*")) == last
    assert not (folder / "weights.safetensors").exists()
    tensors = [*load_file(last / "training.safetensors").items()]
    assert [k for k, v in tensors if "mask" not in k and not v.isfinite().all()] == []
    assert genzoo.load(folder, device="cpu").sample(4, seed=0).isfinite().all()


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("trouble", "message", "last"),
    [
        ({"nan_at": 8}, "the loss of the phase 'generator' at step 8 is not finite", 6),
        ({"nan_at": 7}, "the loss of the phase 'generator' at step 7 is not finite", 6),
        ({"nan_at": 6}, "the loss of the phase 'generator' at step 6 is not finite", 3),
        ({"infinite_gradient_at": 8}, "the loss of the phase 'discriminator' at step 9", 6),
        ({"infinite_gradient_at": 6}, "the training state after step 6 is not finite", 3),
        ({"infinite_gradient_at": 20}, "the training state after step 20 is not finite", 18),
        (
            {"infinite_gradient_at": 8, "interrupt_at": 8},
            "the training state after step 8 is not finite",
            6,
        ),
    ],
)
def test_what_is_not_finite_stops_the_run_and_is_not_saved(
    trouble: dict[str, int], message: str, last: int, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    ends = Ends()
    config = recipe("toy", training__checkpoint_every=3, objective__config=trouble)
    with pytest.raises(TrainingError, match=message) as raised:
        train(config, tmp_path, ends)
    assert_last_good(raised.value, tmp_path, last)
    assert "learning rate" in raised.value.hint
    assert ends.count == 1


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("clip_norm", [None, 1.0])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_no_optimizer_hides_an_infinite_gradient(
    optimizer: str, clip_norm: float | None, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    config = recipe(
        "toy",
        training__steps=5,
        training__optimizer={"name": optimizer},
        training__clip_norm=clip_norm,
        objective__config={"infinite_gradient_at": 5},
    )
    with pytest.raises(TrainingError, match="training state after step 5"):
        train(config, tmp_path)


@pytest.mark.usefixtures("toy")
def test_without_a_checkpoint_the_error_says_so(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    with pytest.raises(TrainingError, match="at step 2") as raised:
        train(recipe("toy", objective__config={"nan_at": 2}), tmp_path)
    assert "No checkpoint was saved" in raised.value.hint


@pytest.mark.parametrize("architecture", ["mlp-gan", "vae"])
def test_a_learning_rate_that_is_far_too_large_ends_in_a_clear_error(
    architecture: str, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    config = recipe(
        architecture, training__optimizer={"name": "sgd", "lr": 1e20}, training__schedule={}
    )
    with pytest.raises(TrainingError, match="not finite"):
        train(config, tmp_path)
