"""What each part of a recipe is worth: the recipe beside itself with one thing changed.

    python benchmarks/ablation.py dcgan-mnist --steps 1200 --data DIR

Every variant is trained from the same seed for as many steps. The learning rate, the penalties'
fall and all warm-ups shrink to them, so that the recipe is the recipe, only shorter. Figures are as
of `genzoo train --evaluate-every`: on 2,000 samples. Single runs differ by chance, by a few per
cent; `--seed` gives another.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import genzoo
from genzoo.building import complete
from genzoo.registry.catalog import find
from genzoo.registry.config import ZooConfig
from genzoo.training.api import resolve_config

Overrides = dict[str, Any]
BASE = "the recipe"


def shortened(config: ZooConfig, steps: int) -> dict[str, Any]:
    """Return the settings that make of a recipe one of so many steps."""
    objective: Any = config.objective.config
    lengths = {
        "training.schedule.warmup_steps": config.training.schedule.warmup_steps,
        "objective.config.warmup_steps": objective.get("warmup_steps"),
        "objective.config.penalties.anneal_steps": objective.get("penalties", {}).get(
            "anneal_steps"
        ),
    }
    share = steps / config.training.steps
    return {
        "training.steps": steps,
        **{path: round(share * length) for path, length in lengths.items() if length},
    }


def variants(config: ZooConfig, steps: int) -> dict[str, Overrides]:
    """Return what is changed, by what the table says of it."""
    rate = config.training.optimizer.lr
    objective: Any = config.objective.config
    common: dict[str, Overrides] = {
        BASE: {},
        "no average of the weights (EMA)": {"training.ema": None},
        "a constant learning rate": {"training.schedule": {"name": "constant"}},
        "a third of the learning rate": {"training.optimizer.lr": rate / 3},
        "three times the learning rate": {"training.optimizer.lr": 3 * rate},
    }
    if config.objective.name == "adversarial":
        return common | _adversarial(config, objective["penalties"], steps)
    return common | {
        "the prior N(0, I)": {"objective.config.prior": "normal"},
        "the prior N(0, I), beta 1": {
            "objective.config.prior": "normal",
            "objective.config.beta": 1.0,
        },
        "beta 1": {"objective.config.beta": 1.0},
    }


def _adversarial(
    config: ZooConfig, penalties: Mapping[str, Any], steps: int
) -> dict[str, Overrides]:
    at = "objective.config.penalties."
    gammas = {at + name: penalties[name] for name in ("r1", "r2")}
    found: dict[str, Overrides] = {
        "Adam's beta1 0.5": {"training.optimizer.betas": [0.5, 0.99]},
        "the non-saturating loss": {"objective.config.loss": "non-saturating"},
        "the hinge loss": {"objective.config.loss": "hinge"},
        "no R2": {at + "r2": 0.0},
        "neither R1 nor R2": dict.fromkeys(gammas, 0.0),
        "penalties a third as strong": {name: value / 3 for name, value in gammas.items()},
        "penalties three times as strong": {name: 3 * value for name, value in gammas.items()},
        "penalties that fall tenfold": {at + "anneal_to": 0.1, at + "anneal_steps": steps},
        "penalties that stay": {at + "anneal_steps": 0},
        "penalties on each step": {at + "every": 1},
        "images moved by up to 8%": {"objective.config.augmentation": {"translation": 0.08}},
    }
    if config.architecture.name == "dcgan":
        norm = {"architecture.config.discriminator_norm": "batch"}
        found["BatchNorm in the discriminator"] = norm
    return found


def measure(name: str, overrides: Overrides, data: Path | None) -> dict[str, float]:
    """Train one variant, and return its last figures."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        steps = overrides["training.steps"]
        genzoo.train(name, run, data=data, progress=False, evaluate_every=steps, **overrides)
        last = (run / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()[-1]
        return dict(json.loads(last))


def main() -> None:
    """Print a table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, help="how many, if not as many as there are cores")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="variants with one of these")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = complete(find(arguments.model).config)
    every = shortened(recipe, arguments.steps) | {"training.seed": arguments.seed}
    base = complete(resolve_config(arguments.model, every))
    print(f"| {arguments.model}, {arguments.steps:,} steps | FID / floor | coverage |")
    print("|---|---|---|")
    for title, changed in variants(recipe, arguments.steps).items():
        if arguments.only and not any(text in title for text in arguments.only):
            continue
        overrides = every | changed
        same = complete(resolve_config(arguments.model, overrides)).recipe() == base.recipe()
        if title == BASE or not same:
            found = measure(arguments.model, overrides, arguments.data)
            print(f"| {title} | {found['fid_ratio']:.3g} | {found['coverage']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
