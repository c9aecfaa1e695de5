"""From a name, a file, a run folder or a zoo config to a Model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genzoo.building import (
    build_networks,
    build_objective,
    complete,
    drawing_settings,
    sketch_networks,
)
from genzoo.devices import find_device
from genzoo.errors import (
    ConfigError,
    UnknownNameError,
    UnsupportedError,
    WeightsError,
)
from genzoo.model import Model
from genzoo.objectives.base import Objective
from genzoo.registry.catalog import find, lookup, unavailable
from genzoo.registry.config import ZooConfig, apply_overrides, read_config, zoo_config
from genzoo.registry.discovery import registry
from genzoo.registry.specs import ImageSpec
from genzoo.weights import format as weights_format
from genzoo.weights.sources import locate

__all__ = ["WEIGHTS", "create", "load", "run_weights", "untrained"]

WEIGHTS = "weights.safetensors"
"""The file of a run folder, and of each of its checkpoints, that holds the networks that sample."""


def load(
    name_or_path: str | os.PathLike[str],
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    objective: Mapping[str, Any] | None = None,
) -> Model:
    """Return a trained model, in eval mode.

    By its name in the zoo, or from a weights file, a run folder or a zoo config's YAML file. A name
    comes before a folder of the same name: that is `./name`. `device` None takes the GPU where
    there is one. `objective` replaces settings of the model's objective by name: those of how
    images are drawn, such as a number of steps, for the weights stay as they are. Raises
    UnknownNameError, ConfigError, WeightsError, DeviceError, or UnsupportedError for a `dtype` that
    is not of floating point.
    """
    where = find_device(device)
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise UnsupportedError(
            f"a model cannot be {dtype!r}.", hint="Use torch.float32, torch.bfloat16 or the like."
        )
    return _open(name_or_path, objective or {}).to(where, dtype).eval()


def _open(name_or_path: str | os.PathLike[str], changes: Mapping[str, Any]) -> Model:
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and (entry := lookup(name_or_path)):
        return _from_zoo(entry.config, entry.path, changes)
    if path.suffix in (".yaml", ".yml"):
        return _from_zoo(read_config(path), path, changes)
    # Unlike Path's, os.path's tests are False where one may not look.
    if name_or_path != "" and os.path.isdir(path):
        return _from_file(run_weights(path), changes)
    if os.path.isfile(path) or path.suffix == ".safetensors":
        return _from_file(path, changes)
    if path.parent != Path():
        raise UnknownNameError(
            f"there is no file or folder {path}.",
            hint="Give the name of a model, a weights file or the folder of a run.",
        )
    entry = find(str(name_or_path))
    return _from_zoo(entry.config, entry.path, changes)


def create(
    architecture: str,
    image: tuple[int, int, int] | ImageSpec = (1, 28, 28),
    classes: int | None = None,
    **config: Any,
) -> Model:
    """Return an untrained model of an architecture, all its roles included.

    `image` is (C, H, W), or an ImageSpec, whose own classes hold unless `classes` is given.
    `config` goes to the architecture. The weights come from torch's global generator. Raises
    UnknownNameError, ConfigError, or UnsupportedError for images that the architecture can't do.
    """
    known = registry().architecture(architecture)
    if isinstance(image, ImageSpec):
        classes = image.classes if classes is None else classes
        image = (image.channels, image.height, image.width)
    if len(image) != 3:
        raise ConfigError(
            f"create({architecture!r}): image is {image!r}.",
            hint="Give channels, height and width, as in (1, 28, 28).",
        )
    channels, height, width = image
    spec = ImageSpec(channels, height, width, classes)
    source = f"create({architecture!r})"
    zoo = untrained(architecture, known.objective, spec, config, source=source)
    objective = build_objective(zoo)
    return Model(zoo, nn.ModuleDict(build_networks(zoo, objective)), objective).eval()


def untrained(
    architecture: str, objective: str, image: ImageSpec, config: Mapping[str, Any], *, source: str
) -> ZooConfig:
    """Return the zoo config of a model that nobody has trained; `source` is what errors name."""
    data = {
        "name": architecture,
        "image": {"channels": image.channels, "height": image.height, "width": image.width},
        "classes": image.classes,
        "architecture": {"name": architecture, "config": config},
        "objective": {"name": objective},
        "dataset": {"name": "digits"},
        "training": {"steps": 1000},
        "card": {
            "summary": "untrained",
            "licence": "none",
            "dataset_licence": "none",
            "intended_use": "training",
        },
    }
    return zoo_config(data, source=source)


def run_weights(folder: Path) -> Path:
    """Return the weights file of a run folder: the final one, or that of the newest checkpoint."""
    final = folder / WEIGHTS
    checkpoints = sorted(folder.glob(f"checkpoints/step-*/{WEIGHTS}"))
    for file in (final, *reversed(checkpoints)):
        if os.path.isfile(file):
            return file
    raise WeightsError(
        f"{folder} is not the folder of a training run: it has no weights yet.",
        hint="Give the folder that `genzoo train` wrote to, after its first checkpoint.",
    )


def _from_zoo(config: ZooConfig, path: Path, changes: Mapping[str, Any]) -> Model:
    if problem := unavailable(config, path):
        what, fix = problem
        known = registry()
        installed = (
            config.architecture.name in known.architectures
            and config.objective.name in known.objectives
        )
        error = WeightsError if installed else UnknownNameError
        raise error(f"{config.name} cannot be loaded: {what}.", hint=fix)
    assert config.weights is not None  # `unavailable` has said so otherwise
    file = locate(config.weights, beside=path)
    tensors, _ = weights_format.read(file, sha256=config.weights.sha256)
    return _assemble(config, tensors, file, config.weights.sha256, changes)


def _from_file(path: Path, changes: Mapping[str, Any]) -> Model:
    tensors, header = weights_format.read(path)
    config = zoo_config(header.get("config") or {}, source=f"the metadata of {path}")
    return _assemble(config, tensors, path, weights_format.file_sha256(path), changes)


def _assemble(
    config: ZooConfig,
    tensors: Mapping[str, Tensor],
    path: Path,
    sha256: str,
    changes: Mapping[str, Any],
) -> Model:
    if changes:
        config = _changed(complete(config), changes)
    objective = build_objective(config)
    networks = _sampling_networks(config, objective)
    state = {k: v for k, v in tensors.items() if not k.startswith("objective.")}
    own = {k.removeprefix("objective."): v for k, v in tensors.items() if k not in state}
    for module, part in ((networks, state), (objective, own)):
        _fits(module, part, path)
        module.load_state_dict(part, strict=True, assign=True)
    model = Model(config, networks, objective)
    model.sha256 = sha256
    model.changes = dict(changes)
    return model


def _changed(config: ZooConfig, changes: Mapping[str, Any]) -> ZooConfig:
    source = f"load({config.name!r}, objective={dict(changes)!r})"
    free = drawing_settings(config)
    if fixed := sorted(changes.keys() & config.objective.config.keys() - free):
        raise ConfigError(
            f"{source}: {fixed[0]} decides how a model is trained, not how it is drawn from.",
            hint=f"Of {config.objective.name}, these can be set: {', '.join(sorted(free)) or '-'}.",
        )
    paths = {f"objective.config.{name}": value for name, value in changes.items()}
    data = config.model_dump(mode="json", exclude_unset=True)
    return zoo_config(apply_overrides(data, paths, source=source), source=source)


def _sampling_networks(config: ZooConfig, objective: Objective) -> nn.ModuleDict:
    networks = _choose(sketch_networks(config, objective), config, objective)
    if not any(map(_holds_more_than_its_state, networks.modules())):
        return networks  # the file replaces all that it has
    with torch.random.fork_rng(devices=[]):
        return _choose(build_networks(config, objective), config, objective)


def _choose(
    built: Mapping[str, nn.Module], config: ZooConfig, objective: Objective
) -> nn.ModuleDict:
    if missing := sorted(objective.sampling_roles - built.keys()):
        raise ConfigError(
            f"{config.source}: objective {config.objective.name!r} samples by the role "
            f"{missing[0]!r}, architecture {config.architecture.name!r} builds "
            f"{', '.join(sorted(built))}.",
            hint="Choose an objective and an architecture that go together.",
        )
    return nn.ModuleDict({role: built[role] for role in sorted(objective.sampling_roles)})


def _holds_more_than_its_state(module: nn.Module) -> bool:
    """Whether a module has tensors that no weights file fills: they need a build with values."""
    return bool(module._non_persistent_buffers_set) or any(
        isinstance(value, Tensor) for value in vars(module).values()
    )


def _fits(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    expected = module.state_dict()
    common = expected.keys() & tensors.keys()
    # A model may be stored in another floating point type as a whole, but not in parts.
    uniform = len({t.dtype for t in tensors.values() if t.is_floating_point()}) == 1
    problems = [
        *(f"missing {name}" for name in expected.keys() - tensors.keys()),
        *(f"unexpected {name}" for name in tensors.keys() - expected.keys()),
        *(
            f"{name} has shape {list(tensors[name].shape)}, not {list(expected[name].shape)}"
            for name in common
            if tensors[name].shape != expected[name].shape
        ),
        *(
            f"{name} has type {tensors[name].dtype}, not {expected[name].dtype}"
            for name in common
            if tensors[name].dtype != expected[name].dtype
            and not (uniform and _floating(tensors[name], expected[name]))
        ),
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise WeightsError(
            f"{path} does not fit its networks: {'; '.join(sorted(problems)[:3])}{more}.",
            hint="Install the version of the plugin that wrote it, or get the weights anew.",
        )


def _floating(*tensors: Tensor) -> bool:
    return all(tensor.is_floating_point() for tensor in tensors)
