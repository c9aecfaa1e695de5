"""What the settings that save time do: `genzoo.train` with each of them beside none.

    python benchmarks/settings.py --data DIR
    python benchmarks/settings.py --data DIR --device cuda --only bf16 tf32

The same networks, loss and data as in training.py, each setting in a process of its own, in turns.
The ratio is the speed with the setting over that without. What a device has not is left out.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from side_by_side import Row, SideError, bench_parser, paired, report
from turns import Plan, alternate

if TYPE_CHECKING:
    from plain import Name

ON_ALL: dict[str, dict[str, Any]] = {
    "channels_last": {"channels_last": True},
    "compile": {"compile": True},
    "bf16": {"precision": "bf16"},
    "bf16, channels_last": {"precision": "bf16", "channels_last": True},
    "bf16, compile": {"precision": "bf16", "compile": True},
}
ON_GPUS: dict[str, dict[str, Any]] = {
    "tf32": {"precision": "tf32"},
    "fp16": {"precision": "fp16"},
}
CONVOLUTIONAL = frozenset({"dcgan"})


def main() -> None:
    """Print a row for each architecture and setting."""
    parser = bench_parser(__doc__, rounds=8)
    parser.add_argument("--chunk", type=int, default=20, help="steps timed in a turn (default 20)")
    # Compiling takes place in the first steps, one for each combination of phases and penalties.
    parser.add_argument("--warmup", type=int, default=20, help="steps before all (default 20)")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--size", type=int, default=28, help="pixels a side (default 28)")
    parser.add_argument("--device", help="cpu or cuda (default: the GPU where there is one)")
    parser.add_argument("--architectures", nargs="+", default=["dcgan", "mlp-gan"])
    parser.add_argument("--only", nargs="+", choices=[*ON_ALL, *ON_GPUS], help="some settings")
    given = parser.parse_args()

    import torch

    from plain import Task, genzoo_side

    device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    plan = Plan(given.rounds, given.chunk, 2, given.warmup, given.clock)
    rows: list[Row] = []
    chosen: list[Name] = given.architectures
    for name in chosen:
        task = Task(name, given.size, given.batch_size, given.data, device, given.threads)
        plain = partial(genzoo_side, task)
        for what, settings in {**ON_ALL, **(ON_GPUS if device != "cpu" else {})}.items():
            if given.only and what not in given.only:
                continue
            if "channels_last" in settings and name not in CONVOLUTIONAL:
                continue
            row = Row(f"train {name}, {what}", unit="images/s", note=device)
            try:
                sides = {"with": partial(plain, **settings), "without": plain}
                seconds = alternate(sides, plan)
            except SideError as error:
                rows.append(Row(row.name, note=f"does not run: {error}"))
                continue
            work = plan.chunk * task.batch_size
            rows.append(paired(row, seconds["with"], seconds["without"], work))
    report(rows, given.json, ("with", "without"))


if __name__ == "__main__":
    main()
