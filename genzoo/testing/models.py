"""Checks of models: what they draw, and whether they survive being saved, trained and resumed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genzoo.errors import GenzooError, WeightsError
from genzoo.loading import load
from genzoo.registry.config import ZooConfig
from genzoo.testing.bench import Bench, stir
from genzoo.testing.checks import Failed, Suite
from genzoo.testing.specimens import Specimen
from genzoo.training import checkpoint
from genzoo.training.trainer import Trainer
from genzoo.training.watching import Watchers
from genzoo.weights import format as weights_format

__all__ = ["MODELS", "check_samples", "trained"]

MODELS: Suite[Bench] = Suite()

_BATCH = 4


@MODELS.check(
    "samples",
    "images of the shape promised are drawn, in [-1, 1], a row for each row of the noise",
    mend="Let the objective's `sample` return (N, C, H, W) in [-1, 1], N = len(noise).",
    needs=("shapes", "finite", "range"),
)
def _samples(bench: Bench) -> None:
    for specimen in bench.specimens:
        model, batch = specimen.model(), specimen.batch()
        images = model.objective.sample(model.networks, batch.noise, batch.labels)
        check_samples(specimen, images)
    for specimen in bench.few:
        model, batch = specimen.model(loud=True), specimen.batch()
        try:
            images = model.objective.sample(model.networks, batch.noise, batch.labels)
        except (RuntimeError, ValueError):
            continue  # such weights may overflow
        check_samples(specimen, images.nan_to_num(nan=0.0))


@MODELS.check(
    "seeds",
    "image i depends on the seed and on i alone: not on how many there are, nor on the batch size",
    mend="Draw all randomness from the `noise` that `sample` is given, and none from torch's.",
    needs=("samples", "images-apart", "inputs-matter"),
)
def _seeds(bench: Bench) -> None:
    for specimen in bench.few:
        model = specimen.model()
        stir(0)
        images = model.sample(_BATCH, seed=0)
        stir(1)
        one_by_one = model.sample(_BATCH - 1, seed=0, batch_size=1)
        if not torch.allclose(one_by_one, images[:-1], rtol=0, atol=1e-4):
            raise Failed(f"for {specimen}, images of one seed change with the batch they are in")
        if torch.allclose(model.sample(_BATCH, seed=1), images):
            raise Failed(f"for {specimen}, every seed gives the same images")


@MODELS.check(
    "round-trip",
    "saved and loaded, a model has the same weights and draws the same images, bit for bit",
    mend="Keep what decides a network's answers in its config, its parameters and its buffers.",
    needs=("seeds", "reproducible", "eval-changes-nothing"),
)
def _round_trip(bench: Bench) -> None:
    for specimen in bench.few:
        model = specimen.model()
        images = model.sample(2, seed=0)
        with _weights(specimen) as path:
            stir(1)
            loaded = load(path, device="cpu")
        state = loaded.networks.state_dict()
        for name, tensor in model.networks.state_dict().items():
            role = name.partition(".")[0]
            if role in model.objective.sampling_roles and not torch.equal(state[name], tensor):
                raise Failed(f"for {specimen}, {name!r} is another once loaded")
        if not torch.equal(loaded.sample(2, seed=0), images):
            raise Failed(f"for {specimen}, the model draws other images once loaded")


@MODELS.check(
    "strict-load",
    "a weights file that lacks a tensor, or has one too many, is refused",
    mend="Do not override load_state_dict or its hooks so that it takes what does not fit.",
    needs=("round-trip",),
)
def _strict_load(bench: Bench) -> None:
    specimen = bench.few[-1]
    with _weights(specimen) as path:
        tensors, header = weights_format.read(path)
        first = min(tensors)
        fewer = {name: tensor for name, tensor in tensors.items() if name != first}
        more = {**tensors, f"{first}.more": torch.zeros(1)}
        for wrong, what in ((fewer, f"lacks {first!r}"), (more, f"has {first + '.more'!r}")):
            weights_format.write(path, wrong, header)
            try:
                load(path, device="cpu")
            except WeightsError:
                continue
            raise Failed(f"for {specimen}, a weights file that {what} is loaded")


@MODELS.check(
    "training",
    "two steps under its objective leave finite weights, others than before",
    mend="Lower the scale of initial weights; see that each loss reaches the networks it trains.",
    needs=("range", "gradients"),
)
def _training(bench: Bench) -> None:
    for specimen in bench.few:
        before = specimen.networks(seed=0).state_dict()
        after, _ = _two_steps(bench, specimen)
        for role in sorted(specimen.objective.roles):
            names = [name for name in before if name.startswith(f"{role}.")]
            moved = [n for n in names if not torch.equal(after[f"networks.{n}"], before[n])]
            if names and not moved and specimen.trains(role):
                raise Failed(f"for {specimen}, training leaves {role} as it was")


@MODELS.check(
    "resume",
    "a run that is stopped and resumed ends with the same weights, bit for bit",
    mend="Keep state in buffers, the objective's too, or derive it from `step`; draw from `noise`.",
    needs=("training",),
)
def _resume(bench: Bench) -> None:
    for specimen in bench.few:
        whole, folder = _two_steps(bench, specimen)
        del bench.runs[str(specimen)]  # what is left of it is no whole run
        with folder as one, tempfile.TemporaryDirectory() as two:
            first = Path(one) / "checkpoints" / "step-00000001"
            target = Path(two) / "checkpoints"
            target.mkdir()
            first.rename(target / first.name)
            stir(1)
            resumed = trained(specimen, Path(two), steps=2, resume=True)
        for name, tensor in whole.items():
            if not torch.equal(resumed[name], tensor):
                raise Failed(f"for {specimen}, {name!r} is another in a resumed run")


def _two_steps(
    bench: Bench, specimen: Specimen
) -> tuple[Mapping[str, Tensor], tempfile.TemporaryDirectory[str]]:
    """Return a run of two steps, its last tensors and its folder: for several checks one run."""
    if str(specimen) not in bench.runs:
        folder = tempfile.TemporaryDirectory()
        bench.runs[str(specimen)] = trained(specimen, Path(folder.name), steps=2), folder
    return bench.runs[str(specimen)]


def check_samples(specimen: Specimen, images: Tensor) -> None:
    """Raise Failed where a batch's samples are not images (B, C, H, W) in [-1, 1]."""
    expected = tuple(specimen.batch().images.shape)
    if tuple(images.shape) != expected:
        raise Failed(f"for {specimen}, samples have shape {tuple(images.shape)}, not {expected}")
    if not bool(images.isfinite().all()):
        raise Failed(f"for {specimen}, samples are not finite")
    least, most = images.min().item(), images.max().item()
    if least < -1 or most > 1:
        raise Failed(f"for {specimen}, samples go from {least:.3g} to {most:.3g}, not in [-1, 1]")


def trained(
    specimen: Specimen,
    folder: Path,
    *,
    steps: int,
    resume: bool = False,
    watchers: Watchers | None = None,
) -> dict[str, Tensor]:
    """Train on random images, on the CPU, and return the last checkpoint's tensors."""
    config = _short(specimen.config, steps)
    trainer = Trainer(config, specimen.dataset(), folder, device="cpu", watchers=watchers)
    if resume:
        trainer.resume()
    with torch.random.fork_rng(devices=[]):
        trainer.run()
    found, _ = checkpoint.newest_whole(folder / "checkpoints")
    if found is None:
        raise GenzooError("training wrote no checkpoint.")
    return dict(found.tensors)


def _short(config: ZooConfig, steps: int) -> ZooConfig:
    changes: dict[str, Any] = {
        "steps": steps,
        "batch_size": _BATCH,
        "checkpoint_every": 1,
        "keep": 2,
        "workers": 0,
        "precision": "fp32",
        "accumulate": 1,
        "compile": False,
    }
    return config.model_copy(update={"training": config.training.model_copy(update=changes)})


@contextmanager
def _weights(specimen: Specimen) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield specimen.model().save(Path(folder) / "model.safetensors")
