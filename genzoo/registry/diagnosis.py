"""What it costs to find a plugin, measured where nothing else has been imported yet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass

from genzoo.registry.specs import HEAVY

__all__ = ["Cost", "all_importable", "import_cost"]

_SECONDS = 120  # a module that takes longer to import hangs

# In a process of its own: it imports the module and calls its hooks as discovery does, and notes
# which line of which file asked first for each heavy package.
_PROBE = """
import contextlib, importlib, importlib.metadata, json, sys, time, traceback

module, configs, *heavy = sys.argv[1:]
from genzoo.registry import discovery

point = importlib.metadata.EntryPoint(module, module, discovery.GROUP)

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
        error = f"{type(failure).__name__}: {failure}"
print(json.dumps([time.perf_counter() - start, Watch.found, error]))
"""

_ALIVE = "alive"
_ALL = f"""
import os
os.environ.pop("GENZOO_STRICT", None)
from genzoo.registry.discovery import registry
registry()
print("{_ALIVE}", end="")
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
        ran = _in_its_own(_PROBE, module, "configs" if configs else "", *HEAVY)
    except subprocess.TimeoutExpired:
        return Cost(_SECONDS, {}, f"it is still not imported after {_SECONDS} seconds", deadly=True)
    try:
        seconds, heavy, error = json.loads(ran.stdout)
    except ValueError:  # it ended the interpreter itself
        return Cost(0.0, {}, f"it ends Python with exit code {ran.returncode}", deadly=True)
    return Cost(seconds, heavy, error)


def all_importable() -> bool:
    """Return whether finding all plugins leaves the interpreter alive."""
    try:
        return _in_its_own(_ALL).stdout.endswith(_ALIVE)
    except subprocess.TimeoutExpired:
        return False


def _in_its_own(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that finds what this one finds, and nothing in this folder."""
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
