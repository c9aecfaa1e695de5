"""A peer's networks as a genzoo architecture: what both trainers' benchmarks share."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from genzoo.registry.config import ZooConfig
from genzoo.registry.schema import validate
from genzoo.registry.specs import ImageSpec
from turns import Plan

__all__ = ["peer_config", "plugin"]


@contextlib.contextmanager
def plugin(module: str) -> Iterator[None]:
    """Install a module as a genzoo plugin, for this process and the time being."""
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder) / f"{module}-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0\n")
        (info / "entry_points.txt").write_text(f"[genzoo]\n{module} = {module}\n")
        sys.path.append(folder)
        try:
            yield
        finally:
            sys.path.remove(folder)


def peer_config(
    image: ImageSpec,
    architecture: Mapping[str, Any],
    objective: Mapping[str, Any],
    training: Mapping[str, Any],
    plan: Plan,
    data: Path | None,
) -> ZooConfig:
    """Return what `genzoo.train` is given, without the average, which no peer has."""
    size = {"channels": image.channels, "height": image.height, "width": image.width}
    # One step more than there are turns: the last would draw a preview.
    steps = plan.steps + 1
    values = {
        "name": "benchmark",
        "image": size,
        "classes": None,
        "architecture": architecture,
        "objective": objective,
        "dataset": {"name": "mnist" if data else "digits"},
        "training": {
            "steps": steps,
            "ema": None,
            "preview_every": steps,
            "checkpoint_every": steps,
            **training,
        },
        "card": {
            "summary": "a benchmark",
            "licence": "as the peer's",
            "dataset_licence": "as the dataset's",
            "intended_use": "measuring",
        },
    }
    return validate(ZooConfig, values, source="benchmark")
