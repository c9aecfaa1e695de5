"""From a name, a file, a run folder or a zoo config to a Model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genzoo.building import build_networks, build_objective
from genzoo.errors import DeviceError, UnknownNameError, WeightsError
from genzoo.model import Model
from genzoo.registry.catalog import find, unavailable
from genzoo.registry.config import ZooConfig, read_config
from genzoo.registry.discovery import registry
from genzoo.registry.schema import validate
from genzoo.registry.specs import ImageSpec
from genzoo.weights import format as weights_format
from genzoo.weights.sources import locate

__all__ = ["create", "find_device", "load", "run_weights"]


def load(
    name_or_path: str | os.PathLike[str],
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Model:
    """Return a trained model by name, or from a weights file, a run folder or a zoo config's YAML file.

    `device` None takes the GPU where there is one. Raises UnknownNameError, WeightsError or DeviceError.
    """
    where = find_device(device)
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        model = _from_zoo(read_config(path), path)
    elif path.is_dir():
        model = _from_file(run_weights(path))
    elif path.is_file() or path.suffix == ".safetensors":
        model = _from_file(path)
    elif path.parent != Path():
        raise UnknownNameError(
            f"there is no file or folder {path}.",
            hint="Give the name of a model, a weights file or the folder of a run.",
        )
    else:
        entry = find(str(name_or_path))
        model = _from_zoo(entry.config, entry.path)
    return model.to(where, dtype).eval()


def create(
    architecture: str,
    image: tuple[int, int, int] | ImageSpec = (1, 28, 28),
    classes: int | None = None,
    **config: Any,
) -> Model:
    """Return an untrained model of an architecture, all its roles included.

    `image` is (C, H, W); `config` goes to the architecture. The weights come from torch's global generator.
    """
    spec = image if isinstance(image, ImageSpec) else ImageSpec(*image, classes=classes)
    known = registry().architecture(architecture)
    data = {
        "name": architecture,
        "image": {"channels": spec.channels, "height": spec.height, "width": spec.width},
        "classes": spec.classes,
        "architecture": {"name": architecture, "config": config},
        "objective": {"name": known.objective},
        "dataset": {"name": "digits"},
        "training": {"steps": 1000},
        "card": {
            "summary": "untrained",
            "licence": "none",
            "dataset_licence": "none",
            "intended_use": "training",
        },
    }
    zoo = validate(ZooConfig, data, source=f"create({architecture!r})")
    return Model(zoo, nn.ModuleDict(build_networks(zoo)), build_objective(zoo)).eval()


def run_weights(folder: Path) -> Path:
    """Return the weights file of a run folder: the final one, or that of the newest checkpoint."""
    final = folder / "weights.safetensors"
    checkpoints = sorted(folder.glob("checkpoints/step-*/weights.safetensors"))
    for file in (final, *reversed(checkpoints)):
        if file.is_file():
            return file
    raise WeightsError(
        f"{folder} is not the folder of a training run: it has no weights yet.",
        hint="Give the folder that `genzoo train` wrote to, after its first checkpoint.",
    )


def _from_zoo(config: ZooConfig, path: Path) -> Model:
    if problem := unavailable(config):
        what, fix = problem
        raise UnknownNameError(f"{config.name} cannot be loaded: {what}.", hint=fix)
    assert config.weights is not None  # `unavailable` has said so otherwise
    file = locate(config.weights, beside=path)
    tensors, _ = weights_format.read(file, sha256=config.weights.sha256)
    return _assemble(config, tensors, file, config.weights.sha256)


def _from_file(path: Path) -> Model:
    tensors, header = weights_format.read(path)
    config = validate(ZooConfig, header.get("config") or {}, source=f"the metadata of {path}")
    return _assemble(config, tensors, path, weights_format.file_sha256(path))


def _assemble(config: ZooConfig, tensors: Mapping[str, Tensor], path: Path, sha256: str) -> Model:
    objective = build_objective(config)
    with torch.device("meta"):  # nothing is initialized that the file replaces anyway
        built = build_networks(config)
    networks = nn.ModuleDict({role: built[role] for role in sorted(objective.sampling_roles)})
    state = {k: v for k, v in tensors.items() if not k.startswith("objective.")}
    own = {k.removeprefix("objective."): v for k, v in tensors.items() if k not in state}
    for module, part in ((networks, state), (objective, own)):
        _fits(module, part, path)
        module.load_state_dict(part, strict=True, assign=True)
    model = Model(config, networks, objective)
    model.sha256 = sha256
    return model


def _fits(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    expected = module.state_dict()
    problems = [
        *(f"missing {name}" for name in expected.keys() - tensors.keys()),
        *(f"unexpected {name}" for name in tensors.keys() - expected.keys()),
        *(
            f"{name} has shape {list(tensors[name].shape)}, not {list(expected[name].shape)}"
            for name in expected.keys() & tensors.keys()
            if tensors[name].shape != expected[name].shape
        ),
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise WeightsError(
            f"{path} does not fit its networks: {'; '.join(sorted(problems)[:3])}{more}.",
            hint="Install the version of the plugin that wrote it, or get the weights anew.",
        )


def find_device(device: str | torch.device | None) -> torch.device:
    """Return a device that works here; None takes the GPU where there is one, else the CPU."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        wanted = torch.device(device)
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise DeviceError(
            f"cannot use the device {str(device)!r}: {reason}",
            hint="Use 'cpu', or 'cuda' where there is a GPU.",
        ) from None
    return wanted
