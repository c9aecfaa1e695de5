"""The examples: distributions as a third party would publish them, with no change to the core."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from .environment import EXAMPLES, ROOT, SHIPPED, Environment

PICTURE = ROOT / "examples" / "genzoo-flow-matching" / "digits.png"
"""Of the trained flow, in its README."""
LINES = 80
"""What wrapping a published architecture must stay under."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_own_tests_pass(name: str, environment: Environment) -> None:
    environment.hold("genzoo", name)
    tests = ROOT / "examples" / name / "tests"
    report, _ = environment.python("-m", "pytest", "-q", "-p", "no:cacheprovider", tests)
    assert " passed" in report
    assert "failed" not in report


GRID = """
from genzoo.registry.discovery import registry
from genzoo.testing.architectures import GRID, ArchitectureBench

assert {(i.height, i.width) for i in GRID} == {(28, 28), (32, 32), (64, 64)}
assert {i.channels for i in GRID} == {1, 3}
for name, spec in registry().architectures.items():
    done = {specimen.config.image_spec for specimen in ArchitectureBench(spec).bench.specimens}
    print(name, "all" if done.issuperset(GRID) else "not all")
"""


def test_every_architecture_is_checked_at_every_size_and_refuses_none(
    environment: Environment,
) -> None:
    environment.hold("genzoo", *SHIPPED, *EXAMPLES)
    found = dict(line.split(maxsplit=1) for line in environment.python("-c", GRID)[0].splitlines())
    gans = {"dcgan", "mlp-gan", "sngan", "transformer-gan"}
    assert found == dict.fromkeys(gans | {"flow-unet", "pixel-transformer", "vae"}, "all")


def test_the_core_has_never_heard_of_flows() -> None:
    words = re.compile(r"flow.?matching|velocit|flow.?unet", re.IGNORECASE)
    for path in (ROOT / "genzoo").rglob("*.py"):
        assert not words.search(path.read_text(encoding="utf-8")), path


def test_wrapping_a_published_architecture_takes_under_80_lines() -> None:
    package = ROOT / "examples" / "genzoo-sngan" / "src" / "genzoo_sngan"
    published = package / "sngan.py"
    assert "import genzoo" not in published.read_text(encoding="utf-8")
    wrapping = [path for path in package.glob("*.py") if path != published]
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in wrapping) < LINES


def test_the_trained_flow_comes_with_its_wheel(environment: Environment) -> None:
    environment.hold("genzoo", "genzoo-flow-matching")
    (model,) = environment.json("list", "flow-unet-mnist")
    assert model["available"]
    assert model["fid_ratio"] < 4
    few = ("--set", "objective.config.steps=2", "--labels", "0-3", "-n", "4", "--seed", "0")
    environment.genzoo("sample", "flow-unet-mnist", *few, "-o", "few.png")
    with Image.open(environment.work / "few.png") as drawn, Image.open(PICTURE) as shown:
        facts = drawn.text  # type: ignore[attr-defined]
        assert facts["objective.config.steps"] == "2"
        assert facts["weights_sha256"] == shown.text["weights_sha256"]  # type: ignore[attr-defined]


def test_a_flow_is_trained_saved_loaded_drawn_and_walked_through(environment: Environment) -> None:
    environment.hold("genzoo", "genzoo-flow-matching")
    short = {
        "training.steps": "4",
        "training.preview_every": "2",
        "dataset.name": "digits",
        "image": "{channels: 1, height: 8, width: 8}",
        "architecture.config.channels": "8",
        "objective.config.steps": "3",
    }
    settings = [f"--set={path}={value}" for path, value in short.items()]
    environment.genzoo("train", "flow-unet-mnist", *settings, "-o", "runs/flow", "--quiet")
    run = environment.work / "runs" / "flow"
    assert sorted(path.name for path in (run / "paths").iterdir()) == [
        *("step-00000002.png", "step-00000004.png")
    ]
    guided = ("--set", "objective.config.guidance=2.0", "--set", "objective.config.solver=euler")
    for command in ("sample", "interpolate"):
        environment.genzoo(command, run, "-n", "4", "--seed", "0", *guided, "-o", f"{command}.png")
        assert Path(environment.work / f"{command}.png").is_file()
