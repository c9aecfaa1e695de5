"""Run trainings that are stopped from outside, each in a process of its own.

Called with the path of a JSON map of names to jobs {config, output, at}, and optionally: `signals`,
which the process sends itself after step `at`, `apart` seconds from each other; `file_limit`, the
bytes that no file may exceed from then on; `deadly_limit`, whether to exceed them kills;
`read_only`, whether its folders may not be written to from then on. Prints how each ended, as JSON.
The processes are forked, so that torch is imported once.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

import genzoo
from genzoo.training.callbacks import Callback, Run


class Stop(Callback):
    """Does to its own process, at a step, what a person or a full disk would."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job

    def on_step(self, run: Run) -> None:
        if run.step != self.job["at"]:
            return
        if limit := self.job.get("file_limit"):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        if self.job.get("deadly_limit"):
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        if self.job.get("read_only"):
            _give_up_power()
            for folder in (run.folder, run.folder / "checkpoints"):
                folder.chmod(0o555)
        for number in self.job.get("signals", ()):
            os.kill(os.getpid(), number)
            # Two that are alike and not yet looked at count as one.
            time.sleep(max(0.1, self.job.get("apart", 0)))


def _give_up_power() -> None:
    """Let permissions hold for this process, as they do not for root's (CAP_DAC_OVERRIDE)."""
    if os.geteuid() == 0:
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, ourselves
        assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0


def ending(job: dict[str, Any]) -> str:
    """Train in a child process and return how it ended: its error, or the signal that killed it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            genzoo.train(job["config"], job["output"], callbacks=[Stop(job)], progress=False)
            text = "finished"
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else text


if __name__ == "__main__":
    genzoo.train  # noqa: B018 - imports torch before the first fork
    importlib.import_module("torch._dynamo")  # as the first step of an optimizer would, each time
    jobs = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps({name: ending(job) for name, job in jobs.items()}))
