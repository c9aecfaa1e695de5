"""A warm interpreter: what takes seconds to import is imported once, for all commands.

A fresh process takes seconds to import torch, and as long again for what the first step of an
optimizer imports. So one process of an environment's own Python imports these, and nothing that
the environment's wheels brought. For each command it forks, and the child runs the very same
script, module or code, with whatever is installed by then.

Not for what is about being fresh: what is not imported, or how long a command takes.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType
from typing import NoReturn

HEAVY = ("torch._dynamo", "torch.fx.experimental.symbolic_shapes", "torchmetrics", "torchvision")
"""What is imported, with torch itself: of third parties alone."""

NUMBER = struct.Struct("i")


class WarmInterpreter:
    """A process of some Python, which runs commands in forks of itself."""

    def __init__(self, python: Path, variables: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [python, __file__, str(theirs.fileno())],
                env=variables,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl+C is for the tests: it ends when they do
            )

    def run(
        self, command: Sequence[str], cwd: Path, variables: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run [script, ...], ["-m", module, ...] or ["-c", code, ...], as subprocess.run would.

        Raises subprocess.TimeoutExpired where it took longer, and was killed.
        """
        with TemporaryFile() as job, TemporaryFile() as out, TemporaryFile() as err:
            job.write(json.dumps([command, str(cwd), dict(variables)]).encode())
            job.seek(0)
            socket.send_fds(self._socket, [b"."], [job.fileno(), out.fileno(), err.fileno()])
            child = self._answer(None)  # once all is imported
            try:
                status = self._answer(timeout)
            except TimeoutError:
                os.killpg(child, signal.SIGKILL)
                self._answer(None)
                raise subprocess.TimeoutExpired(command, timeout) from None
            out.seek(0)
            err.seek(0)
            code = os.waitstatus_to_exitcode(status)
            said = (out.read().decode(), err.read().decode())
            return subprocess.CompletedProcess(command, code, *said)

    def _answer(self, timeout: float | None) -> int:
        self._socket.settimeout(timeout)
        return int(*NUMBER.unpack(self._socket.recv(NUMBER.size)))

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.wait()


def serve(tests: socket.socket) -> list[str]:
    """Fork for each command; return it in the child, and nothing once the tests are done."""
    while True:
        asked, files, _, _ = socket.recv_fds(tests, 1, 3)
        if not asked:
            return []
        child = os.fork()
        if child == 0:
            os.setsid()  # so that what a command starts is killed with it
            tests.close()
            os.dup2(files[1], 1)
            os.dup2(files[2], 2)
            with open(files[0], encoding="utf-8") as job:
                command, folder, variables = json.load(job)
            os.environ.clear()
            os.environ.update(variables)
            os.chdir(folder)
            importlib.invalidate_caches()
            return list(command)
        for file in files:
            os.close(file)
        tests.sendall(NUMBER.pack(child))
        tests.sendall(NUMBER.pack(os.waitpid(child, 0)[1]))


def run(kind: str, *rest: str) -> None:
    """Run a command as this interpreter's own: what it raises ends the process, as it would."""
    if kind == "-c":
        sys.path.insert(0, "")
        sys.argv = [kind, *rest[1:]]
        sys.modules["__main__"] = main = ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), vars(main))
    elif kind == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv = [kind, *rest[1:]]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, os.path.dirname(kind))
        sys.argv = [kind, *rest]
        runpy.run_path(kind, run_name="__main__")


def leave(code: list[int]) -> NoReturn:
    """End without taking apart what was imported, which takes longer than most commands."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(*code)


if __name__ == "__main__":
    del sys.path[0]  # this folder, which no command sees
    code = [1]  # unless it ends in another way
    atexit.register(leave, code)  # the first, which is called last
    for name in HEAVY:
        importlib.import_module(name)
    gc.freeze()  # what all share is looked through by none
    try:
        if command := serve(socket.socket(fileno=int(sys.argv[1]))):
            run(*command)
        code[:] = [0]
    except SystemExit as end:
        code[:] = [end.code if isinstance(end.code, int) else int(end.code is not None)]
        raise
