"""The documents say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = [
    ROOT / "README.md",
    ROOT / "docs" / "quickstart.md",
    ROOT / "docs" / "autoregression.md",
    *sorted(ROOT.glob("plugins/*/README.md")),
]
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.usefixtures("every_plugin")
def test_what_is_generated_is_not_stale() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        *(
            f"docs/{name}.md"
            for name in (
                "autoregression",
                "evaluation",
                "models",
                "quickstart",
                "stabilizing",
                "training",
                "watching",
                "zoo-config",
            )
        ),
    ],
)
def test_each_row_of_a_table_has_the_cells_of_its_head(document: str) -> None:
    cells = 0
    for line in (ROOT / document).read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            cells = 0
            continue
        found = len(re.findall(r"(?<!\\)\|", line)) - 1
        cells = cells or found
        assert found == cells, line


@pytest.mark.parametrize("document", EXAMPLES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_examples_run(
    document: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if "plugins" in document.parts or document.stem == "autoregression":
        request.getfixturevalue("every_plugin")
    monkeypatch.chdir(tmp_path)
    blocks = PYTHON_BLOCK.findall(document.read_text(encoding="utf-8"))
    assert blocks
    namespace: dict[str, object] = {"__name__": "example"}
    for block in blocks:
        exec(compile(block, str(document), "exec"), namespace)
