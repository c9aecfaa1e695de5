"""How long listing a zoo takes: `genzoo list` beside timm, alternating, from cold interpreters."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

GENZOO = [sys.executable, "-m", "genzoo", "list"]
TIMM = [sys.executable, "-c", "import timm; timm.list_models()"]
FORBIDDEN = ("torch", "torchvision", "numpy")


def seconds(command: list[str]) -> float:
    """Return the wall-clock time of one run of a command."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def imported(command: list[str]) -> set[str]:
    """Return the top-level modules that a Python command imports."""
    traced = [command[0], "-X", "importtime", *command[1:]]
    answer = subprocess.run(traced, check=True, capture_output=True, text=True)
    names = (line.rpartition("|")[2].strip() for line in answer.stderr.splitlines() if "|" in line)
    return {name.partition(".")[0] for name in names}


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    for command in (GENZOO, TIMM):  # the first run of each fills the page cache
        seconds(command)
    pairs = [(seconds(GENZOO), seconds(TIMM)) for _ in range(repeats)]
    ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    found = sorted(imported(GENZOO) & set(FORBIDDEN))
    heavy = ", ".join(found) or "none"
    print(f"genzoo list         {ours:.3f} s   imports of {', '.join(FORBIDDEN)}: {heavy}")
    print(f"timm.list_models()  {theirs:.3f} s")
    print(f"ratio               {ours / theirs:.3f}   (medians of {repeats}, alternating)")


if __name__ == "__main__":
    main()
