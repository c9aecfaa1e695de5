"""`genzoo evaluate`: a table for people, JSON for programs, files, and the card."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import torch
import yaml

import genzoo
from genzoo.evaluation.evaluate import evaluate
from genzoo.evaluation.protocol import CARD_IMPORTANCE_SAMPLES
from genzoo.registry.catalog import find
from genzoo.registry.config import read_config
from genzoo.training.publish import publish

NAME = "mlp-gan-digits"
FEW = ("--samples", 60, "--device", "cpu")


def test_a_table_the_classes_and_the_protocol(done, tmp_path: Path) -> None:
    text = done("evaluate", NAME, *FEW, "--output", "report")
    found = evaluate(NAME, samples=60, device="cpu")
    assert json.loads((tmp_path / "report" / f"{NAME}.json").read_text()) == found.to_dict()
    assert (tmp_path / "report" / f"{NAME}.png").is_file()

    table, by_class, protocol, *written = [part for part in text.split("\n\n") if part]
    header, *rows = table.splitlines()
    assert header.split() == ["figure", "model", "floor", "meaning"]
    assert [row.split()[0] for row in rows] == list(found.figures)
    for row in rows:
        name, figure, floor, *meaning = row.split()
        assert float(figure) == pytest.approx(found.figures[name], rel=1e-3)
        if name in found.floor:
            assert float(floor) == pytest.approx(found.floor[name], rel=1e-3)
        else:
            assert floor == "-"
        assert len(meaning) > 2
    ours, floors = by_class.splitlines()
    assert len(ours.removeprefix("label agreement by class, %: ").split()) == 10
    assert len(floors.removeprefix("of the floor: ").split()) == 10
    facts, *paths = protocol.splitlines()
    for fact in ("samples 60; seed 0", "split test", "extractor digits", "quantization uint8"):
        assert fact in facts
    assert found.protocol["extractor_sha256"] in facts
    said = [*paths, *written]
    assert said == [f"wrote report/{NAME}.json", f"wrote report/{NAME}.png"]


def test_json_stands_alone_on_standard_output(cli, tmp_path: Path) -> None:
    options = ("--seed", 3, "--batch-size", 17, "--json", "-o", "here")
    result = cli("evaluate", NAME, *FEW, *options)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["model"] == NAME
    assert (found["protocol"]["seed"], found["protocol"]["samples"]) == (3, 60)
    assert json.loads((tmp_path / "here" / f"{NAME}.json").read_text()) == found
    assert result.stderr.splitlines() == [f"wrote here/{NAME}.json", f"wrote here/{NAME}.png"]


def test_files_are_written_though_nobody_reads_the_table(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "genzoo", "evaluate", NAME, *map(str, FEW), "--output", "here"]
    with os.fdopen(writer, "wb") as stdout:
        subprocess.run(command, cwd=tmp_path, stdout=stdout, stderr=subprocess.PIPE, check=False)
    assert {path.name for path in (tmp_path / "here").iterdir()} == {f"{NAME}.json", f"{NAME}.png"}


@pytest.mark.parametrize(
    ("option", "key", "value"),
    [("--split", "split", "train"), ("--extractor", "extractor", "mnist"), ("--seed", "seed", 5)],
)
def test_options_reach_the_protocol(done, option: str, key: str, value: object) -> None:
    protocol = json.loads(done("evaluate", NAME, *FEW, option, value, "--json"))["protocol"]
    assert protocol[key] == value


def test_a_setting_of_how_images_are_drawn(done, refused, counted: Path) -> None:
    drawn = ("--set", "objective.config.samples=drawn")
    found = json.loads(done("evaluate", counted, *FEW, *drawn, "--likelihood-images", 2, "--json"))
    assert found["protocol"]["set"] == {"objective.config.samples": "drawn"}
    said = refused("evaluate", counted, *drawn, "--write-card")
    assert "not measured with set objective.config.samples=drawn" in said
    assert "Leave --set out" in said


def test_a_run_that_was_just_trained(done, runs: Path) -> None:
    found = json.loads(done("evaluate", runs / "tiny-unconditional", *FEW, "--json"))
    assert "class_balance" in found["figures"]
    text = done("evaluate", runs / "tiny-unconditional", *FEW)
    assert "class share by class, %: " in text


def test_a_note_says_why_there_is_no_likelihood(done, runs: Path) -> None:
    text = done("evaluate", runs / "tiny-vae", *FEW, "--likelihood-images", 5)
    assert text.splitlines()[-1].startswith("Note: no nll: ")


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory, recipes: Path) -> Path:
    """The zoo config of a model, published, whose likelihood is one of grey levels."""
    folder = tmp_path_factory.mktemp("counted")
    recipe = yaml.safe_load((recipes / "tiny-vae.yaml").read_text())
    recipe["architecture"]["config"]["likelihood"] = "discretized-logistic"
    card = folder / "card.yaml"
    card.write_text(yaml.safe_dump(recipe, sort_keys=False))
    genzoo.train(card, folder / "run", device="cpu", progress=False)
    publish(folder / "run", card)
    return card


def test_a_likelihood_of_as_many_images_and_draws_as_asked_for(done, counted: Path) -> None:
    counts = ("--importance-samples", 3, "--likelihood-images", 7)
    found = json.loads(done("evaluate", counted, *FEW, *counts, "--json"))
    assert found["protocol"]["importance_samples"] == 3
    assert found["protocol"]["likelihood_images"] == 7
    assert found["figures"]["nll"] > 0


def test_a_card_s_likelihood_is_by_more_draws_of_all_images(done, counted: Path) -> None:
    done("evaluate", counted, "--device", "cpu", "--write-card")
    measured = read_config(counted).measured
    assert measured is not None
    assert measured.figures["nll"] > 0
    assert measured.protocol["importance_samples"] == CARD_IMPORTANCE_SAMPLES
    assert measured.protocol["likelihood_images"] == 297


def test_the_card_is_written_and_shown(cli, done, tmp_path: Path) -> None:
    source = find(NAME).path.read_text(encoding="utf-8")
    data = {k: v for k, v in yaml.safe_load(source).items() if k != "evaluated"}
    card = tmp_path / "card.yaml"
    card.write_text(f"# mine\n{yaml.safe_dump(data, sort_keys=False)}", encoding="utf-8")
    before = card.read_text(encoding="utf-8")
    said = done("evaluate", "card.yaml", "--device", "cpu", "--write-card")
    assert said.splitlines()[-1] == "wrote card.yaml"
    assert card.read_text(encoding="utf-8").startswith(before)
    measured = read_config(card).measured
    assert measured is not None
    assert measured.figures["fid_ratio"] > 0

    after = card.read_bytes()
    result = cli("evaluate", "card.yaml", *FEW, "--write-card")
    assert result.exit_code == 2
    assert "not measured with samples 60" in result.stderr
    assert card.read_bytes() == after


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mlp-gan-digts"], "Did you mean 'mlp-gan-digits'"),
        (["no/such/run"], "no/such/run"),
        ([NAME, "--dataset", "digit"], "Did you mean 'digits'"),
        ([NAME, "--dataset", "folder", "--extractor", "digits"], "cannot be compared with folder"),
        ([NAME, "--dataset", "cifar10"], "--extractor inception"),
        ([NAME, "--extractor", "digit"], "Did you mean 'digits'"),
        ([NAME, "--samples", 1501], "cannot evaluate 1501 samples: digits has 1500"),
        ([NAME, "--samples", 5], "Ask for 6 to 1500 samples"),
        ([NAME, "--seed", 2**64], "seed 18446744073709551616"),
        ([NAME, "--device", "warp"], "warp"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_mistakes(refused, arguments: list[object], says: str) -> None:
    assert says in refused("evaluate", *arguments)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--split", "validation"),
        ("--samples", "many"),
        ("--samples", "0"),
        ("--batch-size", "0"),
        ("--importance-samples", "0"),
        ("--likelihood-images", "0"),
    ],
)
def test_values_that_no_option_takes(cli, option: str, value: str) -> None:
    result = cli("evaluate", NAME, option, value)
    assert result.exit_code == 2
    assert option in result.stderr
    assert result.stdout == ""


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_measured(
    refused, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    # Not even the model is looked for.
    assert "cannot write" in refused("evaluate", "no-such-model", "--output", "file")
    assert "cannot write" in refused("evaluate", NAME, "--output", "file/deeper")


def test_a_card_that_cannot_be_is_refused_before_anything_is_measured(
    refused, tmp_path: Path, runs: Path
) -> None:
    (tmp_path / "folder.yaml").mkdir()
    assert "is a folder" in refused("evaluate", "folder.yaml", "--write-card")
    # So many samples would be refused as soon as measuring began.
    for place in (runs / "tiny-gan", runs / "tiny-gan" / "weights.safetensors"):
        said = refused("evaluate", place, "--samples", 10**9, "--write-card")
        assert "has no card to write to" in said


@pytest.mark.parametrize("option", ["--importance-samples", "--likelihood-images"])
def test_a_card_s_likelihood_is_always_of_as_many(refused, option: str) -> None:
    said = refused("evaluate", NAME, option, 7, "--write-card")
    assert f"not measured with {option[2:].replace('-', ' ')} 7" in said
    assert option in said


def test_inception_without_network_or_weights(
    refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # where nothing listens: refused at once
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)  # else it holds on to other proxies
    said = refused("evaluate", NAME, "--extractor", "inception")
    assert "cannot get the weights of the extractor 'inception'" in said
    # The message may be wrapped anywhere to fit a line.
    assert str(tmp_path / "hub") in "".join(said.split("\n"))


def test_progress_is_a_bar_on_a_terminal_and_nothing_elsewhere(
    cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("evaluate", NAME, *FEW).stderr == ""
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, to rich
    assert cli("evaluate", NAME, *FEW, "--quiet").stderr == ""
    result = cli("evaluate", NAME, *FEW, "--json")
    assert json.loads(result.stdout)["model"] == NAME
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", result.stderr)
    for stage in ("test images", "training images", "samples", "metrics"):
        assert stage in plain
    assert "60/60" in plain


def test_the_python_function_is_the_command(done) -> None:
    found = genzoo.evaluate(NAME, samples=60, device=torch.device("cpu"))
    assert json.loads(done("evaluate", NAME, *FEW, "--json")) == found.to_dict()
