"""How much memory training takes at its peak: genzoo beside a loop written by hand, and folders.

    python benchmarks/memory.py --data DIR [--folder 200000]

The peak is that of the resident memory of a fresh process, all of torch included. `--folder` adds a
set of so many image files, made here in a temporary folder, which genzoo trains on without holding
it in memory; it stands beside a hundredth of it, and what it takes beyond is that of its paths.
"""

from __future__ import annotations

import json
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from side_by_side import Row, bench_parser, report, run
from turns import Plan

# A child's peak begins with the memory of the process that starts it: this one never has torch.
CHILD = """
import json, resource, sys
sys.path.insert(0, sys.argv[1])
import memory
memory.child(**json.loads(sys.argv[2]))
unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""
SIDE = 8
CLASSES = 10


class _DoneError(BaseException):
    """Ends a program after its last step."""


class Steps:
    """Stands where a program in turns has its Turns, and ends it after so many steps."""

    def __init__(self, steps: int) -> None:
        self.plan = Plan(rounds=1, chunk=steps, warmup=0)
        self.wait_for_device: Any = None
        self._left = steps

    def step(self) -> None:
        """Note that a step is done."""
        self._left -= 1
        if not self._left:
            raise _DoneError


def child(kind: str, steps: int, data: str | None, threads: int | None) -> None:
    """Train for some steps, in a process that is thrown away."""
    import plain

    turns: Any = Steps(steps)
    root = Path(data) if data else None
    try:
        if kind == "folder":
            _train_on_folder(Path(data or ""), turns, threads)
        elif kind == "genzoo":
            plain.genzoo_side(plain.Task("dcgan", data=root, threads=threads), turns)
        else:
            plain.plain_side(plain.Task("dcgan", data=root, threads=threads), "in memory", turns)
    except _DoneError:
        pass


def _train_on_folder(folder: Path, turns: Any, threads: int | None) -> None:
    import plain

    plain.start(threads)
    task = plain.Task("mlp-gan", SIDE)
    config = plain.zoo_config(task, turns.plan.steps + 1, folder=folder)
    plain.train_by_genzoo(config, turns, None, "cpu")


def peak(**given: Any) -> float:
    """Return the peak of a child's resident memory, in MB."""
    here = str(Path(__file__).parent)
    answer = run([sys.executable, "-c", CHILD, here, json.dumps(given)])
    return float(answer.splitlines()[-1]) / 1e6


def beside_by_hand(rounds: int, given: dict[str, Any]) -> Row:
    """Return the row of dcgan on MNIST, both ways."""
    ours = [peak(kind="genzoo", **given) for _ in range(rounds)]
    theirs = [peak(kind="plain", **given) for _ in range(rounds)]
    ratios = tuple(a / b for a, b in zip(ours, theirs, strict=True))
    return Row(
        "peak memory of training dcgan, a loop in memory",
        ours[0],
        theirs[0],
        "MB",
        ratios,
        ("<=", 1.2),
        f"{given['steps']} steps",
    )


def of_folders(rounds: int, files: int, given: dict[str, Any]) -> Row:
    """Return the row of a folder of files, beside a hundredth of it."""
    with tempfile.TemporaryDirectory() as name:
        folders = {count: Path(name) / str(count) for count in (files, max(files // 100, CLASSES))}
        for count, folder in folders.items():
            write_images(folder, count)
        many, few = (
            [peak(kind="folder", **given, data=str(folder)) for _ in range(rounds)]
            for folder in folders.values()
        )
    (most, fewer), ratios = folders, tuple(a / b for a, b in zip(many, few, strict=True))
    each = 1e6 * (sum(many) - sum(few)) / rounds / (most - fewer)
    note = f"{each:.0f} bytes a file; the set is not held in memory"
    what = f"peak memory of training on {most:,} image files, {fewer:,} files"
    return Row(what, many[0], few[0], "MB", ratios, note=note)


def write_images(folder: Path, count: int) -> None:
    """Write so many different grey PNGs of 8x8 pixels, in folders of classes."""
    for label in range(CLASSES):
        (folder / str(label)).mkdir(parents=True)
    parts = [range(start, min(start + 5000, count)) for start in range(0, count, 5000)]
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(_write_part, folder), parts))


def _write_part(folder: Path, numbers: range) -> None:
    for number in numbers:
        file = folder / str(number % CLASSES) / f"image-{number:07d}.png"
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunks(number)))


def _chunks(number: int) -> Iterator[bytes]:
    """Yield the chunks of a grey PNG whose pixels come from a number (PNG, third edition, 5.3)."""
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    row = b"\0" + number.to_bytes(SIDE, "big")  # unfiltered
    for kind, data in (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(row * SIDE, 1)),
        (b"IEND", b""),
    ):
        content = kind + data
        yield struct.pack(">I", len(data)) + content + struct.pack(">I", zlib.crc32(content))


def main() -> None:
    """Print a row for MNIST, and one for a folder where one is asked for."""
    parser = bench_parser(__doc__, rounds=3)
    parser.add_argument("--steps", type=int, default=30, help="steps of training (default 30)")
    parser.add_argument("--folder", type=int, metavar="FILES", help="files of a folder, too")
    given = parser.parse_args()
    common = {"steps": given.steps, "threads": given.threads}
    data = str(given.data) if given.data else None
    rows = [beside_by_hand(given.rounds, {**common, "data": data})]
    if given.folder:
        rows.append(of_folders(given.rounds, given.folder, common))
    report(rows, given.json)


if __name__ == "__main__":
    main()
