from __future__ import annotations

from pathlib import Path

from PIL import Image

from genzoo.data.configs import FolderConfig
from genzoo.data.folder import folder
from genzoo.registry.specs import ImageSpec


def test_a_link_that_leads_back_is_not_followed_for_ever(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(10):
            Image.new("L", (2, 2)).save(tmp_path / name / f"{number}.png")
    (tmp_path / "cat" / "loop").symlink_to(tmp_path / "cat", target_is_directory=True)
    config = FolderConfig(path=str(tmp_path))
    train, test = (folder(config, ImageSpec(1, 2, 2), s, None) for s in ("train", "test"))
    assert len(train) + len(test) == 20


def test_a_link_to_another_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    for number in range(10):
        Image.new("L", (2, 2)).save(tmp_path / "far" / f"{number}.png")
    (tmp_path / "near" / "cat").mkdir(parents=True)
    (tmp_path / "near" / "cat" / "link").symlink_to(tmp_path / "far", target_is_directory=True)
    dataset = folder(FolderConfig(path=str(tmp_path / "near")), ImageSpec(1, 2, 2), "train", None)
    assert len(dataset) == 9
