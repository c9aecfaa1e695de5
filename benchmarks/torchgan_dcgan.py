"""How fast a GAN trains: `genzoo.train` beside torchgan's Trainer, on torchgan's own networks.

    python benchmarks/torchgan_dcgan.py --data DIR

The networks are torchgan's DCGANGenerator and DCGANDiscriminator for 32x32 images, in several
widths; the losses are its minimax ones (genzoo's `non-saturating`) and its least-squares ones.
Before anything is timed, the losses are compared on the same logits and have to be equal. Both
trainers get the same images, batch size and the fused Adam; torchgan's gets its images from a
DataLoader over tensors in memory, the fastest that it takes. Each runs in a process of its own, in
turns. torchgan ends an epoch with a grid of samples that torchvision no longer draws (the keyword
`range` of make_grid is gone), so here its epoch never ends.
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

IMAGE = ImageSpec(1, 32, 32)
LATENTS = 100
BATCH = 64
ADAM = {"lr": 2e-4, "betas": (0.5, 0.999)}
Loss = Literal["non-saturating", "least-squares"]
SIZES: tuple[tuple[int, Loss], ...] = (
    (4, "non-saturating"),
    (4, "least-squares"),
    (16, "non-saturating"),
    (32, "non-saturating"),
)
CHUNKS = {4: 20, 16: 6, 32: 2}
"""Steps in a turn by the width: less than a second's, so that both sides meet the same machine."""


class TorchganConfig(Config):
    """What `torchgan-dcgan` builds."""

    channels: int


@genzoo.hookimpl
def genzoo_architectures() -> list[genzoo.Architecture]:
    """Return `torchgan-dcgan`."""
    return [
        genzoo.Architecture(
            name="torchgan-dcgan",
            summary="torchgan's networks of a DCGAN.",
            objective="adversarial",
            config="torchgan_dcgan:TorchganConfig",
            networks="torchgan_networks:build",
        )
    ]


def genzoo_side(
    channels: int, loss: Loss, data: Path | None, threads: int | None, turns: Turns
) -> None:
    """Train by genzoo, with all that it does by default."""
    from peers import peer_config, plugin
    from plain import start, train_by_genzoo

    start(threads)
    with plugin("torchgan_dcgan"):
        config = peer_config(
            IMAGE,
            {"name": "torchgan-dcgan", "config": {"channels": channels}},
            {"name": "adversarial", "config": {"loss": loss}},
            {"batch_size": BATCH, "optimizer": {"name": "adam", **ADAM}},
            turns.plan,
            data,
        )
        train_by_genzoo(config, turns, data, "cpu")


def torchgan_side(
    channels: int, loss: Loss, data: Path | None, threads: int | None, turns: Turns
) -> None:
    """Train by torchgan's Trainer."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset
    from torchgan.trainer import Trainer

    from plain import in_memory, start
    from torchgan_networks import DISCRIMINATOR, GENERATOR, check_losses, losses

    start(threads)
    check_losses(loss)
    held = in_memory(IMAGE, data)
    images = held.images.float().div_(127.5).sub_(1)
    loader = DataLoader(TensorDataset(images, images.new_zeros(len(images))), BATCH, shuffle=True)

    class Endless:
        """The loader, epoch after epoch; to be asked for a batch means that a step is done."""

        batch_size = BATCH

        def __iter__(self) -> Any:
            started = False
            while True:
                for batch in loader:
                    if started:
                        turns.step()
                    started = True
                    yield batch

    optimizer = {"name": torch.optim.Adam, "args": {**ADAM, "fused": True}}
    size = {"step_channels": channels}
    models = {
        "generator": {"name": GENERATOR[0], "args": GENERATOR[1] | size, "optimizer": optimizer},
        "discriminator": {
            "name": DISCRIMINATOR[0],
            "args": DISCRIMINATOR[1] | size,
            "optimizer": optimizer,
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            models,
            losses(loss),
            device=torch.device("cpu"),
            checkpoints=f"{folder}/model/gan",
            recon=f"{folder}/images",
        )
        trainer(Endless())


def main() -> None:
    """Print a row for each width and loss."""
    parser = bench_parser(__doc__, rounds=40)
    parser.add_argument("--chunk", type=int, help="steps timed in a turn (default: by width)")
    parser.add_argument("--warmup", type=int, default=2, help="steps before all (default 2)")
    parser.add_argument("--channels", type=int, help="one width, with the minimax loss")
    given = parser.parse_args()
    version = importlib.metadata.version("torchgan")
    rows: list[Row] = []
    chosen: tuple[tuple[int, Loss], ...] = SIZES
    if given.channels:
        chosen = ((given.channels, "non-saturating"),)
    for channels, loss in chosen:
        sides = {
            "genzoo": partial(genzoo_side, channels, loss, given.data, given.threads),
            "torchgan": partial(torchgan_side, channels, loss, given.data, given.threads),
        }
        chunk = given.chunk or CHUNKS.get(channels, 10)
        plan = Plan(given.rounds, chunk, warmup=given.warmup, clock=given.clock)
        seconds = alternate(sides, plan)
        row = Row(
            f"train torchgan's DCGAN, {channels} step channels, {loss}",
            unit="images/s",
            must=(">=", 1.0),
            note=f"torchgan {version}",
        )
        rows.append(paired(row, seconds["genzoo"], seconds["torchgan"], plan.chunk * BATCH))
    report(rows, given.json)


if __name__ == "__main__":
    main()
