"""A virtual environment in which genzoo and its plugins come from wheels alone.

Offline: what they depend on is linked in from the environment that runs the tests, so that pip
finds it installed and still checks every requirement.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from functools import cached_property
from pathlib import Path
from typing import Any

from .warm import WarmInterpreter

ROOT = Path(__file__).resolve().parents[2]
THIRD_PARTY = Path(__file__).parent / "third_party"

SHIPPED = ("genzoo-dcgan", "genzoo-mlp-gan", "genzoo-transformer", "genzoo-vae")
"""The plugins of this repository."""

EXAMPLES = ("genzoo-flow-matching", "genzoo-sngan")
"""Plugins of this repository that are as a third party's."""

_OURS = ("PYTHON", "PIP_", "GENZOO_", "VIRTUAL_ENV")
_SECONDS = 300  # a command that takes longer hangs
_WITH_TORCH = ("check", "evaluate", "interpolate", "sample", "train")


def execute(*command: str | Path, cwd: Path, code: int = 0, **variables: str) -> tuple[str, str]:
    """Run a command, check its exit code, and return what it wrote to stdout and stderr.

    Nothing of the tests' own environment reaches it: no checkout on the path, no settings.
    """
    answer = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=_settings(cwd, **variables),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    return _said(answer, code)


def _settings(cwd: Path, **variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    settings = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_INPUT": "1",
        "PIP_NO_WARN_CONFLICTS": "0",  # as pip has it: a 0 leaves out what it says of all others
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "GENZOO_CACHE": str(cwd / "cache"),
    }
    return {**kept, **settings, **variables}


def _said(answer: subprocess.CompletedProcess[str], code: int) -> tuple[str, str]:
    assert answer.returncode == code, f"{answer.args}\n{answer.stdout}\n{answer.stderr}"
    return answer.stdout, answer.stderr


def build_wheels(folder: Path, *projects: Path) -> None:
    """Build the wheels of source trees, without isolation: the build backend is a developer's."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps"]
    execute(*command, "--wheel-dir", folder, *projects, cwd=folder)


class Environment:
    """A virtual environment, and the wheels that it may hold."""

    def __init__(self, folder: Path, wheels: Path) -> None:
        self.wheels = wheels
        self._resolved: set[str] = set()
        self.work = folder / "work"
        """The current directory of every command."""
        venv.EnvBuilder(symlinks=True).create(folder)
        self.work.mkdir()
        base = {"base": str(folder), "platbase": str(folder)}
        self.site = Path(sysconfig.get_path("purelib", "venv", base))
        self.scripts = Path(sysconfig.get_path("scripts", "venv", base))
        for place in map(Path, sys.path):
            if place.name in ("site-packages", "dist-packages") and place.is_dir():
                self._link(place)

    def _link(self, place: Path) -> None:
        for item in place.iterdir():
            link = self.site / item.name
            # An editable install, its import hooks included, would lead back into the checkout.
            if "genzoo" not in item.name and not link.is_symlink():
                link.symlink_to(item)

    def python(self, *arguments: str | Path, code: int = 0, **variables: str) -> tuple[str, str]:
        """Run code or a module by this environment's Python, warm."""
        return self._warmly(*arguments, code=code, **variables)

    def fresh(self, *command: str | Path, code: int = 0, **variables: str) -> tuple[str, str]:
        """Run a script of this environment's, or its Python, in a process that shares nothing."""
        script, *arguments = command
        return execute(self.scripts / script, *arguments, cwd=self.work, code=code, **variables)

    def genzoo(self, *arguments: str | Path, code: int = 0, **variables: str) -> tuple[str, str]:
        """Run this environment's command `genzoo`, warm where it imports torch anyway."""
        if arguments[0] not in _WITH_TORCH:
            return self.fresh("genzoo", *arguments, code=code, **variables)
        return self._warmly(self.scripts / "genzoo", *arguments, code=code, **variables)

    @cached_property
    def _warm(self) -> WarmInterpreter:
        return WarmInterpreter(self.scripts / "python", _settings(self.work))

    def _warmly(self, *command: str | Path, code: int, **variables: str) -> tuple[str, str]:
        settings = _settings(self.work, **variables)
        return _said(self._warm.run([*map(str, command)], self.work, settings, _SECONDS), code)

    def close(self) -> None:
        """End what runs in it."""
        if "_warm" in vars(self):
            self._warm.close()

    def json(self, *arguments: str) -> Any:
        """Return what a command of `genzoo` prints with --json."""
        return json.loads(self.genzoo(*arguments, "--json")[0])

    def install(self, *what: str | Path) -> None:
        """Install distributions by name, from the wheels alone, or from a path."""
        options = ("--quiet", "--no-build-isolation", "--find-links", self.wheels)
        self.fresh("python", "-m", "pip", "install", *options, *what)

    def uninstall(self, *names: str) -> None:
        """Uninstall distributions by name."""
        self.fresh("python", "-m", "pip", "uninstall", "--quiet", "--yes", *names)

    def held(self) -> set[str]:
        """Return the distributions of genzoo's that are installed, by name."""
        infos = self.site.glob("genzoo*.dist-info")
        return {info.name.partition("-")[0].replace("_", "-") for info in infos}

    def hold(self, *names: str) -> None:
        """Install and uninstall until exactly these distributions of genzoo's are there."""
        if extra := self.held().difference(names):
            self.uninstall(*sorted(extra))
        if missing := set(names) - self.held():
            # Whether all that a wheel requires is there, pip need not find out a second time.
            known = ["--no-deps"] if self._resolved.issuperset(names) else []
            self.install(*known, *sorted(missing))
            self._resolved.update(names)
        assert self.held() == set(names)
