"""An evaluation as files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

import genzoo
from genzoo.data.fitting import TensorImages
from genzoo.errors import OutputError
from genzoo.evaluation.evaluate import Evaluation, evaluate
from genzoo.evaluation.metrics import nearest
from genzoo.evaluation.report import write_report
from genzoo.evaluation.sources import shuffled
from genzoo.model import Model


@pytest.fixture(scope="module")
def conditional() -> Evaluation:
    return evaluate("mlp-gan-digits", samples=400, device="cpu")


@pytest.fixture(scope="module")
def unconditional(drawing: Callable[[Tensor], Model], training: TensorImages) -> Evaluation:
    return evaluate(drawing(training.images[:120]), samples=120)


@pytest.mark.parametrize("which", ["conditional", "unconditional"])
def test_figures_and_a_picture_are_written(
    which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    evaluation: Evaluation = request.getfixturevalue(which)
    folder = tmp_path / "new" / "folder"
    files = write_report(evaluation, folder)
    assert files == [folder / f"{evaluation.model}{suffix}" for suffix in (".json", ".png")]
    assert sorted(folder.iterdir()) == files
    assert json.loads(files[0].read_text()) == evaluation.to_dict()
    with Image.open(files[1]) as picture:
        assert picture.info["model"] == evaluation.model
        assert picture.info["seed"] == "0"
        assert picture.info["genzoo"] == genzoo.__version__
        assert picture.info["weights_sha256"] == (evaluation.protocol["weights_sha256"] or "")
        assert "generated" in picture.info
        assert picture.width > picture.height > 200
        colours = picture.convert("L").getcolors()
        assert colours is not None
        assert len(colours) > 16  # digits have shades


def test_the_same_evaluation_gives_the_same_files(conditional: Evaluation, tmp_path: Path) -> None:
    one, other = (write_report(conditional, tmp_path / name) for name in ("one", "other"))
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in other]


def test_real_and_generated_images_have_a_row_for_each_class(
    conditional: Evaluation, test_split: TensorImages
) -> None:
    assert test_split.labels is not None
    order = torch.tensor(shuffled(len(test_split), 0))
    images, labels = test_split.images[order], test_split.labels[order]
    rows = [images[labels == c][:10] for c in range(10)]
    assert torch.equal(conditional.pictures["real"], torch.cat(rows))
    drawn = genzoo.load("mlp-gan-digits", "cpu")
    generated = conditional.pictures["generated"]
    assert generated.shape == (100, 1, 8, 8)
    by_class = generated.float().unflatten(0, (10, 10)).mean(1)
    asked = [drawn.sample(60, seed=0, labels=c).mean(0) * 255 for c in range(10)]
    gaps = torch.cdist(by_class.flatten(1), torch.stack(asked).flatten(1))
    assert gaps.argmin(1).tolist() == list(range(10))


def test_without_classes_the_first_images_are_shown(
    unconditional: Evaluation, training: TensorImages, test_split: TensorImages
) -> None:
    assert torch.equal(unconditional.pictures["generated"], training.images[:100])
    real = test_split.images[shuffled(len(test_split), 0)[:100]]
    assert torch.equal(unconditional.pictures["real"], real)


def test_samples_stand_before_their_nearest_training_images(
    conditional: Evaluation, training: TensorImages
) -> None:
    rows = conditional.pictures["neighbours"].unflatten(0, (10, 4))
    for sample, *shown in rows:
        _, (indices,) = nearest(sample.flatten()[None], training.images.flatten(1), 3)
        assert torch.equal(torch.stack(shown), training.images[indices])


def test_a_class_without_samples_has_an_empty_row(conditional: Evaluation) -> None:
    few = evaluate("mlp-gan-digits", samples=12, device="cpu")
    rows = few.pictures["generated"].unflatten(0, (-1, 10))
    drawn = [int((row.flatten(1).amax(1) > 0).sum()) for row in rows]
    assert sum(drawn) == 12
    assert few.by_class["label_agreement"].count(None) == drawn.count(0) + 10 - len(drawn)


def test_a_place_that_cannot_be_is_an_output_error(conditional: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        write_report(conditional, tmp_path / "file")
    (tmp_path / "mlp-gan-digits.png").mkdir()
    with pytest.raises(OutputError, match=r"mlp-gan-digits\.png"):
        write_report(conditional, tmp_path)


def test_a_model_that_came_from_no_file_has_no_sha256_to_state(
    unconditional: Evaluation, tmp_path: Path
) -> None:
    assert unconditional.protocol["weights_sha256"] is None
    renamed = dataclasses.replace(unconditional, model="other")
    assert [file.name for file in write_report(renamed, tmp_path)] == ["other.json", "other.png"]
