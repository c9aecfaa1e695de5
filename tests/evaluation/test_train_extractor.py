"""The command that trains extractors, on digits, for a moment."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genzoo.data.fitting import TensorImages
from genzoo.evaluation import train_extractor
from genzoo.evaluation.features import Classifier, load_extractor
from genzoo.evaluation.train_extractor import Recipe, accuracy, train, warp
from genzoo.registry.specs import Extractor
from genzoo.weights import format as weights_format

SHORT = Recipe(stages=((16,), (32,)), epochs=6, batch_size=50, learning_rate=1e-2, shift=1)


@pytest.fixture(scope="module")
def trained(training: TensorImages) -> Classifier:
    return train(SHORT, training)


def test_a_short_training_is_far_better_than_chance(
    trained: Classifier, test_split: TensorImages
) -> None:
    untrained = Classifier(1, 10, SHORT.stages).eval()
    assert accuracy(untrained, test_split) < 0.4
    assert accuracy(trained, test_split) > 0.85
    assert not trained.training


def test_another_seed_trains_another_network(trained: Classifier, training: TensorImages) -> None:
    other = train(replace(SHORT, seed=1, epochs=1), training)
    assert not torch.equal(other.head.weight, trained.head.weight)


def test_accuracy_is_the_share_of_right_answers(
    trained: Classifier, test_split: TensorImages
) -> None:
    predicted = torch.cat([trained(image[None])[1].argmax(1) for image in test_split.images])
    assert test_split.labels is not None
    expected = float((predicted == test_split.labels).double().mean())
    assert accuracy(trained, test_split) == pytest.approx(expected)


def test_what_is_warped_stays_an_image(training: TensorImages) -> None:
    images = training.images[:64]
    warped = warp(images, SHORT)
    assert (warped.shape, warped.dtype) == (images.shape, torch.float32)
    assert warped.min() >= 0
    assert warped.max() <= 255
    assert (warped - images).abs().mean() > 5
    still = replace(SHORT, rotate=0.0, scale=0.0, shift=0, noise=0.0)
    torch.testing.assert_close(warp(images, still), images.float(), rtol=0, atol=0.1)


def test_a_shift_is_by_whole_pixels_and_no_further() -> None:
    image = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    image[0, 0, 4, 4] = 255
    recipe = replace(SHORT, rotate=0.0, scale=0.0, shift=2, noise=0.0)
    moved = warp(image.expand(200, -1, -1, -1), recipe)
    places = {tuple((one > 250).nonzero()[0].tolist()) for one in moved[:, 0]}
    assert places == {(row, column) for row in range(2, 7) for column in range(2, 7)}


def run_command(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["train_extractor", "digits", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setitem(train_extractor.RECIPES, "digits", replace(SHORT, epochs=2))
    train_extractor.main()


def test_the_command_writes_what_a_descriptor_can_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    test_split: TensorImages,
) -> None:
    (tmp_path / "short_extractor").mkdir()
    (tmp_path / "short_extractor" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "short_extractor" / "digits.safetensors"
    run_command(file, monkeypatch)

    sha256 = weights_format.file_sha256(file)
    assert capsys.readouterr().out.rstrip().endswith(f"sha256 {sha256}")
    spec = Extractor(
        name="short",
        summary="short",
        factory="genzoo.evaluation.features:classifier",
        weights="pkg://short_extractor/digits.safetensors",
        sha256=sha256,
    )
    extractor = load_extractor(spec, torch.device("cpu"))
    _, header = weights_format.read(file)
    assert accuracy(extractor, test_split) == pytest.approx(header["accuracy"])
    assert header["recipe"]["epochs"] == 2

    # The same seed gives the same file, so that anyone can check where a ruler comes from.
    run_command(tmp_path / "again.safetensors", monkeypatch)
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["digits", "--output", "file/deeper"], "cannot write"),
        (["mnist", "--data", "file"], "file"),
    ],
)
def test_a_mistake_gets_a_message_before_the_training(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["train_extractor", *arguments])
    with pytest.raises(SystemExit) as stopped:
        train_extractor.main()
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err
