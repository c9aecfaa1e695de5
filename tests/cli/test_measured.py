"""What lists and cards show of a model's figures: only those that belong to its weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

import genzoo

SHA256 = "a" * 64
EVALUATED = {
    "figures": {"fid": 1.23456, "fid_ratio": 1.5, "recall": 0.91, "label_agreement": 0.98765},
    "floor": {"fid": 0.823, "recall": 0.92},
    "by_class": {"label_agreement": [0.5, None]},
    "floor_by_class": {"label_agreement": [0.9, None]},
    "protocol": {"samples": 1500, "seed": 0, "split": "test", "labels": None},
    "notes": ["no nll: nobody knows"],
    "weights_sha256": SHA256,
    "date": "2026-01-31",
}
COLUMNS = ("fid", "fid_ratio", "label_agreement")
PLUGIN = """
    from pathlib import Path
    import genzoo

    @genzoo.hookimpl
    def genzoo_zoo_configs():
        return [Path(__file__).parent / "measured.yaml"]
"""


@pytest.fixture
def zoo(installed, zoo_data: dict[str, Any]) -> Callable[..., str]:
    """Put a model `measured-digits` with that block `evaluated` into the zoo; return its name."""

    def put(evaluated: dict[str, Any] | None) -> str:
        weights = {"uri": "x.safetensors", "sha256": SHA256, "size": 9, "parameters": 2}
        data = zoo_data | {"name": "measured-digits", "weights": weights, "evaluated": evaluated}
        files = {"measured.py": PLUGIN, "measured.yaml": yaml.safe_dump(data)}
        installed("genzoo-measured", "1.0", {"measured": "measured"}, files)
        return "measured-digits"

    return put


def row(done: Callable[..., str], name: str) -> dict[str, Any]:
    (found,) = json.loads(done("list", name, "--json"))
    return dict(found)


def test_a_measured_model(done, zoo) -> None:
    name = zoo(EVALUATED)
    assert [row(done, name)[key] for key in COLUMNS] == [1.23456, 1.5, 0.98765]
    cells = done("list", name).splitlines()[1].split()
    at = cells.index("1.23")
    assert cells[at : at + 3] == ["1.23", "1.50", "98.77%"]

    assert [genzoo.info(name)[key] for key in COLUMNS] == [1.23456, 1.5, 0.98765]
    assert json.loads(done("info", name, "--json"))["config"]["evaluated"] == EVALUATED
    lines = done("info", name).splitlines()
    (line,) = (line for line in lines if line.startswith("fid "))
    assert line.split()[1:3] == ["1.235", "0.823"]
    (line,) = (line for line in lines if line.startswith("fid_ratio "))
    assert line.split()[1:3] == ["1.5", "-"]
    assert "label agreement by class, %: 50.0 -" in lines
    assert "of the floor: 90.0 -" in lines
    assert "Protocol: labels None; samples 1500; seed 0; split test; date 2026-01-31." in lines
    assert "Note: no nll: nobody knows." in lines


@pytest.mark.parametrize(
    ("evaluated", "says"),
    [
        (None, "not measured yet: genzoo evaluate measured-digits"),
        (
            {**EVALUATED, "weights_sha256": "b" * 64},
            "measured on other weights than these: genzoo evaluate measured-digits",
        ),
    ],
    ids=["not yet", "other weights"],
)
def test_a_model_without_figures_of_its_own(done, zoo, evaluated, says: str) -> None:
    name = zoo(evaluated)
    assert [row(done, name)[key] for key in COLUMNS] == [None] * 3
    cells = done("list", name).splitlines()[1].split()
    assert cells[-5:-2] == ["-"] * 3
    text = done("info", name)
    assert says in text
    assert "1.235" not in text


def test_a_model_that_was_measured_without_labels(done, zoo) -> None:
    figures = {"fid": 2.0, "fid_ratio": 3.0, "class_balance": 0.9}
    name = zoo({**EVALUATED, "figures": figures, "by_class": {}})
    assert [row(done, name)[key] for key in COLUMNS] == [2.0, 3.0, None]


def test_a_block_that_is_none_leaves_the_model_out(cli, zoo) -> None:
    zoo({**EVALUATED, "figures": {"fid": "low"}})
    result = cli("list", "measured-digits", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])
    assert "evaluated.figures.fid: found 'low', must be a number" in result.stderr
