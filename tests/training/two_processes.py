"""Trainings that two processes share, launched by torchrun: two_processes.py JOBS OUTPUT.

JOBS is a JSON map of names to [config, options of genzoo.train]. Each process writes how each job
ended, and of how many steps its callback heard, to OUTPUT/RANK.json.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import genzoo
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
    return text, count.steps


if __name__ == "__main__":
    jobs = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(sys.argv[2])
    endings = {name: ending(job[0], folder / name, job[1]) for name, job in jobs.items()}
    (folder / f"{os.environ['RANK']}.json").write_text(json.dumps(endings))
