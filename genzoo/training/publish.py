"""From a finished run to a model of the zoo: one command, so that no card is typed by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from genzoo.building import complete
from genzoo.errors import ConfigError, TrainingError
from genzoo.files import write_text
from genzoo.loading import load
from genzoo.registry import yamlfile
from genzoo.registry.catalog import find, local_file
from genzoo.registry.config import TrainedConfig, WeightsConfig, ZooConfig, read_config
from genzoo.registry.schema import validate
from genzoo.weights.format import file_sha256

__all__ = ["publish"]

_DESCRIBES = ("card", "requires", "aliases")
"""What may differ between the run and the YAML file: none of it changes what was trained."""


def publish(
    run: str | os.PathLike[str],
    config: str | os.PathLike[str] | None = None,
    weights_uri: str | None = None,
) -> list[Path]:
    """Put a finished run's weights and record where the zoo reads them; return the files written.

    The weights go to `weights_uri`, else to where the YAML file says already, else beside it as
    NAME.safetensors; `weights` and `trained` are set in the YAML file, and the rest of it is kept.
    `config` is the YAML file, that of the installed model of the run's name unless given. Raises
    TrainingError for an unfinished run, ConfigError where the run was trained by another recipe.
    """
    folder = Path(run)
    recipe = complete(read_config(folder / "config.yaml"))
    source = folder / "weights.safetensors"
    path = Path(config) if config is not None else find(recipe.name).path
    target = complete(read_config(path))
    _check_same(recipe, target, path)
    trained = _trained(folder, recipe)
    model = load(source, device="cpu")  # verifies the file, and that it fits its networks

    uri = weights_uri or (target.weights.uri if target.weights else f"{target.name}.safetensors")
    home = _home(uri, path)
    model.config = target  # the file's metadata is to carry the card as it stands now
    model.save(home)
    weights = WeightsConfig(
        uri=uri,
        sha256=file_sha256(home),
        size=home.stat().st_size,
        parameters=sum(p.numel() for p in model.networks.parameters()),
    )
    blocks = {"weights": weights.model_dump(), "trained": trained.model_dump()}
    write_text(path, yamlfile.replace_keys(path.read_text(encoding="utf-8"), blocks))
    return [home, path]


def _check_same(run: ZooConfig, target: ZooConfig, path: Path) -> None:
    ours, theirs = run.recipe(), target.recipe()
    different = [key for key in ours if key not in _DESCRIBES and ours[key] != theirs[key]]
    if different:
        raise ConfigError(
            f"the run was trained by another recipe than {path} states: "
            f"{_show(different[0], ours)} in the run, {_show(different[0], theirs)} in the file.",
            hint="Train by the file as it is, or set the file back to what was trained.",
        )


def _show(key: str, recipe: dict[str, Any]) -> str:
    return f"{key}: {json.dumps(recipe[key])}"


def _trained(folder: Path, recipe: ZooConfig) -> TrainedConfig:
    record = folder / "trained.json"
    try:
        data = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise TrainingError(
            f"{folder} is not a finished run: it has no readable trained.json.",
            hint=f"Finish it: genzoo train {recipe.name} --output {folder} --resume",
        ) from None
    return validate(TrainedConfig, data, source=str(record))


def _home(uri: str, path: Path) -> Path:
    home = local_file(uri, path)
    if home is not None:
        return home
    if uri.startswith("pkg://"):
        raise ConfigError(
            f"the package of {uri} is not installed.", hint="Install it, editable, and try again."
        )
    raise ConfigError(
        f"cannot write to {uri}.",
        hint="Publish to a pkg:// place or a path beside the YAML file, and upload that.",
    )
