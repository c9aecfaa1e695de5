"""From a finished run to a model of the zoo: one command, so that no card is typed by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

from genzoo.building import complete, drawing_settings
from genzoo.errors import ConfigError, TrainingError
from genzoo.files import check_writable, file_sha256, write_text
from genzoo.loading import WEIGHTS, load
from genzoo.registry import yamlfile
from genzoo.registry.catalog import find, local_file
from genzoo.registry.config import TrainedConfig, WeightsConfig, ZooConfig, read_config
from genzoo.registry.schema import validate
from genzoo.training.api import flat
from genzoo.training.run_folder import CONFIG, RECORD

__all__ = ["publish"]

_DESCRIBES = ("card", "requires", "aliases")
"""What may differ between the run and the YAML file, as drawing settings may: what was trained is
the same."""


def publish(
    run: str | os.PathLike[str],
    config: str | os.PathLike[str] | None = None,
    weights_uri: str | None = None,
) -> list[Path]:
    """Put a finished run's weights and record where the zoo reads them; return the files written.

    The weights go to `weights_uri`, else to where the YAML file says already, else beside it as
    NAME.safetensors; `weights` and `trained` are set in the YAML file, and the rest of it is kept.
    `config` is the YAML file, that of the installed model of the run's name unless given. Raises
    TrainingError for an unfinished run, ConfigError where the run was trained by another recipe,
    OutputError where either file cannot be written.
    """
    folder = Path(run)
    recipe = complete(read_config(folder / CONFIG))
    path = Path(config) if config is not None else find(recipe.name).path
    target = complete(read_config(path))
    _check_same(recipe, target, f"than {path} states")
    trained = _trained(folder, recipe)
    model = load(folder / WEIGHTS, device="cpu")  # verifies the file, and that it fits its networks
    _check_same(recipe, complete(model.config), f"than {folder / WEIGHTS} was")

    uri = weights_uri or (target.weights.uri if target.weights else f"{target.name}.safetensors")
    home = _home(uri, path)
    text = path.read_text(encoding="utf-8")
    yamlfile.replace_keys(text, {"weights": {}, "trained": {}})  # refuses what it cannot edit
    for written in (home, path):  # else new weights might stand beside a card of the old
        check_writable(written)
    model.config = target  # the file's metadata is to carry the card as it stands now
    model.save(home)
    weights = WeightsConfig(
        uri=uri,
        sha256=file_sha256(home),
        size=home.stat().st_size,
        parameters=sum(p.numel() for p in model.networks.parameters()),
    )
    # As JSON has it, where every key is a text: others are refused when the file is read.
    facts = trained.model_dump(mode="json")
    blocks = {"weights": weights.model_dump(), "trained": facts}
    write_text(path, yamlfile.replace_keys(text, blocks))
    return [home, path]


def _check_same(run: ZooConfig, other: ZooConfig, what: str) -> None:
    ours, theirs = (dict(flat(config.recipe())) for config in (run, other))
    free = {f"objective.config.{name}" for name in drawing_settings(other)}
    for key in sorted((ours.keys() | theirs.keys()) - free):
        if ours.get(key) != theirs.get(key) and key.partition(".")[0] not in _DESCRIBES:
            raise ConfigError(
                f"the run was trained by another recipe {what}: {key} is "
                f"{json.dumps(ours.get(key))} in the run, {json.dumps(theirs.get(key))} there.",
                hint="Train by the file as it is, or set the file back to what was trained.",
            )


def _trained(folder: Path, recipe: ZooConfig) -> TrainedConfig:
    record = folder / RECORD
    finish = f"Finish it: genzoo train {recipe.name} --output {folder} --resume"
    try:
        data = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise TrainingError(
            f"{folder} is not a finished run: it has no readable {RECORD}.",
            hint=finish,
        ) from None
    trained = validate(TrainedConfig, data, source=str(record))
    if trained.steps != recipe.training.steps:
        raise TrainingError(
            f"{folder} has done {trained.steps} of {recipe.training.steps} steps.", hint=finish
        )
    return trained


def _home(uri: str, path: Path) -> Path:
    home = local_file(uri, path)
    if "://" in uri and not uri.startswith(("pkg://", "file://")):
        raise ConfigError(
            f"cannot write to {uri}.",
            hint="Publish to a pkg:// place or a path beside the YAML file, and upload that.",
        )
    if home is None:
        raise ConfigError(
            f"the package of {uri} is not installed.", hint="Install it, editable, and try again."
        )
    if home.suffix != ".safetensors":
        raise ConfigError(
            f"weights cannot be called {home.name}.", hint="Give a name that ends in .safetensors."
        )
    return home
