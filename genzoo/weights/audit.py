"""Whether the weights on this machine are what the zoo configs say; nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from genzoo.errors import WeightsError
from genzoo.registry.catalog import Entry, unavailable
from genzoo.weights.format import verify
from genzoo.weights.sources import on_disk

__all__ = ["Finding", "audit"]


@dataclass(frozen=True)
class Finding:
    """What became of one model's weights. `detail` says why they are not ok, and what to do."""

    name: str
    status: Literal["ok", "damaged", "not installed", "not downloaded", "not trained"]
    detail: str = ""


def audit(entry: Entry) -> Finding:
    """Hash a model's weights file and compare; one missing from an installed package is damage."""
    config = entry.config
    if config.weights is None:
        return Finding(config.name, "not trained", ": ".join(unavailable(config, entry.path) or ()))
    file = on_disk(config.weights, beside=entry.path)
    if file is None:
        problem = unavailable(config, entry.path)
        if problem is None:
            return Finding(config.name, "not downloaded", "the first load gets them")
        return Finding(config.name, "not installed", ": ".join(problem))
    try:
        verify(file, config.weights.sha256)
    except WeightsError as error:
        return Finding(config.name, "damaged", f"{error.message} {error.hint}")
    return Finding(config.name, "ok")
