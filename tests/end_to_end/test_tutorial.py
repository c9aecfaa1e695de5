"""docs/writing-a-plugin.md shows the plugin that these tests install."""

from __future__ import annotations

import re

from .environment import ROOT, THIRD_PARTY

FILE = re.compile(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_tutorial_shows_every_file_of_the_plugin_as_it_is() -> None:
    text = (ROOT / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")
    plugin = THIRD_PARTY / "genzoo-toy"
    files = {
        path.relative_to(plugin).as_posix(): path.read_text(encoding="utf-8")
        for path in plugin.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert dict(FILE.findall(text)) == files
