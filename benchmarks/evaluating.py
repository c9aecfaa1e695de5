"""How long an evaluation takes, stage by stage, and each stage's share.

    python benchmarks/evaluating.py dcgan-mnist --data DIR

What comes before the first stage is torch's import, the model and the dataset.
"""

from __future__ import annotations

import argparse
import re
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
    print(f"| all | {total:.1f} | 100% |")


if __name__ == "__main__":
    main()
