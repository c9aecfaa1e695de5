"""What it costs to find a plugin, measured where nothing else has been imported yet."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genzoo.registry import prober

__all__ = ["Cost", "all_importable", "import_cost"]

_SECONDS = 120  # a module that takes longer to import hangs


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
    found, deadly = _probed("cost", module, configs)
    if deadly:
        return Cost(0.0, {}, deadly, deadly=True)
    seconds, heavy, error, interrupts = found
    if interrupts:  # which no command may take for anything but the person's own wish to stop
        return Cost(0.0, {}, "it raises KeyboardInterrupt", deadly=True)
    return Cost(seconds, heavy, error)


def all_importable() -> bool:
    """Return whether finding all plugins leaves the interpreter alive."""
    return not _probed("everything")[1]


def _probed(kind: str, *arguments: Any) -> tuple[Any, str]:
    """Return what a function of the prober finds where nothing but genzoo is imported.

    It finds what this process finds, and nothing that lies in this folder. The second is why it
    found nothing, and "" where it did.
    """
    path = [folder for folder in sys.path if folder]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answer.json"  # for what is imported may print
        start = time.perf_counter()
        job = [str(file), _SECONDS, kind, arguments, dict(os.environ), path]
        code = _asked(json.dumps(job), path)
        if time.perf_counter() - start > _SECONDS:
            return None, f"it is still not imported after {_SECONDS} seconds"
        written = file.read_text(encoding="utf-8") if file.is_file() else ""
    return (json.loads(written), "") if written else (None, f"it ends Python with exit code {code}")


_running: list[subprocess.Popen[str]] = []
"""The prober, once it is asked."""


def _asked(job: str, path: list[str]) -> int:
    """Have the prober do a job; return the exit code of the process that did."""
    if not _running or _running[0].poll() is not None:
        _end()
        started = subprocess.Popen(
            [sys.executable, "-P", "-m", prober.__name__],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        _running.append(started)
    process = _running[0]
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{job}\n")
    process.stdin.flush()
    code = process.stdout.readline()
    return int(code) if code else process.wait()  # it had no fork, or is what ended


@atexit.register
def _end() -> None:
    while _running:
        process = _running.pop()
        process.kill()
        process.communicate()
