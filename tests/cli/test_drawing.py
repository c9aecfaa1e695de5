from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import genzoo
from genzoo.data.load import load_dataset
from genzoo.images import grid


def cells(path: Path) -> tuple[int, int]:
    """Return how many 8x8 images stand beside and below each other in a grid."""
    with Image.open(path) as picture:
        width, height = picture.size
    for columns, rows in itertools.product(range(1, 12), repeat=2):
        empty = grid(torch.zeros(columns * rows, 1, 8, 8), columns)
        if empty.shape == (3, height, width):
            return columns, rows
    raise AssertionError(f"{path} is no grid of 8x8 images: {width}x{height}")


def pixels(path: Path) -> Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)


def test_a_grid_holds_what_python_draws(done, runs: Path, tmp_path: Path) -> None:
    done("sample", runs / "tiny-gan", "-n", 20, "--seed", 3, "--labels", "0-9", "-o", "out.png")
    images = genzoo.load(runs / "tiny-gan", "cpu").sample(20, seed=3, labels=range(10))
    assert torch.equal(pixels(tmp_path / "out.png"), grid(images, 10))


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ([], (8, 8)),
        (["-n", 30, "--labels", "0-9"], (10, 3)),
        (["-n", 6, "--columns", 3], (3, 2)),
        (["-n", 4, "--labels", "7"], (2, 2)),
    ],
)
def test_the_shape_of_a_grid(done, runs: Path, tmp_path: Path, options, shape) -> None:
    done("sample", runs / "tiny-gan", "--seed", 0, *options)
    assert cells(tmp_path / "tiny-gan.png") == shape


def test_a_picture_says_where_it_comes_from(done, runs: Path, tmp_path: Path) -> None:
    done("sample", runs / "tiny-gan", "-n", 4, "--seed", 5, "--labels", "1,8", "-o", "out.png")
    text = Image.open(tmp_path / "out.png").text  # type: ignore[attr-defined]
    assert text == {
        "model": "tiny-gan",
        "weights_sha256": genzoo.load(runs / "tiny-gan", "cpu").sha256,
        "seed": "5",
        "labels": "1,8,1,8",
        "genzoo": genzoo.__version__,
        "torch": torch.__version__,
        "generated": "by a model, with genzoo",
    }


def test_a_setting_of_how_images_are_drawn(done, runs: Path, tmp_path: Path) -> None:
    options = ("-n", 4, "--seed", 5, "--labels", "1,8", "--columns", 2)
    drawn = ("--set", "objective.config.samples=drawn")
    done("sample", runs / "tiny-vae", *options, *drawn, "-o", "out.png")
    model = genzoo.load(runs / "tiny-vae", "cpu", objective={"samples": "drawn"})
    images = model.sample(4, seed=5, labels=[1, 8])
    assert torch.equal(pixels(tmp_path / "out.png"), grid(images, 2))
    expected = genzoo.load(runs / "tiny-vae", "cpu").sample(4, seed=5, labels=[1, 8])
    assert not torch.equal(images, expected)
    text = Image.open(tmp_path / "out.png").text  # type: ignore[attr-defined]
    assert text["objective.config.samples"] == '"drawn"'
    done("interpolate", runs / "tiny-vae", "-n", 1, "--frames", 2, *drawn, "-o", "walk.png")
    done("reconstruct", runs / "tiny-vae", "-n", 1, *drawn, "-o", "pair.png")


@pytest.mark.parametrize(
    ("setting", "said", "hint"),
    [
        ("training.steps=5", "but for how it is drawn from", "objective.config.NAME=VALUE"),
        ("objective.config.sampels=drawn", "objective.config.sampels", "samples"),
        ("objective.config.samples=loud", "objective.config.samples", "'drawn'"),
        ("objective.config.beta=2", "beta decides how a model is trained", "samples"),
        ("objective.config=5", "but for how it is drawn from", "objective.config.NAME=VALUE"),
        ("samples", "not a path and a value", "--set training.steps=100"),
    ],
)
def test_a_setting_that_is_none(refused, runs: Path, setting: str, said: str, hint: str) -> None:
    message = refused("sample", runs / "tiny-vae", "--set", setting)
    assert said in message
    assert hint in message


def test_arrays_for_programs(done, runs: Path, tmp_path: Path) -> None:
    done("sample", runs / "tiny-gan", "-n", 5, "--seed", 3, "-o", "deep/out.npz")
    with np.load(tmp_path / "deep" / "out.npz") as arrays:
        assert sorted(arrays) == ["images", "labels"]
        images, labels = arrays["images"], arrays["labels"]
    model = genzoo.load(runs / "tiny-gan", "cpu")
    assert (images.dtype, images.shape) == (np.float32, (5, 1, 8, 8))
    np.testing.assert_array_equal(images, model.sample(5, seed=3).numpy())
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, model.labels(5, 3))


def test_an_unconditional_model_has_labels_of_minus_one(done, runs: Path, tmp_path: Path) -> None:
    done("sample", runs / "tiny-unconditional", "-n", 3, "--seed", 0, "-o", "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["labels"].tolist() == [-1, -1, -1]
    done("sample", runs / "tiny-unconditional", "-n", 3, "--seed", 0)
    picture = Image.open(tmp_path / "tiny-unconditional.png")
    assert picture.text["labels"] == "none"  # type: ignore[attr-defined]


def test_a_drawn_seed_is_told_and_draws_the_same_again(done, runs: Path, tmp_path: Path) -> None:
    said = done("sample", runs / "tiny-gan", "-n", 9, "-o", "first.png")
    seed = re.search(r"seed (\d+)", said)
    assert seed is not None
    done("sample", runs / "tiny-gan", "-n", 9, "--seed", seed[1], "-o", "second.png")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    assert seed[1] not in done("sample", runs / "tiny-gan", "-n", 9, "-o", "third.png")


def test_where_the_file_cannot_be_written_nothing_is_drawn(
    refused, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("drawn")

    monkeypatch.setattr(genzoo.model.Model, "sample_batches", never)
    (tmp_path / "tiny-gan.png").mkdir()
    assert "tiny-gan.png: it is a folder" in refused("sample", runs / "tiny-gan")
    assert "tiny-gan.png: it is a folder" in refused(
        "sample", runs / "tiny-gan", "-o", "tiny-gan.png"
    )


def test_the_batch_size_changes_no_image(done, runs: Path, tmp_path: Path) -> None:
    for size in (2, 256):
        done(
            "sample",
            runs / "tiny-gan",
            "-n",
            7,
            "--seed=1",
            f"--batch-size={size}",
            f"-o{size}.npz",
        )
    one, other = (np.load(tmp_path / f"{size}.npz")["images"] for size in (2, 256))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_an_animation_of_walks(done, runs: Path, tmp_path: Path) -> None:
    done("interpolate", runs / "tiny-vae", "-n", 10, "--frames", 4, "--seed", 2, "--labels", "0-9")
    with Image.open(tmp_path / "tiny-vae-interpolation.gif") as animation:
        assert animation.n_frames == 6  # type: ignore[attr-defined]  # there and back again
        comment = animation.info["comment"].decode()
    assert cells(tmp_path / "tiny-vae-interpolation.gif") == (10, 1)
    for fact in ("generated", "model: tiny-vae", "seed: 2", "labels: 0,1,2,3"):
        assert fact in comment


def test_walks_as_rows(done, runs: Path, tmp_path: Path) -> None:
    done("interpolate", runs / "tiny-vae", "-n", 3, "--frames", 5, "--seed", 2, "-o", "walks.png")
    walks = genzoo.load(runs / "tiny-vae", "cpu").interpolate(3, 5, seed=2)
    assert torch.equal(pixels(tmp_path / "walks.png"), grid(walks.flatten(0, 1), 5))


@pytest.mark.parametrize(("options", "split"), [([], "test"), (["--split", "train"], "train")])
def test_reconstructions_stand_beside_images_of_the_dataset(
    done, runs: Path, tmp_path: Path, options, split
) -> None:
    done("reconstruct", runs / "tiny-vae", "-n", 2, "-o", "out.png", *options)
    model = genzoo.load(runs / "tiny-vae", "cpu")
    dataset = load_dataset(model.config, split)
    images = torch.stack([dataset[0][0], dataset[1][0]])
    made = model.reconstruct(images, [dataset[0][1], dataset[1][1]])
    shown = torch.stack([images[0] / 255, made[0], images[1] / 255, made[1]])
    assert torch.equal(pixels(tmp_path / "out.png"), grid(shown, 2))
    text = Image.open(tmp_path / "out.png").text  # type: ignore[attr-defined]
    assert text["originals"] == f"digits, {split}"


def test_reconstructions_of_files(done, runs: Path, tmp_path: Path) -> None:
    for name, size in (("a.png", (8, 8)), ("b.jpg", (40, 30))):
        Image.new("RGB", size, (200, 30, 90)).save(tmp_path / name)
    done("reconstruct", runs / "tiny-vae", "a.png", "b.jpg", "--labels", "3,4")
    assert cells(tmp_path / "tiny-vae-reconstruction.png") == (2, 2)
    picture = Image.open(tmp_path / "tiny-vae-reconstruction.png")
    assert picture.text["originals"] == "a.png, b.jpg"  # type: ignore[attr-defined]
