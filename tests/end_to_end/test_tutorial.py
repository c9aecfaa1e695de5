"""The documents show the plugins that these tests install."""

from __future__ import annotations

import re

import pytest

from .environment import ROOT, THIRD_PARTY

FILE = re.compile(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("document", "name"),
    [("writing-a-plugin.md", "genzoo-toy"), ("evaluation.md", "genzoo-toy-extractor")],
)
def test_a_document_shows_every_file_of_its_plugin_as_it_is(document: str, name: str) -> None:
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    plugin = THIRD_PARTY / name
    files = {
        path.relative_to(plugin).as_posix(): path.read_text(encoding="utf-8")
        for path in plugin.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert dict(FILE.findall(text)) == files
