"""What the protocol says of models whose worth is known, because a test has planted it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from genzoo.data.fitting import TensorImages
from genzoo.data.load import load_named
from genzoo.errors import UnsupportedError
from genzoo.evaluation.evaluate import Evaluation, evaluate
from genzoo.evaluation.protocol import FLOOR_DRAWS
from genzoo.evaluation.ruler import Ruler
from genzoo.evaluation.sources import shuffled
from genzoo.model import Model
from genzoo.registry.config import zoo_config

SAMPLES = 250  # so that as many training images again are in none of the floor's draws
Draw = Callable[[Tensor, Tensor | None], Tensor]


@pytest.fixture(scope="module")
def worth(
    training: TensorImages, test_split: TensorImages, drawing: Callable[[Tensor], Model]
) -> Mapping[str, Evaluation]:
    unseen = training.images[shuffled(len(training), 0)[FLOOR_DRAWS * SAMPLES :]]
    assert len(unseen) == SAMPLES
    noise = torch.randint(
        0, 256, (SAMPLES, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    quarter = test_split.images[torch.arange(SAMPLES) % len(test_split)]
    quarter[::4] = unseen[::4]
    images = {
        "unseen": unseen,
        "test": test_split.images[shuffled(len(test_split), 0)],  # as the protocol looks at them
        "blank": torch.zeros(1, 1, 8, 8, dtype=torch.uint8),
        "repeated": unseen[:1],
        "noise": noise,
        "quarter": quarter,
    }
    return {name: evaluate(drawing(each), samples=SAMPLES) for name, each in images.items()}


def test_real_images_are_worth_the_floor(worth: Mapping[str, Evaluation]) -> None:
    found = worth["unseen"]
    assert found.figures["fid_ratio"] == found.figures["fid"] / found.floor["fid"]
    for name in ("precision", "recall", "density", "coverage", "class_balance"):
        assert found.figures[name] == pytest.approx(found.floor[name], abs=0.1)
    assert found.figures["kid"] == pytest.approx(0, abs=0.1)
    assert found.floor["kid"] == pytest.approx(0, abs=0.1)


def test_the_fid_of_real_images_is_the_floor_s_on_average(
    training: TensorImages, drawing: Callable[[Tensor], Model]
) -> None:
    ratios = []
    for seed in range(12):  # of so few images, one alone may be half the floor or twice
        model = drawing(training.images[shuffled(len(training), seed)[FLOOR_DRAWS * SAMPLES :]])
        ruler = Ruler(model, samples=SAMPLES, seed=seed)
        ratios.append(ruler.fid(ruler.look_at(model)) / ruler.floor_fid)
    assert sum(ratios) / len(ratios) == pytest.approx(1, abs=0.3)
    assert max(ratios) < 3


@pytest.mark.skipif(not os.environ.get("GENZOO_DATA"), reason="needs GENZOO_DATA with MNIST")
def test_real_images_of_mnist_are_worth_the_floor(planted: Callable[..., Model]) -> None:
    training = load_named("mnist", "train")
    assert isinstance(training, TensorImages)
    assert training.labels is not None
    count = 3000
    rows = torch.tensor(shuffled(len(training), 0)[FLOOR_DRAWS * count :])
    by_class = [rows[training.labels[rows] == c] for c in range(10)]

    def draw(indices: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None
        chosen = [by_class[c][i] for c, i in zip(labels.tolist(), indices.tolist(), strict=True)]
        return training.images[torch.stack(chosen)].float()

    found = evaluate(planted(draw, 10, (1, 28, 28), "mnist"), samples=count).figures
    assert 0.75 < found["fid_ratio"] < 1.25
    assert found["label_agreement"] > 0.99


@pytest.mark.parametrize(
    ("name", "ratio"), [("blank", 30), ("repeated", 30), ("noise", 20)], ids=lambda value: value
)
def test_what_is_worth_nothing_is_said_to_be(
    name: str, ratio: float, worth: Mapping[str, Evaluation]
) -> None:
    found = worth[name].figures
    assert found["fid_ratio"] > ratio
    assert found["kid"] > 1
    assert found["recall"] < 0.15
    assert found["coverage"] < 0.1
    assert found["class_balance"] < 0.3


def test_precision_tells_the_blank_and_the_noisy_from_the_repeated(
    worth: Mapping[str, Evaluation],
) -> None:
    found = {name: worth[name].figures for name in ("blank", "repeated", "noise")}
    assert found["blank"]["precision"] == found["blank"]["density"] == 0
    assert found["noise"]["density"] < 0.2
    assert found["repeated"]["precision"] == 1  # one good image is all that it takes
    assert found["repeated"]["recall"] == 0
    shares = worth["repeated"].by_class["class_share"]
    assert sorted(share for share in shares if share is not None) == [0] * 9 + [1]


def test_copies_of_training_images_are_caught(worth: Mapping[str, Evaluation]) -> None:
    copies, fresh = worth["unseen"].figures, worth["test"].figures
    assert (copies["copied"], copies["nearest_train"]) == (1, 0)
    assert copies["fid_ratio"] < 2  # which alone would have hidden it
    assert (fresh["copied"], worth["test"].floor["copied"]) == (0, 0)
    assert fresh["nearest_train"] == pytest.approx(worth["test"].floor["nearest_train"])


def test_copies_among_others_are_caught_as_often_as_they_are(
    worth: Mapping[str, Evaluation],
) -> None:
    found = worth["quarter"]
    assert found.figures["copied"] == pytest.approx(0.25, abs=0.01)
    assert found.figures["nearest_train"] > 0.8 * found.floor["nearest_train"]


def test_the_floor_is_the_same_whatever_the_model(worth: Mapping[str, Evaluation]) -> None:
    assert all(found.floor == worth["unseen"].floor for found in worth.values())


def test_an_unconditional_model_has_a_class_balance(worth: Mapping[str, Evaluation]) -> None:
    found = worth["unseen"]
    assert {"class_balance"} == {"class_balance", "label_agreement"} & found.figures.keys()
    assert {"class_balance"} == {"class_balance", "label_agreement"} & found.floor.keys()
    assert list(found.by_class) == ["class_share"]
    shares = [share for share in found.by_class["class_share"] if share is not None]
    assert len(shares) == 10
    assert sum(shares) == pytest.approx(1)
    assert found.protocol["labels"] == "none"


@pytest.fixture(scope="module")
def of_class(training: TensorImages) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function of indices and labels: training images of those classes."""
    assert training.labels is not None
    pools = [training.images[training.labels == c] for c in range(10)]

    def draw(indices: Tensor, labels: Tensor) -> Tensor:
        pairs = zip(indices.tolist(), labels.tolist(), strict=True)
        return torch.stack([pools[c][i % len(pools[c])] for i, c in pairs]).float()

    return draw


def test_a_conditional_model_has_a_label_agreement(
    planted: Callable[..., Model], of_class: Draw
) -> None:
    asked: list[Tensor] = []

    def draw(indices: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None
        asked.append(labels)
        # It takes every 3 for an 8, and draws the rest as asked for.
        return of_class(indices, torch.where(labels == 3, 8, labels))

    found = evaluate(planted(draw, classes=10), samples=400)
    labels = torch.cat(asked)
    assert {"label_agreement"} == {"class_balance", "label_agreement"} & found.figures.keys()
    by_class = found.by_class["label_agreement"]
    assert by_class[3] == 0
    assert [by_class[c] for c in range(10) if c != 3] == pytest.approx([1] * 9, abs=0.03)
    share = float((labels != 3).double().mean())
    assert found.figures["label_agreement"] == pytest.approx(share, abs=0.01)
    assert found.floor["label_agreement"] > 0.99
    assert all(share > 0.9 for share in found.floor_by_class["label_agreement"])


def test_labels_are_asked_for_as_often_as_the_floor_has_them(
    planted: Callable[..., Model], training: TensorImages, of_class: Draw
) -> None:
    asked: list[Tensor] = []

    def draw(indices: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None
        asked.append(labels)
        return of_class(indices, labels)

    found = evaluate(planted(draw, classes=10), samples=60, seed=4, batch_size=25)
    assert training.labels is not None
    rows = shuffled(len(training), 4)[:60]
    assert torch.cat(asked).tolist() == training.labels[rows].tolist()
    assert found.protocol["labels"] == "as frequent as among the floor's images"


def test_a_model_that_does_not_listen_agrees_by_chance(
    planted: Callable[..., Model], training: TensorImages
) -> None:
    model = planted(lambda indices, labels: training.images[indices].float(), classes=10)
    found = evaluate(model, samples=400)
    assert found.figures["label_agreement"] == pytest.approx(0.1, abs=0.05)
    assert found.figures["fid_ratio"] < 2  # its images are real: only the labels give it away


def test_images_are_quantized_first(
    drawing: Callable[[Tensor], Model], training: TensorImages
) -> None:
    exact = training.images[:40].float()
    off = exact + 0.4 * torch.linspace(-1, 1, 64).view(1, 1, 8, 8)
    one, other = (evaluate(drawing(images), samples=40) for images in (exact, off))
    assert one.figures == other.figures
    assert one.protocol["quantization"] == "uint8"


def shaded(folder: Path, shades: dict[str, int], count: int) -> None:
    """Write `count` images of each shade, under names that sort by shade."""
    folder.mkdir(parents=True)
    for name, shade in shades.items():
        for i in range(count):
            pixels = np.full((8, 8), shade + i % 7, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{name}{i:02d}.png")


def of_folder(planted: Callable[..., Model], path: Path) -> Model:
    model = planted(lambda indices, labels: torch.rand(len(indices), 1, 8, 8) * 255)
    data = model.config.model_dump(mode="json")
    data["dataset"] = {"name": "folder", "config": {"path": str(path)}}
    return Model(zoo_config(data, source="test"), model.networks, model.objective)


def test_as_many_test_images_as_there_are_make_the_picture(
    planted: Callable[..., Model], tmp_path: Path
) -> None:
    shaded(tmp_path / "train", {"a": 0, "b": 100}, 10)
    shaded(tmp_path / "test", {"a": 0}, 7)
    told: list[tuple[str, int, int]] = []
    model = of_folder(planted, tmp_path)
    worth = evaluate(model, extractor="digits", progress=lambda *step: told.append(step))
    assert worth.protocol["reference_images"] == 7
    # Files are read once more for neighbours, and of a large set that takes a while.
    assert ("all training images", 20, 20) in told
    assert len(worth.pictures["neighbours"]) == 7 * 4


@pytest.mark.parametrize(("train", "test", "short"), [(20, 5, "test"), (3, 20, "train")])
def test_a_split_that_is_too_small_is_named(
    planted: Callable[..., Model], tmp_path: Path, train: int, test: int, short: str
) -> None:
    shaded(tmp_path / "train", {"a": 0}, train)
    shaded(tmp_path / "test", {"a": 0}, test)
    with pytest.raises(UnsupportedError, match=rf"its {short} split has [35] images") as raised:
        evaluate(of_folder(planted, tmp_path), extractor="digits")
    assert raised.value.hint


def test_a_sorted_set_is_compared_in_a_fair_order(
    planted: Callable[..., Model], tmp_path: Path
) -> None:
    shades = {"a": 0, "b": 100, "c": 200}
    for split in ("train", "test"):
        shaded(tmp_path / split, shades, 30)
    ruler = Ruler(of_folder(planted, tmp_path), extractor="digits")
    for sight in (ruler.reference, ruler.floor):
        first = sight.thumbnails[:30].flatten(1).float().mean(1)
        assert {int(mean) // 100 for mean in first} == {0, 1, 2}


def test_a_model_stays_in_its_mode_and_on_its_device(
    drawing: Callable[[Tensor], Model], training: TensorImages
) -> None:
    model = drawing(training.images).train()
    evaluate(model, samples=50)
    assert model.training
    with pytest.raises(UnsupportedError, match="where it is, on cpu"):
        evaluate(model, samples=50, device="cpu")
