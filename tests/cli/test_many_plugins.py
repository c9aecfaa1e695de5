"""Listing stays quick, however many plugins are installed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

MANY, FEW = 200, 4
PER_PLUGIN = 0.002  # seconds
ROUNDS = 5

PLUGIN = """
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
"""


@pytest.fixture
def many(distribution: Callable[..., Path], site: Path) -> Path:
    """A folder that 200 plugins are installed in."""
    for number in range(MANY):
        name, module = f"many-{number}", f"many_{number}"
        files = {f"{module}.py": PLUGIN.format(name=name, module=module)}
        distribution(f"genzoo-{name}", "1.0", {name: module}, files)
    return site


def seconds(environment: dict[str, str], site: Path | None, expected: int) -> float:
    """Return what `genzoo list --architectures` takes."""
    path = {"PYTHONPATH": str(site)} if site else {}
    start = time.perf_counter()
    command = [sys.executable, "-m", "genzoo", "list", "--architectures"]
    answer = subprocess.run(
        command, env={**environment, **path}, capture_output=True, text=True, check=True
    )
    spent = time.perf_counter() - start
    assert answer.stderr == ""
    assert len(answer.stdout.splitlines()) == 1 + expected
    return spent


def test_200_plugins_take_less_than_twice_as_long_as_4_and_2_ms_each(
    many: Path, environment: dict[str, str]
) -> None:
    # The quickest of several rounds in turn: whatever else this machine does is in neither.
    rounds = [
        (seconds(environment, None, FEW), seconds(environment, many, FEW + MANY))
        for _ in range(ROUNDS)
    ]
    few, lots = (min(column) for column in zip(*rounds, strict=True))
    assert lots < 2 * few + PER_PLUGIN * MANY
