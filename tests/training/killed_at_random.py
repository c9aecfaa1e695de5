"""Kill trainings at random moments, resume them each time, and compare with one that was not.

    python tests/training/killed_at_random.py                    # 20 kills of each architecture
    python tests/training/killed_at_random.py --kills 2 --steps 100 mlp-gan

Each kill is SIGKILL, after a time that is drawn anew, in the first moment as in the middle of a
checkpoint; one at least comes when there is a checkpoint to go on from. Exits with 1 where a byte
of the final weights, or of the last checkpoint's state, is another.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml

import genzoo
from genzoo.registry.discovery import registry

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "mlp-gan": {"generator_widths": [16], "discriminator_widths": [16]},
    "dcgan": {"generator_channels": 4, "discriminator_channels": 4},
    "vae": {"latent_dim": 4, "channels": 16},
    "transformer-gan": {"width": 16, "depth": 1, "heads": 2, "discriminator_channels": 8},
    "pixel-transformer": {"levels": 4, "patch_size": 4, "width": 16, "depth": 1, "heads": 2},
}
_ATTEMPTS = 8  # to kill as often as asked, and not always before there is anything to go on from
R3GAN = {"loss": "relativistic", "penalties": {"r1": 0.1, "r2": 0.1}}


def recipe(architecture: str, steps: int) -> dict[str, Any]:
    """Return a zoo config that saves a hundred times on its way."""
    objective = registry().architectures[architecture].objective
    return {
        "name": "killed",
        "image": {"channels": 1, "height": 8, "width": 8},
        "classes": 10,
        "architecture": {"name": architecture, "config": ARCHITECTURES[architecture]},
        "objective": {"name": objective, "config": R3GAN if objective == "adversarial" else {}},
        "dataset": {"name": "digits"},
        "training": {
            "steps": steps,
            "batch_size": 8,
            "checkpoint_every": max(1, steps // 100),
            "preview_every": max(1, steps // 10),
            "schedule": {"name": "cosine", "warmup_steps": 3},
        },
        "card": {
            "summary": "killed",
            "licence": "Apache-2.0",
            "dataset_licence": "CC-BY-4.0",
            "intended_use": "tests",
        },
    }


def train(config: Path, output: Path, after: float | None = None) -> bool:
    """Train, or go on, in a child process; kill it `after` so many seconds; return if it ended."""
    child = os.fork()
    if child == 0:
        try:
            begun = (output / "config.yaml").exists()
            genzoo.train(config, output, resume=begun, device="cpu", progress=False)
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(1)  # the child has said why
    return os.WIFEXITED(status)


def results(folder: Path) -> list[bytes]:
    """Return the bytes of the final weights, and of the last checkpoint's state."""
    last = max(folder.glob("checkpoints/step-*"))
    return [f.read_bytes() for f in (folder / "weights.safetensors", last / "training.safetensors")]


def killed(config: Path, output: Path, kills: int, longest: float) -> int | None:
    """Train, killed so often, each time after up to `longest` seconds, and then to the end.

    Return after how many kills a checkpoint was there; None where the run was over before the last.
    """
    found = 0
    for _ in range(kills):
        if train(config, output, random.uniform(0, longest)):
            return None
        found += any(output.glob("checkpoints/step-*"))
    train(config, output)
    return found


def survives(architecture: str, kills: int, steps: int, folder: Path) -> bool:
    """Return whether a training that is killed so often ends as one that is not."""
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(recipe(architecture, steps)))
    start = time.perf_counter()
    train(config, folder / "straight")
    # On average half an equal share: the run should not be over before its last kill.
    longest = (time.perf_counter() - start) / kills
    for attempt in range(_ATTEMPTS):
        output = folder / f"killed-{attempt}"
        found = killed(config, output, kills, longest)
        if found:
            break
        longest *= 0.7 if found is None else 1.5
    else:
        raise SystemExit(f"{architecture}: no {kills} kills of which one came after a checkpoint")
    same = results(output) == results(folder / "straight")
    word = "the same bits" if same else "OTHER BITS"
    print(f"{architecture}: {steps} steps, {kills} kills, {found} resumed: {word}", flush=True)
    return same


def main() -> None:
    """Kill and compare each architecture asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("architectures", nargs="*", metavar="ARCHITECTURE", default=[])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    random.seed(given.seed)
    torch.set_num_threads(1)
    genzoo.train  # noqa: B018 - imports torch before the first fork
    importlib.import_module("torch._dynamo")  # as the first step of an optimizer would, each time
    good = True
    installed = [name for name in ARCHITECTURES if name in genzoo.list_architectures()]
    for architecture in given.architectures or installed:
        with tempfile.TemporaryDirectory() as folder:
            good &= survives(architecture, given.kills, given.steps, Path(folder))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
