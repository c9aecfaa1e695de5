from __future__ import annotations

from pathlib import Path

import pytest

from genzoo.cli.arguments import check_output, default_columns, parse_labels
from genzoo.errors import LabelError, OutputError


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (None, None),
        ("7", [7]),
        ("0-3", [0, 1, 2, 3]),
        ("0,3,5-7", [0, 3, 5, 6, 7]),
        ("5-5", [5]),
        ("1, 1 ,0", [1, 1, 0]),
        ("99999", [99_999]),
    ],
)
def test_labels(text, labels) -> None:
    assert parse_labels(text) == labels


@pytest.mark.parametrize(
    "text", ["", ",", "a", "1-", "-1", "3-1", "1.5", "1;2", "0-999999", "1000000000000", "٣-x"]
)
def test_wrong_labels_are_shown_how_to_write_them(text: str) -> None:
    with pytest.raises(LabelError, match="label") as caught:
        parse_labels(text)
    assert "0,3,5-7" in caught.value.hint


@pytest.mark.parametrize(
    ("n", "labels", "columns"),
    [
        (64, None, 8),
        (50, None, 8),
        (1, None, 1),
        (64, range(10), 10),
        (100, range(10), 10),
        (10, range(10), 10),
        (400, range(10), 20),
        (64, [7], 8),
        (64, [0, 1], 8),
        (63, [0, 1, 2], 9),
        (4, range(10), 2),
    ],
)
def test_a_grid_is_square_or_wider_with_one_label_to_a_column(n, labels, columns) -> None:
    assert default_columns(n, labels) == columns


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("out.jpg", ".jpg"),
        ("out", "no suffix"),
        ("folder.png", "it is a folder"),
        ("file.txt/out.png", "is not a folder"),
        ("file.txt/deeper/out.png", "is not a folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file.txt").touch()
    with pytest.raises(OutputError, match=says):
        check_output(tmp_path / name, ".png")


@pytest.mark.parametrize("name", ["out.png", "OUT.PNG", "new/folders/out.png"])
def test_an_output_that_can_be_is_not_touched(tmp_path: Path, name: str) -> None:
    check_output(tmp_path / name, ".png")
    assert list(tmp_path.iterdir()) == []
