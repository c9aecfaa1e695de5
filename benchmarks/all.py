"""All that stands beside a peer or a promise, each script in a process of its own; one table.

    python benchmarks/all.py --data DIR --output build/bench.json

A script that cannot run has a row that says so, and does not stop the others. Options that are not
known here, as --threads 1, are handed on to every script.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from side_by_side import Row, last_line, table

SCRIPTS = (
    "listing",
    "loading",
    "sampling",
    "training",
    "pythae_vae",
    "torchgan_dcgan",
    "autoregression",
    "memory",
)
ALWAYS = {"memory": ("--folder", "200000")}
"""Options that only one of them has."""


def rows_of(script: str, options: Sequence[str]) -> list[Row]:
    """Return the rows of a script, or one with its error."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        program = Path(__file__).with_name(f"{script}.py")
        answer = subprocess.run(
            [sys.executable, program, *ALWAYS.get(script, ()), *options, "--json", file],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if answer.returncode or not file.is_file():
            reason = last_line(answer.stderr) or f"exit code {answer.returncode}"
            return [Row(script, note=f"does not run: {reason}")]
        return [Row.from_json(row) for row in json.loads(file.read_text())]


def conditions() -> dict[str, object]:
    """Return what the figures depend on."""
    import importlib.metadata as metadata

    return {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        **{name: metadata.version(name) for name in ("torch", "genzoo")},
    }


def main() -> None:
    """Run the scripts one after the other, then print all rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS)
    given, options = parser.parse_known_args()
    before, rows = conditions(), []
    for script in given.only:
        print(f"{script} ...", file=sys.stderr, flush=True)
        rows += rows_of(script, options)
        # After each, so that what was measured is kept where a later one is stopped.
        given.output.parent.mkdir(parents=True, exist_ok=True)
        found = {"conditions": before, "rows": [row.as_json() for row in rows]}
        given.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(table(rows))
    print("\n" + ", ".join(f"{name} {value}" for name, value in before.items()))


if __name__ == "__main__":
    main()
