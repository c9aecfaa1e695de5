"""The benchmarks run, and their table says what was measured; of speed nothing is tested."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
Script = Callable[[str], ModuleType]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Return a function that imports a script, which finds those beside it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def _rows(script: ModuleType, file: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["script", *options, "--json", str(file)])
    script.main()
    return json.loads(file.read_text())


def test_a_ratio_is_the_median_of_its_rounds_and_stays_so_in_json(script: Script) -> None:
    side_by_side = script("side_by_side")
    row = side_by_side.Row("speed", unit="images/s", must=(">=", 0.98))

    measured = side_by_side.paired(row, [1.0, 2.0, 4.0], [2.0, 2.0, 2.0], work=10)

    assert measured.ratios == (2.0, 1.0, 0.5)
    assert (measured.ours, measured.theirs) == (5.0, 5.0)
    assert measured.holds
    assert side_by_side.Row.from_json(json.loads(json.dumps(measured.as_json()))) == measured


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [(3, (0.0, 2.0)), (6, (0.0, 5.0)), (10, (1.0, 8.0)), (20, (5.0, 14.0))],
)
def test_the_interval_of_a_median_is_that_of_the_sign_test(
    script: Script, rounds: int, expected: tuple[float, float]
) -> None:
    row = script("side_by_side").Row("any", ratios=tuple(float(i) for i in range(rounds)))

    assert row.interval == expected  # tables of the binomial distribution, at 95%


def test_a_bound_that_is_missed_stands_out_in_the_table(script: Script) -> None:
    side_by_side = script("side_by_side")
    rows = [
        side_by_side.Row("slow", 3.0, 2.0, "s", (1.5,), ("<=", 1.2)),
        side_by_side.Row("peer", note="does not run: no | peer"),
    ]

    lines = side_by_side.table(rows).splitlines()

    assert lines[2] == "| slow | 3 s | 2 s | 1.5 (1.5 to 1.5) | <= 1.2 | NO |  |"
    assert lines[3] == "| peer | - | - | - | - | - | does not run: no / peer |"


SIDES = """
import time

def sleeping(seconds, turns):
    while True:
        time.sleep(seconds)
        turns.step()

def failing(turns):
    raise RuntimeError("no such\\nkeyword")
"""


def test_programs_take_turns_and_only_their_own_steps_are_timed(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functools import partial

    turns = script("turns")
    (tmp_path / "sides_of_a_test.py").write_text(textwrap.dedent(SIDES))
    monkeypatch.syspath_prepend(str(tmp_path))
    sides = importlib.import_module("sides_of_a_test")
    both = {"a": partial(sides.sleeping, 0.002), "b": partial(sides.sleeping, 0.1)}

    seconds = turns.alternate(both, turns.Plan(rounds=2, chunk=2, lead=1))

    assert all(0.004 <= time < 0.2 <= slow for time, slow in zip(*seconds.values(), strict=True))
    with pytest.raises(script("side_by_side").SideError, match="broken: RuntimeError: keyword"):
        turns.alternate({"broken": sides.failing}, turns.Plan(rounds=1, chunk=1))


@pytest.mark.parametrize("kind", ["genzoo", "by hand"])
def test_dcgan_trains_on_the_digits_by_genzoo_and_by_hand(script: Script, kind: str) -> None:
    script("memory").child(kind, steps=2, data=None, threads=None)


def test_images_of_a_folder_are_pngs_that_genzoo_trains_on(script: Script, tmp_path: Path) -> None:
    memory = script("memory")
    memory.write_images(tmp_path, 20)

    assert len(list(tmp_path.glob("*/*.png"))) == 20
    memory.child("folder", steps=1, data=str(tmp_path), threads=None)


def test_sampling_draws_the_same_images_by_genzoo_and_by_the_bare_network(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--models", "mlp-gan-mnist", "--counts", "3", "--rounds", "1")

    (row,) = _rows(script("sampling"), tmp_path / "rows.json", monkeypatch, *options)

    assert row["name"] == "sample 3 of mlp-gan-mnist"
    assert row["ratio"] > 0


def test_loading_measures_a_packaged_model_and_one_of_its_own(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--rounds", "1", "--cold-rounds", "0", "--widths", "8")

    rows = _rows(script("loading"), tmp_path / "rows.json", monkeypatch, *options)

    assert len(rows) == 4
    assert all(row["ratio"] > 0 for row in rows)


class _EnoughError(BaseException):
    """Ends a program from within."""


def in_this_process(sides: dict[str, Any], plan: Any) -> dict[str, list[float]]:
    """Run each program for two steps here: in a process of its own it would start for seconds."""

    class Steps:
        wait_for_device: Any = None

        def __init__(self) -> None:
            self.plan, self.left = plan, 2

        def step(self) -> None:
            self.left -= 1
            if not self.left:
                raise _EnoughError

    seconds = {}
    for name, side in sides.items():
        start = time.perf_counter()
        with pytest.raises(_EnoughError):
            side(Steps())
        seconds[name] = [time.perf_counter() - start]
    return seconds


SMALLEST = ("--rounds", "1", "--chunk", "1", "--warmup", "1", "--threads", "1")


def test_a_setting_is_measured_beside_none_in_a_table_that_says_so(
    script: Script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = (*SMALLEST, "--device", "cpu", "--batch-size", "4", "--size", "8")
    chosen = ("--architectures", "mlp-gan", "--only", "bf16", "channels_last")

    settings = script("settings")
    monkeypatch.setattr(settings, "alternate", in_this_process)

    rows = _rows(settings, tmp_path / "rows.json", monkeypatch, *options, *chosen)

    assert [row["name"] for row in rows] == ["train mlp-gan, bf16"]  # which has no convolutions
    assert rows[0]["ratio"] > 0
    assert "| what | with | without | ratio (95%) |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("peer", "name", "options", "count"),
    [
        ("pythae", "pythae_vae", ("--only", "mlp-64"), 2),
        ("torchgan", "torchgan_dcgan", ("--channels", "4"), 1),
    ],
)
def test_a_peer_trains_its_own_networks_beside_genzoo(
    script: Script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    peer: str,
    name: str,
    options: tuple[str, ...],
    count: int,
) -> None:
    pytest.importorskip(peer, reason="peers are in an environment of their own, by `make bench`")

    rows = _rows(script(name), tmp_path / "rows.json", monkeypatch, *SMALLEST, *options)

    assert len(rows) == count
    assert all(row["ratio"] > 0 for row in rows)
    assert all(row["must"] == [">=", 1.0] for row in rows)


def test_a_script_that_cannot_run_says_so_in_the_table_of_all(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    answer = subprocess.run(
        [
            *(sys.executable, str(FOLDER / "all.py"), "--only", "memory", "listing"),
            *("--rounds", "many", "--output", str(output)),
        ],
        capture_output=True,
        text=True,
    )

    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("does not run: memory.py: error: argument --rounds") == 1
    assert [row["name"] for row in json.loads(output.read_text())["rows"]] == ["memory", "listing"]
