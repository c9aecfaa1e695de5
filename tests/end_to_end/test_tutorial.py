"""The documents show the plugins that these tests install, and a plugin is made as they say."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .environment import ROOT, THIRD_PARTY, Environment, execute

DOCUMENT = "writing-a-plugin.md"
BLOCK = re.compile(
    r"^(?:`(?P<file>[^`\n]+)`:\n\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def blocks(document: str) -> Iterator[tuple[str | None, str, str]]:
    """Yield each block of code: the file that it is, if it is one, its language and its text."""
    for found in BLOCK.finditer((ROOT / "docs" / document).read_text(encoding="utf-8")):
        yield found["file"], found["language"], found["text"]


@pytest.mark.parametrize(
    ("document", "name"), [(DOCUMENT, "genzoo-toy"), ("evaluation.md", "genzoo-toy-extractor")]
)
def test_a_document_shows_every_file_of_its_plugin_as_it_is(document: str, name: str) -> None:
    plugin = THIRD_PARTY / name
    files = {
        path.relative_to(plugin).as_posix(): path.read_text(encoding="utf-8")
        for path in plugin.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {file: text for file, _, text in blocks(document) if file is not None} == files


def as_script(document: str) -> str:
    """Return a shell script that does what the document tells its reader to do, in that order."""
    here = "<<'END OF BLOCK'\n{}END OF BLOCK\n"
    lines = []
    for file, language, text in blocks(document):
        if file is not None:
            text = text.replace("steps: 2000", "steps: 500")  # to learn something, soon
            lines.append(f"cat > {file} {here.format(text)}")
        elif language == "python":
            lines.append(f"python - {here.format(text)}")
        else:
            assert language == "sh", f"nothing runs a block in {language}"
            lines.append(text)
    pip = 'pip() { python -m pip "$@"; }'  # the environment of these tests has no command for it
    return "\n".join(("set -ex", pip, *lines))


@pytest.fixture
def with_its_parts(environment: Environment) -> Iterator[Environment]:
    """An environment with what the page says is there: genzoo, and at its end the toy's parts."""
    environment.hold("genzoo", "genzoo-toy-parts")
    yield environment
    environment.uninstall("genzoo-toy")


def test_the_page_leads_from_nothing_to_a_wheel_with_trained_weights(
    with_its_parts: Environment, tmp_path: Path
) -> None:
    environment = with_its_parts
    said, _ = execute(
        *("bash", "-c", as_script(DOCUMENT)),
        cwd=tmp_path,
        PATH=os.pathsep.join((str(environment.scripts), os.environ["PATH"])),
        PIP_NO_BUILD_ISOLATION="0",  # as pip has it: a 0 switches isolation off
    )
    assert " checks, 0 failed." in said
    assert (tmp_path / "toy.png").is_file()
    assert (tmp_path / "runs" / "parts" / "note.txt").is_file()
    (model,) = environment.json("list", "toy-gan-digits")
    assert model["available"]
    assert model["label_agreement"] > 0.5  # the card was written before the wheel was built
