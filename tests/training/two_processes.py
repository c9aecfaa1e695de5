"""Trainings that two processes share, launched by torchrun: two_processes.py JOBS OUTPUT.

JOBS is a JSON map of names to [config, run folder, options of genzoo.train]; a {rank} in the folder
is the process's. Each process writes how each job ended, and of how many steps its callback heard,
to OUTPUT/RANK.json, and as `joined` whom it finds where nothing but PyTorch says that others are
there.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import genzoo
from genzoo.processes import join
from genzoo.training.callbacks import Callback, Run


class Count(Callback):
    """Counts the steps that this process heard of."""

    steps = 0

    def on_step(self, run: Run) -> None:
        self.steps += 1


def ending(config: str, output: Path, options: dict[str, Any]) -> tuple[str, int]:
    """Return how a training ended in this process, and the steps that its callback heard of."""
    count = Count()
    try:
        genzoo.train(config, output, device="cpu", progress=False, callbacks=[count], **options)
        text = "finished"
    except (genzoo.GenzooError, KeyboardInterrupt) as error:
        text = f"{type(error).__name__}: {error}"
        text += "\n(told elsewhere)" if getattr(error, "told_elsewhere", False) else ""
    return text, count.steps


if __name__ == "__main__":
    jobs = json.loads(Path(sys.argv[1]).read_text())
    folder, rank = Path(sys.argv[2]), os.environ["RANK"]
    endings = {
        name: ending(config, folder / output.format(rank=rank), options)
        for name, (config, output, options) in jobs.items()
    }
    for variable in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        del os.environ[variable]
    found = join("cpu")
    written = {**endings, "joined": (found.rank, found.count)}
    (folder / f"{rank}.json").write_text(json.dumps(written))
