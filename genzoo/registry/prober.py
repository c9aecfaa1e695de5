"""A process that imports plugins, each in a fork of itself: none meets what another has done.

`genzoo.registry.diagnosis` starts it and writes one job a line, a JSON list: the file to write the
answer to, the seconds it may take, the function of this module that finds it, its arguments, and
the variables and sys.path to find it with. It answers with the exit code of each. Where there is no
fork, one job is done by the process itself, which then ends.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import importlib.metadata
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from genzoo.registry import discovery, points
from genzoo.registry.specs import HEAVY

# What a module may change before the answer is written.
_dumps, _open = json.dumps, open


class _Watch:
    """Notes which line of which file asks first for each heavy package."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.found: dict[str, str] = {}

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in HEAVY and name not in self.found:
            lines = [
                frame
                for frame in traceback.extract_stack()[:-1]
                if "importlib" not in frame.filename
                and not frame.filename.startswith((__file__, "<frozen"))
            ]
            last = lines[-1] if lines else None
            self.found[name] = f"{last.filename}:{last.lineno}" if last else self.module


def cost(module: str, configs: bool) -> list[Any]:
    """Import a module and call its hooks as discovery does: seconds, heavy, error, interrupts."""
    point = importlib.metadata.EntryPoint(module, module, points.GROUP)
    watch, error, interrupts = _Watch(module), "", False
    sys.meta_path.insert(0, watch)
    start = time.perf_counter()
    try:
        brings = discovery.collect(point.load())
        if configs:
            for item in (item for items in brings.values() for item in items):
                if reference := getattr(item, "config", ""):
                    importlib.import_module(reference.partition(":")[0])
    except BaseException as failure:
        error, interrupts = type(failure).__name__, isinstance(failure, KeyboardInterrupt)
    return [time.perf_counter() - start, watch.found, error, interrupts]


def everything() -> list[Any]:
    """Import all plugins."""
    os.environ.pop("GENZOO_STRICT", None)
    discovery.registry()
    return []


_KINDS: Mapping[str, Callable[..., list[Any]]] = {"cost": cost, "everything": everything}


def _next() -> list[Any] | None:
    """Return the next job, in a process of its own; None once there are no more."""
    for line in iter(sys.stdin.buffer.readline, b""):
        if not hasattr(os, "fork"):
            return list(json.loads(line))
        child = os.fork()
        if not child:
            return list(json.loads(line))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()
    return None


def _do(
    answer: str,
    seconds: float,
    kind: str,
    arguments: Sequence[Any],
    variables: Mapping[str, str],
    path: Sequence[str],
) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    # From a thread that Python's own lock does not stop, whatever the module does.
    faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:] = path
    importlib.invalidate_caches()
    found = _KINDS[kind](*arguments)
    with contextlib.suppress(OSError), _open(answer, "w", encoding="utf-8") as file:
        file.write(_dumps(found))


if __name__ == "__main__":
    importlib.import_module("genzoo.registry.catalog")  # as a list does: it is no plugin's cost
    gc.freeze()  # what all share is looked through by none
    if job := _next():
        _do(*job)
