"""How long it takes to list a zoo: genzoo, timm and torchvision, each from a cold interpreter."""

from __future__ import annotations

import subprocess
import sys

from side_by_side import Row, SideError, bench_parser, cold, report

GENZOO = [sys.executable, "-m", "genzoo", "list"]
PEERS = {
    "timm.list_models()": "import timm; timm.list_models()",
    "torchvision.models.list_models()": "import torchvision; torchvision.models.list_models()",
}
MUST = {"timm.list_models()": 0.1}
FORBIDDEN = ("torch", "torchvision", "numpy")


def imported(command: list[str]) -> set[str]:
    """Return the top-level modules that a Python command imports."""
    traced = [command[0], "-X", "importtime", *command[1:]]
    answer = subprocess.run(traced, check=True, capture_output=True, text=True)
    names = (line.rpartition("|")[2].strip() for line in answer.stderr.splitlines() if "|" in line)
    return {name.partition(".")[0] for name in names}


def main() -> None:
    """Print a row for each peer."""
    given = bench_parser(__doc__, rounds=7).parse_args()
    heavy = ", ".join(sorted(imported(GENZOO) & set(FORBIDDEN))) or "none"
    note = f"imports of {', '.join(FORBIDDEN)} by genzoo list: {heavy}"
    rows = []
    for name, code in PEERS.items():
        bound = MUST.get(name)
        row = Row(
            f"genzoo list, {name}", unit="s", must=("<=", bound) if bound else None, note=note
        )
        try:
            rows.append(
                cold(row, GENZOO, [sys.executable, "-c", code], given.rounds, clock=given.clock)
            )
        except SideError as error:
            rows.append(Row(row.name, note=f"does not run: {error}"))
    report(rows, given.json)


if __name__ == "__main__":
    main()
