"""Listing stays quick, however many plugins are installed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import genzoo

MANY = 200
OURS = len(genzoo.list_models())
PER_PLUGIN = 0.002  # seconds
ROUNDS = 5

PLUGIN = """
    from pathlib import Path

    import genzoo

    @genzoo.hookimpl
    def genzoo_architectures():
        return [
            genzoo.Architecture(
                name="{name}",
                summary="one of many",
                objective="adversarial",
                config="{module}_config:Config",
                networks="{module}_networks:build",
            )
        ]

    @genzoo.hookimpl
    def genzoo_zoo_configs():
        return [Path(__file__).with_name("{name}-digits.yaml")]
"""
MODEL = """
    name: {name}-digits
    requires: [genzoo-{name}]
    image: {{channels: 1, height: 8, width: 8}}
    classes: 10
    architecture: {{name: {name}, config: {{latent_dim: 32}}}}
    objective: {{name: adversarial, config: {{loss: relativistic}}}}
    dataset: {{name: digits}}
    training:
      steps: 1000
      optimizer: {{name: adam, lr: 2e-3, betas: [0.0, 0.99]}}
      ema: {{decay: 0.999}}
    card:
      summary: Digits by one of many.
      licence: Apache-2.0
      dataset_licence: CC-BY-4.0
      intended_use: Tests.
"""


@pytest.fixture
def many(distribution: Callable[..., Path], site: Path) -> Path:
    """A folder that 200 plugins are installed in, with an architecture and a model each."""
    for number in range(MANY):
        name, module = f"many-{number}", f"many_{number}"
        files = {
            f"{module}.py": PLUGIN.format(name=name, module=module),
            f"{name}-digits.yaml": MODEL.format(name=name),
        }
        distribution(f"genzoo-{name}", "1.0", {name: module}, files)
    return site


def seconds(environment: dict[str, str], site: Path | None, models: int) -> float:
    """Return what `genzoo list` takes, which must tell of so many models."""
    path = {"PYTHONPATH": str(site)} if site else {}
    start = time.perf_counter()
    command = [sys.executable, "-m", "genzoo", "list"]
    answer = subprocess.run(
        command, env={**environment, **path}, capture_output=True, text=True, check=True
    )
    spent = time.perf_counter() - start
    assert answer.stderr == ""
    assert sum("Apache-2.0" in line for line in answer.stdout.splitlines()) == models
    return spent


def test_200_plugins_take_less_than_twice_as_long_as_ours_and_2_ms_each(
    many: Path, environment: dict[str, str]
) -> None:
    # The quickest of several rounds in turn: whatever else this machine does is in neither.
    rounds = [
        (seconds(environment, None, OURS), seconds(environment, many, OURS + MANY))
        for _ in range(ROUNDS)
    ]
    few, lots = (min(column) for column in zip(*rounds, strict=True))
    assert lots < 2 * few + PER_PLUGIN * MANY, f"{lots:.2f} s against {few:.2f} s"
