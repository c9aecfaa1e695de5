from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from torch import Tensor
from torchvision.utils import make_grid

import genzoo
from genzoo.errors import OutputError
from genzoo.images import grid, save_animation, save_arrays, save_frames, save_image


def pictures(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_images_stand_in_rows_from_left_to_right() -> None:
    images = torch.linspace(0, 1, 6).view(6, 1, 1, 1).expand(6, 1, 300, 300)
    picture = grid(images, columns=3)
    assert (picture.dtype, picture.shape) == (torch.uint8, (3, 2 * 302 + 2, 3 * 302 + 2))
    for i in range(6):
        row, column = divmod(i, 3)
        tile = picture[:, 2 + 302 * row : 302 * (row + 1), 2 + 302 * column : 302 * (column + 1)]
        assert (tile == round(255 * i / 5)).all()


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4)])
def test_a_grid_is_square_unless_asked_otherwise(n: int, columns: int) -> None:
    images = pictures(n, 1, 300, 300)
    assert torch.equal(grid(images), grid(images, columns))
    assert grid(images).shape[2] // 300 == columns


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (1, 4), (5, 3), (12, 4), (3, 8)])
def test_a_grid_is_torchvision_s(n: int, columns: int) -> None:
    images = torch.rand(n, 1, 450, 460, generator=torch.Generator().manual_seed(n))
    expected = make_grid(images, nrow=columns, padding=2, pad_value=0.5)
    assert torch.equal(grid(images, columns), expected.mul(255).round().to(torch.uint8))


def test_small_grids_are_enlarged_by_a_whole_factor() -> None:
    small = (pictures(4, 3, 8, 8) * 255).round() / 255
    picture = grid(small, columns=4)
    scale = picture.shape[2] // (4 * 10 + 2)
    assert scale > 1
    assert picture.shape == (3, 12 * scale, 42 * scale)
    first = picture[:, 2 * scale : 10 * scale : scale, 2 * scale : 10 * scale : scale]
    assert torch.equal(first, (small[0] * 255).to(torch.uint8))


def test_grey_images_become_grey_colours() -> None:
    picture = grid(pictures(2, 1, 8, 8))
    assert torch.equal(picture[0], picture[1])
    assert torch.equal(picture[0], picture[2])


def test_values_beyond_the_range_are_clamped_and_bytes_are_taken_as_they_are() -> None:
    images = torch.tensor([-1.0, 0.0, 1.0, 2.0]).view(4, 1, 1, 1).expand(4, 1, 8, 8)
    clamped = torch.tensor([0, 0, 255, 255], dtype=torch.uint8)
    assert torch.equal(grid(images), grid(clamped.view(4, 1, 1, 1).expand(4, 1, 8, 8)))
    assert torch.equal(grid(images.clamp(0, 1)), grid(images))
    assert torch.equal(grid(images.to(torch.bfloat16)), grid(images))


@pytest.mark.parametrize(
    "shape", [(0, 1, 8, 8), (8, 8), (2, 2, 8, 8), (2, 4, 8, 8), (1, 2, 1, 8, 8)]
)
def test_what_are_no_images_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="images have shape") as caught:
        save_image(torch.zeros(shape), tmp_path / "a.png")
    assert "(N, C, H, W)" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("columns", [0, -1])
def test_a_grid_has_a_column_at_least(columns: int) -> None:
    with pytest.raises(OutputError, match=f"columns is {columns}"):
        grid(pictures(4, 1, 8, 8), columns)


def test_a_png_holds_the_grid_and_its_provenance(tmp_path: Path) -> None:
    images = pictures(4, 3, 8, 8)
    facts = {"model": "toy", "seed": "7", "note": "Schönheit"}
    target = genzoo.save_image(images, str(tmp_path / "new" / "a.png"), provenance=facts)
    assert target == tmp_path / "new" / "a.png"
    with Image.open(target) as picture:
        assert picture.format == "PNG"
        assert picture.text == {**facts, "generated": "by a model, with genzoo"}  # type: ignore[attr-defined]
        assert np.array_equal(np.asarray(picture), grid(images).permute(1, 2, 0).numpy())


def test_no_provenance_takes_the_mark_away(tmp_path: Path) -> None:
    save_image(pictures(1, 8, 8), tmp_path / "a.png", provenance={"generated": "by hand"})
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.text["generated"] == "by a model, with genzoo"  # type: ignore[attr-defined]


def test_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    images = pictures(4, 1, 8, 8)
    for name in ("a.png", "b.png"):
        save_image(images, tmp_path / name, provenance={"seed": "7"})
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_an_animation_goes_forth_and_back(tmp_path: Path) -> None:
    levels = torch.linspace(0, 1, 5)
    frames = levels.view(1, 5, 1, 1, 1).expand(2, 5, 1, 8, 8)
    target = save_animation(frames, tmp_path / "a.gif", seconds=1.0, provenance={"seed": "7"})
    with Image.open(target) as picture:
        assert picture.format == "GIF"
        assert picture.info["comment"] == b"generated by a model, with genzoo; seed: 7"
        assert picture.info["loop"] == 0
        shown = []
        for i in range(picture.n_frames):  # type: ignore[attr-defined]
            picture.seek(i)
            assert picture.info["duration"] == 200
            width, height = picture.size
            shown.append(np.asarray(picture.convert("L"))[height // 2, width // 4].item())
    assert shown == pytest.approx([0, 64, 128, 191, 255, 191, 128, 64], abs=2)


def test_a_long_provenance_of_an_animation_is_kept_whole(tmp_path: Path) -> None:
    labels = ", ".join(["9"] * 500)
    save_animation(pictures(1, 2, 1, 8, 8), tmp_path / "a.gif", provenance={"labels": labels})
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.info["comment"].decode().endswith(f"labels: {labels}")


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (1, 0, 1, 8, 8), (0, 2, 1, 8, 8)])
def test_what_are_no_frames_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="have shape"):
        save_animation(torch.zeros(shape), tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("labels", [torch.tensor([3, 1]), None])
def test_arrays_hold_images_and_labels(labels: Tensor | None, tmp_path: Path) -> None:
    images = pictures(2, 3, 8, 8)
    target = save_arrays(images, labels, tmp_path / "a.npz")
    with np.load(target) as arrays:
        assert sorted(arrays) == ["images", "labels"]
        assert arrays["images"].dtype == np.float32
        assert np.array_equal(arrays["images"], images.numpy())
        assert arrays["labels"].dtype == np.int64
        assert arrays["labels"].tolist() == ([-1, -1] if labels is None else [3, 1])


def as_frames(images: Tensor, path: Path) -> Path:
    return save_animation(images[None], path)


def as_arrays(images: Tensor, path: Path) -> Path:
    return save_arrays(images, None, path)


@pytest.mark.parametrize("name", ["a", "a.jpg", "a.png.txt", "png"])
@pytest.mark.parametrize(
    ("save", "suffix"), [(save_image, ".png"), (as_frames, ".gif"), (as_arrays, ".npz")]
)
def test_a_name_says_the_format(
    save: Callable[[Tensor, Path], Path], suffix: str, name: str, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match=f"not a {suffix}") as caught:
        save(pictures(2, 1, 8, 8), tmp_path / name)
    assert suffix in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_suffixes_in_capitals_are_fine(tmp_path: Path) -> None:
    with Image.open(save_image(pictures(1, 8, 8), tmp_path / "a.PNG")) as picture:
        assert picture.format == "PNG"


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for target in (tmp_path / "file" / "a.png", tmp_path / "folder.png"):
        (tmp_path / "folder.png").mkdir(exist_ok=True)
        with pytest.raises(OutputError, match="cannot write"):
            save_image(pictures(1, 8, 8), target)


def shades(folder: Path, count: int, size: int = 8) -> list[Path]:
    """Return PNGs of as many shades of grey, from black to white."""
    return [
        save_image(
            torch.full((1, 1, size, size), i / max(1, count - 1)),
            folder / f"{i:03}.png",
            provenance={"step": str(i)},
        )
        for i in range(count)
    ]


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (2, 2), (99, 99), (100, 100), (350, 100)])
def test_a_film_has_at_most_a_hundred_frames_from_the_first_to_the_last(
    tmp_path: Path, count: int, shown: int
) -> None:
    path = save_frames(shades(tmp_path, count, size=232), tmp_path / "film.gif")
    with Image.open(path) as film:
        frames = [frame.convert("L").getpixel((230, 230)) for frame in ImageSequence.Iterator(film)]
        comment = film.info["comment"].decode()
    assert len(frames) == shown
    assert frames == sorted(frames)
    assert (frames[0], frames[-1]) == (0, 255 if count > 1 else 0)
    assert comment == f"generated by a model, with genzoo; step: {count - 1}"


def test_the_frames_of_a_film_are_no_larger_than_pillow_can_hold(tmp_path: Path) -> None:
    path = save_frames(shades(tmp_path, 3, size=1000), tmp_path / "film.gif")
    with Image.open(path) as film:
        assert max(film.size) == 800


def test_a_picture_that_cannot_be_read_is_named_and_leaves_no_film(tmp_path: Path) -> None:
    files = shades(tmp_path, 3)
    files[1].write_bytes(files[1].read_bytes()[:60])
    with pytest.raises(OutputError, match=r"001\.png"):
        save_frames(files, tmp_path / "film.gif")
    assert sorted(tmp_path.iterdir()) == files
