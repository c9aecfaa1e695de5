"""What `genzoo plugins freeze` pins, by where a distribution came from (PEP 610)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genzoo.registry.installing import freeze

MONOREPO = "https://example.org/mono.git"


@pytest.mark.parametrize(
    ("origin", "pinned"),
    [
        (None, "genzoo-own==1.0"),
        ({"url": "file:///wheels/own.whl"}, "genzoo-own @ file:///wheels/own.whl"),
        ({"url": "file:///own", "dir_info": {"editable": True}}, "--editable file:///own"),
        (
            {"url": MONOREPO, "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            f"genzoo-own @ git+{MONOREPO}@abc",
        ),
        (
            {
                "url": MONOREPO,
                "vcs_info": {"vcs": "git", "commit_id": "abc"},
                "subdirectory": "plugins/own",
            },
            f"genzoo-own @ git+{MONOREPO}@abc#subdirectory=plugins/own",
        ),
    ],
)
def test_what_is_pinned_brings_back_the_same(
    origin: Any, pinned: str, installed: Callable[..., Path], site: Path
) -> None:
    installed("genzoo-own", "1.0", {"own": "own_plugin"}, {"own_plugin.py": ""})
    if origin:
        (site / "genzoo_own-1.0.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    assert pinned in freeze()
