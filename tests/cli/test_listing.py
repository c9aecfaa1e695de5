from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys

import pytest
import yaml

import genzoo
from genzoo.registry import catalog
from genzoo.registry.discovery import registry

COLUMNS = [
    "name",
    "architecture",
    "objective",
    "dataset",
    "image",
    "classes",
    "parameters",
    "size_bytes",
    "fid",
    "fid_ratio",
    "label_agreement",
    "license",
    "available",
]
TITLES = {
    "size_bytes": "size",
    "fid": "FID",
    "fid_ratio": "FID/floor",
    "label_agreement": "labels",
    "license": "licence",
}


@pytest.fixture
def nowhere(installed, zoo_data) -> str:
    """A model in the zoo whose architecture no installed plugin brings."""
    zoo_data |= {
        "name": "nowhere-digits",
        "requires": ["genzoo-nowhere"],
        "architecture": {"name": "nowhere"},
    }
    plugin = """
        from pathlib import Path
        import genzoo

        @genzoo.hookimpl
        def genzoo_zoo_configs():
            return [Path(__file__).parent / "nowhere.yaml"]
    """
    files = {"nowhere.py": plugin, "nowhere.yaml": yaml.safe_dump(zoo_data)}
    installed("genzoo-zoo-of-others", "1.0", {"others": "nowhere"}, files)
    return "nowhere-digits"


def test_a_line_for_each_model_with_all_columns(done) -> None:
    header, *lines = done("list").split("\n\n")[0].splitlines()
    assert header.split() == [TITLES.get(c, c) for c in COLUMNS]
    assert [line.split()[0] for line in lines] == genzoo.list_models()
    dcgan = next(line for line in lines if line.startswith("dcgan-mnist"))
    assert dcgan.split()[1:6] == ["dcgan", "adversarial", "mnist", "1x28x28", "10"]


def test_json_is_a_list_of_rows_and_nothing_else(done) -> None:
    rows = json.loads(done("list", "--json"))
    assert [row["name"] for row in rows] == genzoo.list_models()
    assert all(list(row) == COLUMNS for row in rows)
    dcgan = next(row for row in rows if row["name"] == "dcgan-mnist")
    assert (dcgan["image"], dcgan["classes"], dcgan["dataset"]) == ([1, 28, 28], 10, "mnist")
    assert all(isinstance(row["available"], bool) for row in rows)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["gan"], {"pattern": "gan"}),
        (["*-mnist"], {"pattern": "*-mnist"}),
        (["--architecture", "mlp-gan"], {"architecture": "mlp-gan"}),
        (["--objective", "variational"], {"objective": "variational"}),
        (["--dataset", "digits"], {"dataset": "digits"}),
        (["mlp", "--dataset", "mnist"], {"pattern": "mlp", "dataset": "mnist"}),
    ],
)
def test_patterns_and_filters(done, arguments, wanted) -> None:
    names = [row["name"] for row in json.loads(done("list", *arguments, "--json"))]
    assert names == genzoo.list_models(**wanted)
    assert names != genzoo.list_models()


def test_nothing_matches(cli) -> None:
    result = cli("list", "nothing-of-the-kind")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No model matches" in result.stderr
    result = cli("list", "nothing-of-the-kind", "--json")
    assert (result.exit_code, json.loads(result.stdout), result.stderr) == (0, [], "")


def test_a_model_without_its_plugin_is_listed_with_what_to_install(done, nowhere: str) -> None:
    rows = json.loads(done("list", "nowhere", "--json"))
    assert [(row["name"], row["available"]) for row in rows] == [(nowhere, False)]
    text = done("list", "nowhere")
    assert text.splitlines()[1].split()[-1] == "no"
    assert text.splitlines()[-1] == (
        "nowhere-digits: architecture 'nowhere' not installed: pip install genzoo-nowhere"
    )


@pytest.mark.parametrize("kind", ["architectures", "objectives", "datasets", "extractors"])
def test_parts_are_listed_with_who_brings_them(done, kind: str) -> None:
    known = getattr(registry(), kind)
    rows = json.loads(done("list", f"--{kind}", "--json"))
    assert [row["name"] for row in rows] == list(known)
    for row in rows:
        assert row["summary"] == known[row["name"]].summary
        assert row["distribution"] == registry().owner(kind, row["name"]).distribution
        assert row["version"]
    text = done("list", f"--{kind}")
    assert [line.split()[0] for line in text.splitlines()[1:]] == list(known)
    assert all(row["summary"] in text for row in rows)


def test_datasets_say_their_licence_and_shape(done) -> None:
    rows = {row["name"]: row for row in json.loads(done("list", "--datasets", "--json"))}
    digits = rows["digits"]
    assert (digits["license"], digits["image"], digits["classes"]) == ("CC-BY-4.0", [1, 8, 8], 10)


def test_extractors_say_what_they_are_for_and_how_good_they_are(done) -> None:
    rows = {row["name"]: row for row in json.loads(done("list", "--extractors", "--json"))}
    assert rows["mnist"]["datasets"] == "mnist, binarized-mnist"
    assert rows["mnist"]["image"] == [1, 28, 28]
    assert rows["mnist"]["accuracy"] == registry().extractor("mnist").accuracy
    assert (rows["inception"]["datasets"], rows["inception"]["accuracy"]) == ("", None)


@pytest.mark.parametrize(
    "arguments",
    [["--architectures", "--datasets"], ["gan", "--objectives"], ["--extractors", "--objectives"]],
    ids=" ".join,
)
def test_two_lists_at_once_are_refused(cli, arguments) -> None:
    result = cli("list", *arguments)
    assert result.exit_code == 2
    assert "stands alone" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_narrow_terminal_drops_columns_and_cuts_no_name(environment) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "genzoo", "list"],
        stdout=slave,
        env={**environment, "COLUMNS": "70", "TERM": "xterm"},
    )
    os.close(slave)
    output = b""
    try:
        while part := os.read(master, 4096):
            output += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(master)
    assert process.wait() == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output.decode()).replace("\r\n", "\n")
    table, _, _ = plain.partition("\n\n")
    assert all(len(line) <= 70 or line.startswith("Not shown") for line in table.splitlines())
    assert all(f"\n{name} " in table for name in genzoo.list_models())
    assert "Not shown for want of width: objective" in table


def test_info_is_what_python_says(done) -> None:
    assert json.loads(done("info", "dcgan-mnist", "--json")) == genzoo.info("dcgan-mnist")


def test_info_shows_card_settings_recipe_and_use(done) -> None:
    text = done("info", "dcgan-mnist")
    card = genzoo.info("dcgan-mnist")["config"]["card"]
    for fact in (card["summary"], card["dataset_licence"], card["intended_use"], "1x28x28"):
        assert fact in text
    lines = text.splitlines()
    (latent,) = (line for line in lines if line.startswith("latent_dim "))
    assert "whole number, >= 1" in latent
    assert "default " in latent
    assert any(line.startswith("penalties.r1 ") and "(R1, Mescheder" in line for line in lines)
    assert "batch_size: 64" in lines
    assert "betas: [0.0, 0.99]" in text


def test_info_of_an_unavailable_model_says_what_to_install(done, nowhere: str) -> None:
    assert "pip install genzoo-nowhere" in done("info", nowhere)


def test_info_of_an_unknown_name(refused) -> None:
    assert "Did you mean 'dcgan-mnist'" in refused("info", "dcgan-minst")


def test_plugins_and_what_they_bring(done) -> None:
    rows = {row["name"]: row for row in json.loads(done("plugins", "--json"))}
    assert rows["dcgan"]["distribution"] == "genzoo-dcgan"
    assert rows["dcgan"]["brings"]["architectures"] == ["dcgan"]
    assert "adversarial" in rows["genzoo"]["brings"]["objectives"]
    assert "dcgan-mnist" in rows["genzoo"]["brings"]["zoo_configs"]
    assert all((row["status"], row["error"]) == ("ok", None) for row in rows.values())
    lines = done("plugins").splitlines()
    assert any(line.startswith("dcgan ") and "architectures: dcgan" in line for line in lines)


def test_a_bad_plugin_is_shown_with_its_reason(cli, installed) -> None:
    installed("genzoo-bad", "0.9", {"bad": "bad_one"}, {"bad_one.py": "raise OSError('broken')"})
    result = cli("plugins", "--json")
    assert result.exit_code == 0
    row = next(row for row in json.loads(result.stdout) if row["name"] == "bad")
    assert (row["distribution"], row["version"], row["status"]) == ("genzoo-bad", "0.9", "failed")
    assert row["error"] == "OSError: broken"
    text = cli("plugins").stdout
    assert "bad (genzoo-bad 0.9): OSError: broken" in text.splitlines()


def test_names_are_completed() -> None:
    from genzoo.cli.arguments import model_names

    assert model_names("dcgan") == [n for n in catalog.list_models() if n.startswith("dcgan")]
    assert "dcgan-mnist" in model_names("dc")
