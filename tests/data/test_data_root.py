from __future__ import annotations

from pathlib import Path

import pytest

from genzoo.data.datasets import data_root


@pytest.mark.parametrize(
    ("root", "environment", "expected"),
    [
        (Path("given"), {"GENZOO_DATA": "named", "XDG_CACHE_HOME": "cache"}, "given"),
        (Path("~/given"), {}, "home/given"),
        (None, {"GENZOO_DATA": "named", "XDG_CACHE_HOME": "cache"}, "named"),
        (None, {"GENZOO_DATA": "~/named"}, "home/named"),
        (None, {"GENZOO_DATA": "", "XDG_CACHE_HOME": "cache"}, "cache/genzoo/data"),
        (None, {}, "home/.cache/genzoo/data"),
    ],
)
def test_the_data_root(
    monkeypatch: pytest.MonkeyPatch, root: Path | None, environment: dict[str, str], expected: str
) -> None:
    for name in ("GENZOO_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "home")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert data_root(root) == Path(expected)
