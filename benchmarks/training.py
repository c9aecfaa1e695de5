"""How fast training goes: `genzoo.train` beside a plain PyTorch loop, in alternating chunks.

Both train the networks of `dcgan` by the relativistic loss with R1 and R2, with Adam and an average
of the generator's weights, on the same uint8 images in memory: MNIST where --data says it is, else
the digits that ship with genzoo, resized. genzoo's time is that of all it does between two of its
steps, callbacks and metrics included. The ratio is genzoo's speed over the plain loop's.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import genzoo
from genzoo.data.fitting import TensorImages
from genzoo.data.load import load_dataset
from genzoo.registry.config import ZooConfig
from genzoo.registry.schema import validate
from genzoo.registry.specs import ImageSpec
from genzoo.training.callbacks import Callback, Run
from genzoo_dcgan.config import DCGANConfig
from genzoo_dcgan.networks import Discriminator, Generator

GAMMA = 0.1
RATE = 3e-4
BETAS = (0.0, 0.99)
DECAY = 0.999


def zoo_config(size: int, batch_size: int, steps: int, data: Path | None) -> ZooConfig:
    """Return what genzoo trains."""
    values = {
        "name": "benchmark",
        "image": {"channels": 1, "height": size, "width": size},
        "classes": 10,
        "architecture": {"name": "dcgan"},
        "objective": {
            "name": "adversarial",
            "config": {"loss": "relativistic", "penalties": {"r1": GAMMA, "r2": GAMMA}},
        },
        "dataset": {"name": "mnist" if data else "digits"},
        "training": {
            "steps": steps,
            "batch_size": batch_size,
            "optimizer": {"name": "adam", "lr": RATE, "betas": list(BETAS)},
            "ema": {"decay": DECAY},
            "preview_every": steps + 1,
            "checkpoint_every": steps + 1,
        },
        "card": {
            "summary": "a benchmark",
            "licence": "Apache-2.0",
            "dataset_licence": "as the dataset's",
            "intended_use": "measuring",
        },
    }
    return validate(ZooConfig, values, source="benchmark")


def plain_steps(
    images: Tensor, labels: Tensor, size: int, batch_size: int, fused: bool
) -> Iterator[None]:
    """Train as a person would write it by hand, a step at a time; images are uint8 (N, 1, H, W)."""
    device = images.device
    spec = ImageSpec(1, size, size, 10)
    generator = Generator(spec, DCGANConfig()).to(device)
    discriminator = Discriminator(spec, DCGANConfig()).to(device)
    average = copy.deepcopy(generator).requires_grad_(False).eval()
    # fused=False would turn off foreach too, which is torch's default on a GPU.
    options: dict[str, Any] = {"lr": RATE, "betas": BETAS, **({"fused": True} if fused else {})}
    optimizer_g = torch.optim.Adam(generator.parameters(), **options)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), **options)
    order, start = torch.randperm(len(images), device=device), 0
    step = 0
    while True:
        if start + batch_size > len(order):
            order, start = torch.randperm(len(images), device=device), 0
        index = order[start : start + batch_size]
        start += batch_size
        real = images.index_select(0, index).float().div_(127.5).sub_(1)
        y = labels.index_select(0, index)

        discriminator.requires_grad_(True)
        generator.requires_grad_(False)
        with torch.no_grad():
            fake = generator(torch.randn(batch_size, generator.latent_dim, device=device), y)
        real.requires_grad_(True)
        fake.requires_grad_(True)
        real_logits, fake_logits = discriminator(real, y), discriminator(fake, y)
        loss = F.softplus(fake_logits - real_logits).mean()
        for logits, inputs in ((real_logits, real), (fake_logits, fake)):
            (gradient,) = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
            loss = loss + GAMMA / 2 * gradient.square().sum((1, 2, 3)).mean()
        optimizer_d.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer_d.step()

        discriminator.requires_grad_(False)
        generator.requires_grad_(True)
        real = real.detach()
        fake = generator(torch.randn(batch_size, generator.latent_dim, device=device), y)
        fake_logits = discriminator(fake, y)
        with torch.no_grad():
            real_logits = discriminator(real, y)
        loss = F.softplus(real_logits - fake_logits).mean()
        optimizer_g.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer_g.step()

        follow(average, generator, min(DECAY, (1 + step) / (10 + step)))
        step += 1
        yield


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the average by an exponential moving average's step."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    for mine, theirs in zip(average.buffers(), network.buffers(), strict=True):
        if mine.is_floating_point():
            mine.lerp_(theirs, 1 - decay)
        else:
            mine.copy_(theirs)


class Alternate(Callback):
    """Runs the plain loop between chunks of genzoo's own steps, and times both."""

    def __init__(
        self, plain: Iterator[None], warmup: int, chunk: int, device: torch.device
    ) -> None:
        self.plain = plain
        self.warmup = warmup
        self.chunk = chunk
        self.device = device
        self.seconds: list[tuple[float, float]] = []
        self._resumed = 0.0

    def on_step(self, run: Run) -> None:
        """Take turns after the warm-up, and then after every chunk."""
        done = run.step - self.warmup
        if done < 0 or done % self.chunk:
            return
        start = self._now()
        for _ in range(self.chunk if done else self.warmup):
            next(self.plain)
        end = self._now()
        if done:
            self.seconds.append((start - self._resumed, end - start))
        self._resumed = self._now()

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10, help="chunks of each (default 10)")
    parser.add_argument("--chunk", type=int, default=20, help="steps in a chunk (default 20)")
    parser.add_argument("--warmup", type=int, default=5, help="steps before them (default 5)")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--size", type=int, default=28, help="pixels a side (default 28)")
    parser.add_argument("--data", type=Path, help="the folder that MNIST is in")
    parser.add_argument("--device", help="cpu or cuda (default: the GPU where there is one)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch on the CPU")
    parser.add_argument("--fused", action="store_true", help="fused Adam in the plain loop too")
    return parser.parse_args()


def main() -> None:
    """Print both speeds and their ratio."""
    given = arguments()
    if given.threads:
        torch.set_num_threads(given.threads)
    device = torch.device(given.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    steps = given.warmup + given.rounds * given.chunk + 1  # the last draws a preview, untimed
    config = zoo_config(given.size, given.batch_size, steps, given.data)
    dataset = load_dataset(config, "train", given.data)
    assert isinstance(dataset, TensorImages)
    assert dataset.labels is not None
    held = dataset.to(device)
    assert held.labels is not None
    plain = plain_steps(held.images, held.labels, given.size, given.batch_size, given.fused)
    turns = Alternate(plain, given.warmup, given.chunk, device)
    with tempfile.TemporaryDirectory() as folder:
        genzoo.train(
            config, folder, data=given.data, device=str(device), progress=False, callbacks=[turns]
        )
    show(turns.seconds, given.batch_size * given.chunk, "fused" if given.fused else "default")


def show(seconds: list[tuple[float, float]], images: int, adam: str) -> None:
    """Print images a second, the median and the best of all chunks."""
    ours, theirs = (
        (images / statistics.median(times), images / min(times))
        for times in zip(*seconds, strict=True)
    )
    print(f"{'images a second':28}{'median':>10}{'best':>10}")
    print(f"{'genzoo.train':28}{ours[0]:10.1f}{ours[1]:10.1f}")
    print(f"{f'plain loop, {adam} Adam':28}{theirs[0]:10.1f}{theirs[1]:10.1f}")
    print(f"{'ratio':28}{ours[0] / theirs[0]:10.3f}{ours[1] / theirs[1]:10.3f}")


if __name__ == "__main__":
    main()
