"""How long an evaluation takes, stage by stage, each stage's share, and how much memory it takes.

    python benchmarks/evaluating.py dcgan-mnist --data DIR

Reading the dataset is "between". The peak is of the whole process, torch itself included.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import time
from collections import defaultdict
from pathlib import Path


def main() -> None:
    """Evaluate once, and print a row for each stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    spent: dict[str, float] = defaultdict(float)
    last = time.perf_counter()

    def note(stage: str) -> None:
        nonlocal last
        now = time.perf_counter()
        spent[stage] += now - last
        last = now

    def progress(stage: str, done: int, total: int) -> None:
        # What passes until a stage's first word is the end of the one before it.
        note(re.sub(r"draw \d+ of \d+", "training images", stage) if done else "between")

    import genzoo

    model = genzoo.load(arguments.model)
    note("torch and the model")
    genzoo.evaluate(model, data=arguments.data, progress=progress)
    note("between")
    total = sum(spent.values())
    print("| stage | seconds | share |\n|---|---|---|")
    for stage, seconds in spent.items():
        print(f"| {stage} | {seconds:.1f} | {100 * seconds / total:.0f}% |")
    metrics = sum(seconds for stage, seconds in spent.items() if stage.startswith("metrics"))
    print(f"| all metrics | {metrics:.1f} | {100 * metrics / total:.0f}% |")
    print(f"| all | {total:.1f} | 100% |")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(f"\nPeak memory: {peak / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
