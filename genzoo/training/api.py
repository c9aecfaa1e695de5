"""`genzoo.train`: from a name or a YAML file to a run folder and a model."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from genzoo._version import __version__
from genzoo.building import (
    build_objective,
    check_roles,
    complete,
    drawing_settings,
    sketch_networks,
)
from genzoo.data.load import load_dataset
from genzoo.devices import find_device
from genzoo.errors import ConfigError, OutputError
from genzoo.files import write_text
from genzoo.loading import WEIGHTS
from genzoo.model import Model
from genzoo.processes import join
from genzoo.registry import yamlfile
from genzoo.registry.catalog import find, lookup
from genzoo.registry.config import (
    TrainedConfig,
    ZooConfig,
    apply_overrides,
    read_config,
    zoo_config,
)
from genzoo.training.callbacks import Callback
from genzoo.training.evaluations import Evaluations, fid_ratio_by_step
from genzoo.training.lock import locked
from genzoo.training.optimization import check_names
from genzoo.training.run_folder import (
    ANIMATION,
    CHECKPOINTS,
    CONFIG,
    LINES,
    PREVIEWS,
    RECORD,
    checkpoints,
)
from genzoo.training.trainer import Trainer
from genzoo.training.watching import Watchers, chosen

__all__ = ["flat", "resolve_config", "train"]

# What may differ between a run and its continuation: nothing that decides what a step computes.
_MAY_CHANGE = (
    "training.log_every",
    "training.preview_every",
    "training.checkpoint_every",
    "training.keep",
    "training.workers",
    "card",
    "aliases",
    "requires",
)
_LEFTOVERS = (
    *(f".{name}.*" for name in (CONFIG, *LINES, ANIMATION, WEIGHTS, RECORD)),
    *(f"{name}/.step-*" for name in (PREVIEWS, CHECKPOINTS)),
)


def train(
    config_or_name: str | os.PathLike[str] | ZooConfig,
    output: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    data: str | os.PathLike[str] | None = None,
    device: str | None = None,
    progress: bool = True,
    tensorboard: bool = False,
    evaluate_every: int | None = None,
    callbacks: Sequence[Callback | str] = (),
    without: Sequence[str] = (),
    **overrides: Any,
) -> Model:
    """Train a zoo config, by name or from a YAML file, and return the model, in eval mode.

    `output` is the run folder, runs/NAME unless given. `resume` goes on from its newest checkpoint;
    the weights are then the same, bit for bit, as if the run had never stopped. `data` is the
    folder of datasets. Every `evaluate_every` steps FID goes into evaluations.jsonl. `callbacks`
    are called after those that plugins bring; a name among them asks for one that is off by
    default, and `without` are names of those to do without. `overrides` are settings by dotted
    path, as in `**{"training.steps": 100}`. Raises Interrupted (a KeyboardInterrupt) on SIGINT or
    SIGTERM, and a GenzooError otherwise.
    """
    everyone = join(device)
    # Every device by name: without, torch warns where there are several.
    devices = range(torch.cuda.device_count())
    with contextlib.ExitStack() as held, torch.random.fork_rng(devices=devices):
        with everyone.together():
            config = complete(resolve_config(config_or_name, overrides))
            folder = Path(output) if output is not None else Path("runs") / config.name
            if everyone.is_main:
                _check_folder(folder, config, resume)
            _check_parts(config, device)
            root = Path(data) if data is not None else None
            dataset = load_dataset(config, "train", root)
            wanted = [c for c in callbacks if isinstance(c, str)]
            wanted += ["tensorboard"] if tensorboard else []
            by_hook = chosen(wanted, [*without, *([] if progress else ["progress"])])
            watchers = None
            if everyone.is_main:
                own: list[Callback] = [c for c in callbacks if not isinstance(c, str)]
                if evaluate_every is not None:
                    own.insert(0, Evaluations(folder, config, evaluate_every, root))
                watchers = Watchers(by_hook, own)
            trainer = Trainer(
                config,
                dataset,
                folder,
                device=device,
                watchers=watchers,
                evaluate_every=evaluate_every,
            )
            if everyone.is_main:
                held.enter_context(locked(folder))
                _check_folder(folder, config, resume)  # again: another may have begun meanwhile
        return _run(trainer, resume)


def _run(trainer: Trainer, resume: bool) -> Model:
    """Train in the run folder, from its first file to its last."""
    folder, everyone = trainer.state.folder, trainer.engine.all
    if resume and not trainer.resume() and everyone.is_main:
        print(f"genzoo: nothing to resume in {folder}: starting at step 0.", file=sys.stderr)
    with everyone.together():
        if everyone.is_main:
            _sweep(folder)
            if trainer.state.step < trainer.state.steps:
                for name in (RECORD, WEIGHTS):  # of a shorter run: they would pass for this one's
                    (folder / name).unlink(missing_ok=True)
            write_text(folder / CONFIG, yamlfile.dump(trainer.config.recipe()))
    model = trainer.run()
    if everyone.is_main:
        model.save(folder / WEIGHTS)
        if not (folder / RECORD).exists():  # a finished run, resumed, has done nothing new
            record = _record(trainer).model_dump(mode="json")
            write_text(folder / RECORD, json.dumps(record, indent=2) + "\n")
    return model


def resolve_config(
    config_or_name: str | os.PathLike[str] | ZooConfig, overrides: Mapping[str, Any]
) -> ZooConfig:
    """Return the zoo config of that name or in that YAML file, values at dotted paths replaced."""
    if isinstance(config_or_name, ZooConfig):
        plain = config_or_name.model_dump(mode="json")
        source = config_or_name.source
        return zoo_config(apply_overrides(plain, overrides, source=source), source=source)
    path, name = Path(config_or_name), str(config_or_name)
    if lookup(name) is None and (path.suffix in (".yaml", ".yml") or os.path.isfile(path)):
        return read_config(path, overrides)
    return read_config(find(name).path, overrides)


def _check_parts(config: ZooConfig, device: str | None) -> None:
    """Raise what is wrong with networks, objective or device before any data is fetched."""
    find_device(device)
    objective = build_objective(config)
    check_roles(config, sketch_networks(config, objective), objective)
    check_names(config.training, objective.phases)


def _check_folder(folder: Path, config: ZooConfig, resume: bool) -> None:
    held = folder / CONFIG
    begun = os.path.exists(held)  # unlike Path's, it is False where one may not look
    if not begun and os.path.isdir(folder) and checkpoints(folder):
        raise OutputError(
            f"{folder} holds checkpoints of a run, but not its {CONFIG}.",
            hint="Put that file back, or choose another folder with --output.",
        )
    if not resume:
        if begun:
            raise OutputError(
                f"{folder} holds a training run already.",
                hint="Go on with it by --resume, or choose another folder with --output.",
            )
        return
    if not begun:
        return  # nothing to go on from yet: a run that was killed at once starts again
    # Any other schedule spreads itself over all steps.
    steps = ("training.steps",) if config.training.schedule.name == "constant" else ()
    drawing = (f"objective.config.{name}" for name in drawing_settings(config))
    may_change = (*_MAY_CHANGE, *steps, *drawing)
    before, now = (dict(flat(c.recipe())) for c in (complete(read_config(held)), config))
    changed = [
        key
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
        and not any(key == free or key.startswith(f"{free}.") for free in may_change)
    ]
    if changed:
        key = changed[0]
        raise ConfigError(
            f"cannot resume {folder}: {key} was {before.get(key)!r}, it is now {now.get(key)!r}.",
            hint="Resume with the settings that the run was started with, or start another run.",
        )


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of nested maps with its dotted path."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _sweep(folder: Path) -> None:
    """Delete what a kill left half written, or half deleted."""
    for leftover in (path for pattern in _LEFTOVERS for path in folder.glob(pattern)):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                leftover.unlink()


def _record(trainer: Trainer) -> TrainedConfig:
    state, settings = trainer.state, trainer.config.training
    return TrainedConfig(
        steps=state.step,
        images=state.step * settings.batch_size,
        seconds=round(state.seconds, 1),
        machine="; ".join(trainer.machines),
        processes=trainer.engine.all.count,
        date=time.strftime("%Y-%m-%d"),
        genzoo=__version__,
        torch=torch.__version__,
        fid_ratio_by_step=fid_ratio_by_step(state.folder),
    )
