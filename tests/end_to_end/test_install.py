"""Plugins come and go by pip, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from .environment import SHIPPED, Environment


def test_a_plugin_brings_the_core_with_it_and_leaves_nothing_behind(
    environment: Environment,
) -> None:
    environment.hold()
    bare = {path.name for path in environment.site.iterdir()}
    environment.install("genzoo-dcgan")
    assert environment.held() == {"genzoo", "genzoo-dcgan"}
    environment.uninstall("genzoo", "genzoo-dcgan")
    assert {path.name for path in environment.site.iterdir()} == bare


def test_the_core_alone_lists_the_whole_zoo_as_unavailable(
    environment: Environment, sources: Path
) -> None:
    environment.hold("genzoo")
    rows = environment.json("list")
    assert [row["name"] for row in rows] == sorted(
        path.stem for path in (sources / "zoo_configs").glob("*.yaml")
    )
    assert not any(row["available"] for row in rows)
    assert environment.json("list", "--architectures") == []
    assert [plugin["distribution"] for plugin in environment.json("plugins")] == ["genzoo"]


def test_an_objective_goes_with_the_plugin_that_brought_it(environment: Environment) -> None:
    environment.hold("genzoo", *SHIPPED)
    known = "from genzoo.registry.discovery import registry; print(*sorted(registry().objectives))"
    before = environment.python("-c", known)[0].split()
    environment.uninstall("genzoo-transformer")
    assert environment.python("-c", known)[0].split() == ["adversarial", "variational"]
    assert before == ["adversarial", "autoregressive", "variational"]
    _, refusal = environment.genzoo("train", "pixel-transformer-digits", code=2)
    assert "pip install genzoo-transformer" in refusal
    environment.install("genzoo-transformer")


def test_without_its_plugin_a_model_stays_in_the_list_and_all_else_is_as_it_was(
    environment: Environment,
) -> None:
    listings = (["list"], ["list", "--architectures"], ["plugins"])
    environment.hold("genzoo", *SHIPPED)
    models, *others = before = [environment.json(*listing) for listing in listings]

    environment.uninstall("genzoo-dcgan")
    models_left, *others_left = [environment.json(*listing) for listing in listings]
    _, reports = environment.genzoo("list")
    _, refusal = environment.genzoo("sample", "dcgan-mnist", code=2)

    assert "dcgan" in {row["architecture"] for row in models}
    assert models_left == [
        {**row, "available": row["available"] and row["architecture"] != "dcgan"} for row in models
    ]
    assert "dcgan" in {row["name"] for row in others[0]}
    assert others_left == [
        [row for row in rows if row.get("distribution") != "genzoo-dcgan"] for rows in others
    ]
    assert reports == ""
    assert "pip install genzoo-dcgan" in refusal
    assert "Traceback" not in refusal

    environment.install("genzoo-dcgan")
    assert [environment.json(*listing) for listing in listings] == before


@pytest.mark.parametrize("command", [["list"], ["plugins"], ["info", "toy-gan-digits"]])
def test_no_plugin_makes_listing_import_torch(environment: Environment, command: list[str]) -> None:
    environment.hold("genzoo", *SHIPPED, "genzoo-toy")
    shown, report = environment.fresh("python", "-X", "importtime", "-m", "genzoo", *command)
    modules = [line.rpartition("|")[2].strip() for line in report.splitlines()]
    assert "toy-gan" in shown
    assert "genzoo.registry.catalog" in modules or "genzoo.registry.discovery" in modules
    assert not {"torch", "torchvision", "numpy"} & {name.partition(".")[0] for name in modules}
