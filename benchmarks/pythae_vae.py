"""How fast a VAE trains: `genzoo.train` beside pythae's BaseTrainer, on pythae's own networks.

    python benchmarks/pythae_vae.py --data DIR

The networks are pythae's default multilayer perceptron, a narrow one, and its convolutional one for
MNIST, all with the loss of its VAE by default: half the squared error, and the KL divergence.
Before anything is timed, both losses are computed on the same batch and noise and have to be equal.
Both trainers get the same images, batch size and Adam; pythae's runs with the fused Adam that
genzoo has, and with the default one. Each trainer runs in a process of its own, in turns.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Literal

import genzoo
from genzoo import Config, ImageSpec
from side_by_side import Row, bench_parser, paired, report
from turns import Plan, Turns, alternate

IMAGE = ImageSpec(1, 28, 28)
BATCH = 64
RATE = 1e-4
Networks = Literal["mlp-64", "mlp-512", "conv"]
NETWORKS: dict[Networks, str] = {
    "mlp-64": "its MLP, 64 wide",
    "mlp-512": "its MLP, 512 wide, the default",
    "conv": "its convolutions for MNIST",
}
CHUNKS: dict[Networks, int] = {"mlp-64": 80, "mlp-512": 30, "conv": 1}
"""Steps in a turn: about a second's at most, so that both sides meet the same machine."""


class PythaeConfig(Config):
    """What `pythae-vae` builds."""

    networks: Networks


@genzoo.hookimpl
def genzoo_architectures() -> list[genzoo.Architecture]:
    """Return `pythae-vae`."""
    return [
        genzoo.Architecture(
            name="pythae-vae",
            summary="pythae's networks of a VAE.",
            objective="variational",
            config="pythae_vae:PythaeConfig",
            networks="pythae_networks:build",
        )
    ]


def genzoo_side(networks: Networks, data: Path | None, threads: int | None, turns: Turns) -> None:
    """Train by genzoo, with all that it does by default."""
    from peers import peer_config, plugin
    from plain import start, train_by_genzoo

    start(threads)
    with plugin("pythae_vae"):
        config = peer_config(
            IMAGE,
            {"name": "pythae-vae", "config": {"networks": networks}},
            {"name": "variational"},
            {"batch_size": BATCH, "optimizer": {"name": "adam", "lr": RATE}},
            turns.plan,
            data,
        )
        train_by_genzoo(config, turns, data, "cpu")


def pythae_side(
    networks: Networks, fused: bool, data: Path | None, threads: int | None, turns: Turns
) -> None:
    """Train by pythae's BaseTrainer, images as float32 in memory, as it has them."""
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    from plain import in_memory, start
    from pythae_networks import check_losses, model

    start(threads)
    held = in_memory(IMAGE, data)

    class Steps(TrainingCallback):  # type: ignore[misc]  # pythae is not typed
        """Counts the steps."""

        def on_train_step_end(self, training_config: Any, **more: Any) -> None:
            """Count a step."""
            turns.step()

    check_losses(networks, held.images[:BATCH])
    images = held.images.float().div_(255)
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=1000,
            learning_rate=RATE,
            per_device_train_batch_size=BATCH,
            optimizer_params={"fused": True} if fused else None,
            no_cuda=True,
        )
        dataset = BaseDataset(images, images.new_zeros(len(images)))
        BaseTrainer(model(networks), dataset, training_config=config, callbacks=[Steps()]).train()


def main() -> None:
    """Print a row for each of pythae's networks and optimizers."""
    parser = bench_parser(__doc__, rounds=40)
    parser.add_argument("--chunk", type=int, help="steps timed in a turn (default: by network)")
    parser.add_argument("--warmup", type=int, default=2, help="steps before all (default 2)")
    parser.add_argument("--only", choices=sorted(NETWORKS), help="one of pythae's networks")
    given = parser.parse_args()
    version = importlib.metadata.version("pythae")
    rows: list[Row] = []
    chosen: list[Networks] = [given.only] if given.only else list(NETWORKS)
    for name in chosen:
        chunk = given.chunk or CHUNKS[name]
        plan = Plan(given.rounds, chunk, warmup=given.warmup, clock=given.clock)
        seconds = alternate(
            {
                "genzoo": partial(genzoo_side, name, given.data, given.threads),
                "fused": partial(pythae_side, name, True, given.data, given.threads),
                "default": partial(pythae_side, name, False, given.data, given.threads),
            },
            plan,
        )
        for adam in ("fused", "default"):
            ours = " set to genzoo's own" if adam == "fused" else ""
            row = Row(
                f"train pythae's VAE, {NETWORKS[name]}; pythae with {adam} Adam",
                unit="images/s",
                must=(">=", 1.0),
                note=f"pythae {version}{', its Adam' if ours else ''}{ours}",
            )
            rows.append(paired(row, seconds["genzoo"], seconds[adam], plan.chunk * BATCH))
    report(rows, given.json)


if __name__ == "__main__":
    main()
