"""What it costs to find a plugin, measured where nothing else has been imported yet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genzoo.registry.specs import HEAVY

__all__ = ["Cost", "all_importable", "import_cost"]

_SECONDS = 120  # a module that takes longer to import hangs

# In a process of its own: it imports the module and calls its hooks as discovery does, and notes
# which line of which file asked first for each heavy package.
_PROBE = """
import contextlib, importlib, importlib.metadata, json, sys, time, traceback

answer, module, configs, *heavy = sys.argv[1:]
from genzoo.registry import discovery, points
dump, interrupts = json.dumps, False

point = importlib.metadata.EntryPoint(module, module, points.GROUP)

class Watch:
    found = {}

    def find_spec(self, name, path=None, target=None):
        if name in heavy and name not in self.found:
            frames = [f for f in traceback.extract_stack()[:-1]
                      if "importlib" not in f.filename and f.filename != "<string>"]
            self.found[name] = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else module

sys.meta_path.insert(0, Watch())
start, error = time.perf_counter(), ""
with contextlib.redirect_stdout(sys.stderr):
    try:
        brings = discovery.collect(point.load())
        if configs:
            for item in (item for items in brings.values() for item in items):
                if reference := getattr(item, "config", ""):
                    importlib.import_module(reference.partition(":")[0])
    except BaseException as failure:
        error = f"{type(failure).__name__}"
        interrupts = isinstance(failure, KeyboardInterrupt)
with open(answer, "w") as file:
    file.write(dump([time.perf_counter() - start, Watch.found, error, interrupts]))
"""

_ALL = """
import os, sys
os.environ.pop("GENZOO_STRICT", None)
from genzoo.registry.discovery import registry
registry()
with open(sys.argv[1], "w") as file:
    file.write("[]")
"""


@dataclass(frozen=True)
class Cost:
    """What finding a plugin does."""

    seconds: float
    """Wall-clock time, beyond what genzoo itself takes."""
    heavy: dict[str, str]
    """The heavy packages that are imported, each with the file and line that asks for it first."""
    error: str = ""
    """Why it failed, "" where it did not."""
    deadly: bool = False
    """Whether it ends, or holds, the whole interpreter: nobody else could go on."""


def import_cost(module: str, *, configs: bool = False) -> Cost:
    """Find the plugin of an entry point in an interpreter of its own; return what that took.

    `module` is what the entry point names. With `configs`, the configs that its descriptors name
    are imported as well, as for `genzoo info`.
    """
    try:
        answer, code = _in_its_own(_PROBE, module, "configs" if configs else "", *HEAVY)
    except subprocess.TimeoutExpired:
        return Cost(_SECONDS, {}, f"it is still not imported after {_SECONDS} seconds", deadly=True)
    if answer is None:
        return Cost(0.0, {}, f"it ends Python with exit code {code}", deadly=True)
    seconds, heavy, error, interrupts = answer
    if interrupts:  # which no command may take for anything but the person's own wish to stop
        return Cost(0.0, {}, "it raises KeyboardInterrupt", deadly=True)
    return Cost(seconds, heavy, error)


def all_importable() -> bool:
    """Return whether finding all plugins leaves the interpreter alive."""
    try:
        return _in_its_own(_ALL)[0] is not None
    except subprocess.TimeoutExpired:
        return False


def _in_its_own(code: str, *arguments: str) -> tuple[Any, int]:
    """Run code in an interpreter that finds what this one finds, and nothing in this folder.

    The code is given a file to write its answer to, as JSON, for a plugin may print. Return the
    answer, None where there is none, and the exit code.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answer.json"
        ran = subprocess.run(
            [sys.executable, "-P", "-c", code, str(file), *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        written = file.read_text(encoding="utf-8") if file.is_file() else ""
    return json.loads(written) if written else None, ran.returncode
