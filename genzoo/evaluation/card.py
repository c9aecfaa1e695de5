"""From an evaluation to a card: one command, so that no figure is typed by hand."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from genzoo.errors import ConfigError, UnsupportedError
from genzoo.evaluation.evaluate import Evaluation
from genzoo.evaluation.features import made_for
from genzoo.evaluation.protocol import CARD_IMPORTANCE_SAMPLES, SAMPLES
from genzoo.files import check_writable, write_text
from genzoo.registry import yamlfile
from genzoo.registry.catalog import find, lookup
from genzoo.registry.config import EvaluatedConfig, ZooConfig, read_config

__all__ = ["CARD_OPTIONS", "card_of", "check_protocol", "write_card"]

CARD_OPTIONS: Mapping[str, Any] = MappingProxyType(
    {"importance_samples": CARD_IMPORTANCE_SAMPLES, "likelihood_images": None}
)
"""What `evaluate` is told for a card, whose likelihood is of all images of the test split."""

_DIGITS = 6  # significant ones: more would only show which machine it was


def card_of(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the zoo config that holds the card of a model, which must be writable.

    Raises UnknownNameError, ConfigError for a run folder or a weights file, which have none, and
    OutputError.
    """
    entry, path = lookup(str(name_or_path)), Path(name_or_path)
    if entry is None and not path.suffix and path.parent == Path() and not path.exists():
        entry = find(str(name_or_path))  # raises, and says what it may have been meant to be
    path = entry.path if entry else path
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(
            f"{name_or_path} has no card to write to.",
            hint="Name a model of the zoo or a zoo config: `genzoo publish` puts a run there.",
        )
    check_writable(path)
    return path


def check_protocol(config: ZooConfig, chosen: Mapping[str, object], samples: int = SAMPLES) -> None:
    """Raise UnsupportedError where something was chosen that is not as for every card.

    None is as for every card, whose figures are of that many `samples`.
    """
    own = config.dataset.name
    usual = {
        "samples": samples,
        "seed": 0,
        "split": "test",
        "dataset": own,
        "extractor": made_for(own),
        "importance_samples": CARD_IMPORTANCE_SAMPLES,
        "likelihood_images": chosen.get("reference_images"),
        "dtype": "float32",
        "set": None,
    }
    for key, expected in usual.items():
        value = chosen.get(key)
        # An extractor for any dataset is as good as another where none is made for this one.
        if value not in (None, expected) and not (key == "extractor" and expected is None):
            raise UnsupportedError(
                f"a card's figures are not measured with {key.replace('_', ' ')} {value}.",
                hint=f"Leave --{key.replace('_', '-')} out, so that all cards can be compared.",
            )


def write_card(evaluation: Evaluation, path: Path) -> None:
    """Put the figures into the zoo config at `path`, and keep the rest of it.

    Raises ConfigError where they belong to other weights, UnsupportedError where they were measured
    by another protocol than that of every card.
    """
    config, protocol = read_config(path), dict(evaluation.protocol)
    weights_sha256 = protocol.pop("weights_sha256")
    if config.weights is None or config.weights.sha256 != weights_sha256:
        raise ConfigError(
            f"the figures do not belong to the weights that {path} names.",
            hint=f"Evaluate {config.name} by its name.",
        )
    samples = min(SAMPLES, protocol["training_images"])
    check_protocol(config, protocol, samples)
    block = EvaluatedConfig(
        figures={name: _round(value) for name, value in evaluation.figures.items()},
        floor={name: _round(value) for name, value in evaluation.floor.items()},
        by_class=_rounded(evaluation.by_class),
        floor_by_class=_rounded(evaluation.floor_by_class),
        protocol={
            name: _round(value) if isinstance(value, float) else value
            for name, value in protocol.items()
        },
        notes=evaluation.notes,
        weights_sha256=weights_sha256,
        date=datetime.date.today().isoformat(),
    )
    text = path.read_text(encoding="utf-8")
    write_text(path, yamlfile.replace_keys(text, {"evaluated": block.model_dump()}))


def _rounded(by_class: Mapping[str, list[float | None]]) -> dict[str, list[float | None]]:
    return {
        name: [None if value is None else _round(value) for value in values]
        for name, values in by_class.items()
    }


def _round(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
