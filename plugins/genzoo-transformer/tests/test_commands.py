"""`genzoo complete`, `explain` and `evaluate` for a model that draws pixel by pixel."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

import genzoo
from genzoo.attention import edges, overlay
from genzoo.cli.main import app
from genzoo.data.load import load_dataset
from genzoo.images import grid

Run = Callable[..., Any]
RECIPE = """
name: tiny-pixels
requires: [genzoo-transformer]
image: {channels: 1, height: 8, width: 8}
classes: 10
architecture:
  name: pixel-transformer
  config: {levels: 17, patch_size: 2, reach: 1, width: 16, depth: 1, heads: 2}
objective: {name: autoregressive}
dataset: {name: digits}
training: {steps: 2, batch_size: 8, preview_every: 100}
card:
  summary: Two steps of training.
  licence: Apache-2.0
  dataset_licence: CC-BY-4.0
  intended_use: Tests.
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that lasted for two steps."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny-pixels.yaml").write_text(RECIPE)
    genzoo.train(folder / "tiny-pixels.yaml", folder / "run", device="cpu", progress=False)
    return folder / "run"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `genzoo ARGUMENTS` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def ask(*arguments: object, code: int = 0) -> Any:
        result = CliRunner().invoke(app, list(map(str, arguments)))
        assert result.exit_code == code, result.output
        return result

    return ask


def pixels(path: Path) -> Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)


def test_a_completion_stands_beside_the_image_and_what_was_kept_of_it(
    run: Run, weights: Path, tmp_path: Path
) -> None:
    options = ("-n", 2, "--keep-rows", 6, "--seed", 4, "-o", "out.png")
    said = run("complete", weights, *options).stdout
    assert said == "out.png: 2 images, of which tiny-pixels saw 6 rows, seed 4\n"
    model = genzoo.load(weights, "cpu")
    dataset = load_dataset(model.config, "test")
    images = torch.stack([dataset[0][0], dataset[1][0]])
    made = model.complete(images, 6, [dataset[0][1] or 0, dataset[1][1] or 0], seed=4)
    begun = made.clone()
    begun[:, :, 6:] = 0.5
    shown = torch.stack([images / 255, begun, made], dim=1).flatten(0, 1)
    assert torch.equal(pixels(tmp_path / "out.png"), grid(shown, 3))
    text = Image.open(tmp_path / "out.png").text  # type: ignore[attr-defined]
    facts = {"seed": "4", "keep_rows": "6", "originals": "digits, test", "model": "tiny-pixels"}
    facts["labels"] = f"{dataset[0][1]},{dataset[1][1]}"
    assert facts.items() <= text.items()


def test_half_is_kept_unless_told_otherwise_of_files_as_well(
    run: Run, weights: Path, tmp_path: Path
) -> None:
    Image.new("L", (8, 8), 255).save(tmp_path / "white.png")
    run("complete", weights, "white.png", "--labels", 3, "--seed", 0)
    text = Image.open(tmp_path / "tiny-pixels-completion.png").text  # type: ignore[attr-defined]
    assert (text["keep_rows"], text["originals"]) == ("4", "white.png")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--keep-rows", 9), "Keep 0 to 8 rows"),
        (("--keep-rows", 9, "--data", "nowhere"), "Keep 0 to 8 rows"),
        (("--labels", 3), "a dataset has its own"),
        (("-o", "out.gif"), "ends in .png"),
    ],
)
def test_mistakes_in_what_is_to_be_completed(
    run: Run, weights: Path, tmp_path: Path, arguments: tuple[object, ...], said: str
) -> None:
    assert said in run("complete", weights, *arguments, code=2).stderr
    assert not list(tmp_path.iterdir())


def test_a_model_that_cannot_complete_or_explain_says_so(run: Run) -> None:
    for command, word in (("complete", "CanComplete"), ("explain", "ShowsAttention")):
        message = run(command, "mlp-gan-digits", code=2).stderr
        assert "mlp-gan-digits cannot" in message
        assert word in message


def test_attention_stands_beside_each_image(run: Run, weights: Path, tmp_path: Path) -> None:
    said = run("explain", weights, "-n", 2, "--labels", "1,7", "--seed", 3, "-o", "out.png").stdout
    assert said == "out.png: 2 images by tiny-pixels, seed 3, and what they saw\n"
    model = genzoo.load(weights, "cpu")
    drawn = model.sample(2, seed=3, labels=[1, 7])
    rows = []
    for image, label in zip(drawn, (1, 7), strict=True):
        places = edges(image)
        rows.append(overlay(image, model.attention(image[None], places, label)[0], places))
    assert torch.equal(pixels(tmp_path / "out.png"), grid(torch.cat(rows), 6))


def test_pixels_to_explain_may_be_named(run: Run, weights: Path, tmp_path: Path) -> None:
    run("explain", weights, "-n", 1, "--seed", 3, "--at", "7,7", "--at", "0,3", "-o", "out.png")
    model = genzoo.load(weights, "cpu")
    image, places = model.sample(1, seed=3), [(7, 7), (0, 3)]
    label = model.labels(1, 3)
    shown = overlay(image[0], model.attention(image, places, label)[0], places)
    assert torch.equal(pixels(tmp_path / "out.png"), grid(shown, 3))
    assert Image.open(tmp_path / "out.png").text["at"] == "7,7 0,3"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("place", "said"),
    [("8,0", "Rows are 0 to 7"), ("3", "its row and its column"), ("a,b", "that is no pixel")],
)
def test_a_pixel_that_is_none(
    run: Run, weights: Path, tmp_path: Path, place: str, said: str
) -> None:
    assert said in run("explain", weights, "--at", place, code=2).stderr
    assert not list(tmp_path.iterdir())


def test_its_likelihood_is_exact_and_says_so(run: Run, weights: Path) -> None:
    options = ("--samples", 297, "--device", "cpu", "--json", "--quiet", "--importance-samples", 2)
    found = json.loads(run("evaluate", weights, *options).stdout)
    protocol = found["protocol"]
    assert protocol["likelihood"] == "exact"
    assert "importance_samples" not in protocol
    model = genzoo.load(weights, "cpu")
    dataset = load_dataset(model.config, "test")
    rows = [dataset[index] for index in range(len(dataset))]
    images = torch.stack([image for image, _ in rows])
    nats = -model.log_likelihood(images, torch.tensor([label for _, label in rows])).mean()
    assert protocol["likelihood_images"] == len(rows)
    assert found["figures"]["nll"] == pytest.approx(nats.item(), rel=1e-5)
