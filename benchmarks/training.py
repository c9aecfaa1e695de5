"""How fast training goes: `genzoo.train` beside two PyTorch loops written by hand.

    python benchmarks/training.py --data DIR

All train the networks that a plugin builds, by the loss of the zoo's recipes, with Adam and an
average of the generator's weights. One loop holds its uint8 images in memory and has the fused
Adam, as genzoo does: it is the limit. The other is the one that people write: a dataset of
torchvision with its transforms, a DataLoader with two workers, and the default Adam. Each runs in a
process of its own, in turns. genzoo's time is that of all it does between two of its steps,
progress and metrics included. The ratio is genzoo's speed over the loop's.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from side_by_side import Row, bench_parser, paired, report
from turns import Plan, alternate

if TYPE_CHECKING:
    from plain import Name, Task

CHUNKS: dict[Name, int] = {"dcgan": 4, "mlp-gan": 12}
"""Steps in a turn: of a second at most, so that both sides of a round meet the same machine."""
LIMIT: dict[Name, float] = {"dcgan": 0.98, "mlp-gan": 0.95}
PEOPLE: dict[Name, float] = {"mlp-gan": 1.15}


def rows_of(task: Task, plan: Plan) -> list[Row]:
    """Return genzoo beside both loops."""
    from plain import genzoo_side, plain_side

    seconds = alternate(
        {
            "genzoo": partial(genzoo_side, task),
            "in memory": partial(plain_side, task, "in memory"),
            "by loader": partial(plain_side, task, "by loader"),
        },
        plan,
    )
    name, images = f"train {task.architecture}", plan.chunk * task.batch_size
    ours = seconds["genzoo"]
    limit = LIMIT[task.architecture]
    people = PEOPLE.get(task.architecture)
    return [
        paired(
            Row(f"{name}, a loop in memory", unit="images/s", must=(">=", limit), note="the limit"),
            ours,
            seconds["in memory"],
            images,
        ),
        paired(
            Row(
                f"{name}, a loop with a DataLoader",
                unit="images/s",
                must=(">=", people) if people else None,
                note="torchvision's transforms, 2 workers, default Adam",
            ),
            ours,
            seconds["by loader"],
            images,
        ),
    ]


def main() -> None:
    """Print a row for each architecture and loop."""
    parser = bench_parser(__doc__, rounds=40)
    parser.add_argument("--chunk", type=int, help="steps timed in a turn (default: by network)")
    parser.add_argument("--lead", type=int, default=5, help="steps before them (default 5)")
    parser.add_argument("--warmup", type=int, default=8, help="steps before all (default 8)")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--size", type=int, default=28, help="pixels a side (default 28)")
    parser.add_argument("--device", help="cpu or cuda (default: the GPU where there is one)")
    parser.add_argument("--only", choices=sorted(LIMIT), help="one architecture of them")
    given = parser.parse_args()

    import torch

    from plain import Task

    device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    rows: list[Row] = []
    chosen: list[Name] = [given.only] if given.only else sorted(LIMIT)
    for name in chosen:
        chunk = given.chunk or CHUNKS[name]
        plan = Plan(given.rounds, chunk, given.lead, given.warmup, given.clock)
        task = Task(name, given.size, given.batch_size, given.data, device, given.threads)
        rows += rows_of(task, plan)
    report(rows, given.json)


if __name__ == "__main__":
    main()
