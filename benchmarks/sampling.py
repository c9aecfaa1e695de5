"""How long drawing images takes: `Model.sample` beside a bare loop over the network.

    python benchmarks/sampling.py

The bare loop calls the network under no_grad on the same latents and labels, which it has already,
and leaves the images in [-1, 1]. What genzoo does beyond: it draws latents and labels for each
image from (seed, its index) alone, maps the images to [0, 1] and puts the batches together. The
note says how much of its time goes into drawing the latents.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from side_by_side import Clock, Row, bench_parser, compare, now, report

if TYPE_CHECKING:
    from torch import Tensor

    from genzoo import Model

MODELS = ("mlp-gan-mnist", "dcgan-mnist", "vae-mnist", "transformer-gan-mnist")
COUNTS = (1, 16, 1024)
BATCH = 256


def bare(model: Model, latents: Tensor, labels: Tensor | None) -> Tensor:
    """Return images in [-1, 1] by the networks alone."""
    networks: Any = model.networks
    if "generator" in networks:
        images: Tensor = networks["generator"](latents, labels)
        return images
    if "prior" in networks:
        latents = networks["prior"].inverse(latents, labels)
    mean: Tensor = networks["decoder"](latents, labels).mean
    return mean


def share_of_noise(row: Row, draw: Callable[[], object], rounds: int, clock: Clock) -> str:
    """Return in words which share of our time it takes to draw the latents."""
    seconds = []
    for _ in range(rounds):
        start = now(clock)
        draw()
        seconds.append(now(clock) - start)
    share = statistics.median(seconds) / row.ours if row.ours else 0.0
    return f"latents: {100 * share:.0f}% of genzoo's time"


def row_of(name: str, count: int, rounds: int, clock: Clock) -> Row:
    """Return a model's row for as many images."""
    import torch

    import genzoo
    from genzoo.noise import Noise
    from genzoo.objectives.base import CanInterpolate

    model = genzoo.load(name, "cpu")
    labels = model.labels(count, seed=0)
    objective = model.require(CanInterpolate, "be drawn from latents")

    def draw() -> Tensor:
        latents: Tensor = objective.latents(model.networks, Noise(0, range(count)))
        return latents

    latents = draw()

    @torch.no_grad()
    def plain() -> list[Tensor]:
        return [
            bare(model, latents[i : i + BATCH], None if labels is None else labels[i : i + BATCH])
            for i in range(0, count, BATCH)
        ]

    images = torch.cat(plain()).add(1).div(2).clamp(0, 1)
    torch.testing.assert_close(model.sample(count, seed=0, batch_size=BATCH), images)
    row = Row(f"sample {count} of {name}", unit="s")
    found = compare(
        row,
        lambda: model.sample(count, seed=0, labels=None, batch_size=BATCH),
        plain,
        rounds,
        clock=clock,
    )
    note = share_of_noise(found, draw, min(rounds, 10), clock)
    return Row(found.name, found.ours, found.theirs, "s", found.ratios, note=note)


def main() -> None:
    """Print a row for each model and number of images."""
    parser = bench_parser(__doc__, rounds=20)
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="NAME")
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS, metavar="N")
    given = parser.parse_args()
    if given.threads:
        import torch

        torch.set_num_threads(given.threads)
    rows = [
        row_of(name, count, given.rounds, given.clock)
        for name in given.models
        for count in given.counts
    ]
    report(rows, given.json)


if __name__ == "__main__":
    main()
