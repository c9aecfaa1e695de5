"""A plugin that raises is left out, and said to be."""

from __future__ import annotations

import json

from .environment import SHIPPED, Environment


def test_a_plugin_that_raises_is_reported_once_and_all_else_works(
    environment: Environment,
) -> None:
    good = ("genzoo", *SHIPPED)
    environment.hold(*good)
    models, architectures, plugins = (
        environment.json(*command)
        for command in (["list"], ["list", "--architectures"], ["plugins"])
    )

    environment.hold(*good, "genzoo-broken")
    listing, report = environment.genzoo("list", "--json")
    assert json.loads(listing) == models
    assert len(report.splitlines()) == 1
    assert "genzoo-broken 4.5.6" in report
    assert "RuntimeError: the flux capacitor is missing" in report

    assert environment.json("list", "--architectures") == architectures
    (broken,) = [row for row in environment.json("plugins") if row not in plugins]
    assert (broken["distribution"], broken["version"]) == ("genzoo-broken", "4.5.6")
    assert broken["status"] == "failed"
    assert "the flux capacitor is missing" in broken["error"]
    assert broken["brings"] == {}


def test_strictly_it_is_an_error(environment: Environment) -> None:
    environment.hold("genzoo", *SHIPPED, "genzoo-broken")
    stdout, report = environment.genzoo("list", code=2, GENZOO_STRICT="1")
    assert stdout == ""
    assert "genzoo-broken 4.5.6" in report
    assert "the flux capacitor is missing" in report
    assert "Traceback" not in report
