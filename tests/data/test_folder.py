from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from genzoo.data.configs import FolderConfig
from genzoo.data.fitting import Split
from genzoo.data.folder import FolderImages, folder
from genzoo.errors import DataError
from genzoo.registry.specs import ImageSpec

Fit = Literal["crop", "stretch"]

SPLITS: tuple[Split, ...] = ("train", "test")
SMALL = ImageSpec(1, 2, 2)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def save(path: Path, image: Image.Image | None = None, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("L", (2, 2), 9)).save(path, **options)


def load(
    path: Path, image: ImageSpec = SMALL, *, split: Split = "train", fit: Fit = "crop"
) -> FolderImages:
    return folder(FolderConfig(path=str(path), fit=fit), image, split, None)


def only(path: Path, image: ImageSpec, *, fit: Fit = "crop") -> Tensor:
    """Return the pixels of a folder's one image."""
    dataset = load(path, image, fit=fit)
    assert len(dataset) == 1
    pixels, _ = dataset[0]
    assert pixels.dtype == torch.uint8
    assert pixels.shape == (image.channels, image.height, image.width)
    return pixels


def names(dataset: FolderImages) -> list[str]:
    return [Path(file).name for file in dataset.files]


def refused(path: Path, image: ImageSpec = SMALL, *, split: Split = "train") -> str:
    with pytest.raises(DataError) as raised:
        load(path, image, split=split)
    assert raised.value.hint
    return str(raised.value)


# What is found


def test_sub_folders_are_classes_in_sorted_order(tmp_path: Path) -> None:
    for name in ("dog/b.png", "cat/z.jpg", "dog/deep/a.png"):
        save(tmp_path / name)
    dataset = load(tmp_path, ImageSpec(1, 2, 2, 2))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.image == ImageSpec(1, 2, 2, 2)
    assert names(dataset) == ["z.jpg", "b.png", "a.png"]
    assert [dataset[i][1] for i in range(3)] == [0, 1, 1]


def test_a_flat_folder_has_no_classes(tmp_path: Path) -> None:
    save(tmp_path / "b.png")
    save(tmp_path / "a.png")
    dataset = load(tmp_path)
    assert names(dataset) == ["a.png", "b.png"]
    assert dataset.class_names == ()
    assert dataset.image.classes is None
    assert dataset[0][1] is None


def test_classes_may_be_ignored(tmp_path: Path) -> None:
    save(tmp_path / "cat/a.png")
    dataset = load(tmp_path, ImageSpec(1, 2, 2, None))
    assert dataset[0][1] is None
    assert dataset.image.classes == 1


def test_hidden_files_and_other_files_are_passed_over(tmp_path: Path) -> None:
    save(tmp_path / "cat/a.png")
    for stray in ("cat/._a.png", "cat/notes.txt", ".cache/x.png", "cat/.thumbs/y.png", "README"):
        (tmp_path / stray).parent.mkdir(exist_ok=True)
        (tmp_path / stray).write_text("not a picture")
    assert names(load(tmp_path)) == ["a.png"]


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "webp", "bmp", "gif", "tif", "ppm"])
def test_common_formats_are_read(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / f"a.{suffix}", Image.new("RGB", (4, 4), (250, 250, 250)))
    assert (only(tmp_path, ImageSpec(3, 4, 4)).int() - 250).abs().max() <= 2


def test_every_tenth_file_is_kept_for_testing(tmp_path: Path) -> None:
    for number in range(25):
        save(tmp_path / f"{number:02}.png")
    assert names(load(tmp_path, split="test")) == ["09.png", "19.png"]
    train = names(load(tmp_path))
    assert len(train) == 23
    assert not set(train) & {"09.png", "19.png"}


def test_train_and_test_folders_are_the_splits(tmp_path: Path) -> None:
    for name in ("train/cat/a.png", "train/dog/b.png", "test/cat/c.png", "test/dog/d.png"):
        save(tmp_path / name)
    train, test = (load(tmp_path, ImageSpec(1, 2, 2, 2), split=s) for s in SPLITS)
    assert names(train) == ["a.png", "b.png"]
    assert names(test) == ["c.png", "d.png"]
    assert train.class_names == test.class_names == ("cat", "dog")
    assert train.labels == test.labels == (0, 1)


def test_the_path_may_start_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "pictures/a.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert names(load(Path("~/pictures"))) == ["a.png"]


# What is refused


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in refused(tmp_path / "nowhere")


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    message = refused(tmp_path, ImageSpec(1, 2, 2, 10))
    assert f"{tmp_path} holds no images" in message
    assert ".png" in message


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    save(tmp_path / "cat/a.png")
    (tmp_path / "dog").mkdir()
    assert str(tmp_path / "dog") in refused(tmp_path)


def test_images_beside_classes_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "cat/a.png")
    save(tmp_path / "stray.png")
    assert str(tmp_path / "stray.png") in refused(tmp_path)


def test_splits_with_other_classes_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "train/cat/a.png")
    save(tmp_path / "test/cow/b.png")
    assert "'cat'" in refused(tmp_path, split="test")


def test_too_few_images_for_a_test_split_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    assert "fewer than 10" in refused(tmp_path, split="test")


@pytest.mark.parametrize(
    ("name", "expected"), [("a.png", "has no classes"), ("cat/a.png", "has 1 classes")]
)
def test_a_wrong_number_of_classes_is_refused(tmp_path: Path, name: str, expected: str) -> None:
    save(tmp_path / name)
    assert expected in refused(tmp_path, ImageSpec(1, 2, 2, 10))


def cut(kind: str) -> bytes:
    """Return an image file that lacks its end."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, format=kind)
    return file.getvalue()[:-500]


def floats() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(file, format="tiff")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", b""),
        ("a.jpg", b"not a picture"),
        ("a.png", cut("png")),
        ("a.jpg", cut("jpeg")),
        ("a.gif", cut("gif")),
        ("a.webp", cut("webp")),
        ("a.tif", floats()),
    ],
    ids=["empty", "text", "cut png", "cut jpeg", "cut gif", "cut webp", "floating point"],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    dataset = load(tmp_path)
    with pytest.raises(DataError) as raised:
        dataset[0]
    assert str(file) in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize("given", [{}, {"path": ""}, {"path": "x", "fit": "pad"}])
def test_the_config_needs_a_path_and_a_known_fit(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        FolderConfig.model_validate(given)


# How it is decoded


def flag(*colours: tuple[int, int, int], each: int = 4) -> Image.Image:
    """Return vertical stripes, each of `each` columns, half as high as a stripe is wide."""
    row = np.repeat(np.array(colours, dtype=np.uint8), each, axis=0)
    return Image.fromarray(np.tile(row, (each, 1, 1)))


def test_crop_keeps_the_middle(tmp_path: Path) -> None:
    save(tmp_path / "a.png", flag(RED, GREEN, BLUE))
    pixels = only(tmp_path, ImageSpec(3, 4, 4))
    assert pixels[:, 0].T.tolist() == [list(GREEN)] * 4


def test_crop_scales_before_it_cuts(tmp_path: Path) -> None:
    save(tmp_path / "a.png", flag(RED, GREEN, BLUE, each=16))
    pixels = only(tmp_path, ImageSpec(3, 4, 4))
    assert pixels[:, 2, 1:3].T.tolist() == [list(GREEN)] * 2


def test_stretch_keeps_everything(tmp_path: Path) -> None:
    save(tmp_path / "a.png", flag(RED, GREEN, BLUE, each=8))
    pixels = only(tmp_path, ImageSpec(3, 3, 3), fit="stretch")
    assert pixels[:, 1].argmax(dim=0).tolist() == [0, 1, 2]


def test_the_orientation_of_a_photograph_is_respected(tmp_path: Path) -> None:
    upright = flag(RED, BLUE, each=8).resize((8, 8))
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    save(tmp_path / "a.png", upright.rotate(180), exif=exif)
    pixels = only(tmp_path, ImageSpec(3, 8, 8))
    assert torch.equal(pixels, torch.from_numpy(np.array(upright)).permute(2, 0, 1))


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    save(tmp_path / "a.png", Image.new("RGBA", (2, 2), (255, 0, 0, 0)))
    assert (only(tmp_path, ImageSpec(3, 2, 2)) == 255).all()


def test_what_is_half_transparent_is_mixed_with_white(tmp_path: Path) -> None:
    save(tmp_path / "a.png", Image.new("LA", (2, 2), (0, 128)))
    assert (only(tmp_path, ImageSpec(1, 2, 2)) == 127).all()


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    save(tmp_path / "a.gif", flag(RED, BLUE).convert("P", palette=Image.Palette.ADAPTIVE))
    pixels = only(tmp_path, ImageSpec(3, 4, 8))
    assert pixels[:, 0].T.tolist() == [list(RED)] * 4 + [list(BLUE)] * 4


def test_a_transparent_palette_entry_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    save(tmp_path / "a.png", image, transparency=1)
    assert (only(tmp_path, ImageSpec(3, 2, 2)) == 255).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(
    ("stored", "expected"), [(0, 0), (128, 0), (129, 1), (65406, 254), (65407, 255)]
)
def test_sixteen_bits_are_scaled_to_eight(
    tmp_path: Path, suffix: str, stored: int, expected: int
) -> None:
    save(tmp_path / f"a.{suffix}", Image.fromarray(np.full((2, 2), stored, dtype=np.uint16)))
    assert (only(tmp_path, ImageSpec(1, 2, 2)) == expected).all()


def test_black_and_white_becomes_0_and_255(tmp_path: Path) -> None:
    save(tmp_path / "a.png", Image.fromarray(np.array([[True, False]])))
    assert only(tmp_path, ImageSpec(1, 1, 2)).flatten().tolist() == [255, 0]


def test_print_colours_become_rgb(tmp_path: Path) -> None:
    save(tmp_path / "a.tif", Image.new("CMYK", (2, 2), (0, 255, 255, 0)))
    assert only(tmp_path, ImageSpec(3, 2, 2))[:, 0, 0].tolist() == list(RED)


def test_a_white_photograph_becomes_white_in_grey(tmp_path: Path) -> None:
    save(tmp_path / "a.png", Image.new("RGB", (3, 5), WHITE))
    assert (only(tmp_path, ImageSpec(1, 4, 6)) == 255).all()
