"""Training as a person would write it by hand: what stands beside `genzoo.train`.

The networks are those that the plugins build, and the loss is that of the zoo's recipes:
relativistic, with R1 and R2 on every fourth step, and an average of the generator's weights.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import MNIST

import genzoo
import genzoo_dcgan.config
import genzoo_dcgan.networks
import genzoo_mlp_gan.config
import genzoo_mlp_gan.networks
from genzoo.data.fitting import TensorImages
from genzoo.data.load import load_named
from genzoo.registry.config import ZooConfig
from genzoo.registry.schema import validate
from genzoo.registry.specs import ImageSpec
from genzoo.training.callbacks import Callback, Run
from turns import Turns

__all__ = [
    "Steps",
    "Task",
    "genzoo_side",
    "in_memory",
    "plain_side",
    "start",
    "train_by_genzoo",
    "zoo_config",
]

GAMMA = 0.1
EVERY = 4
RATE = 3e-4
BETAS = (0.0, 0.99)
DECAY = 0.999

Name = Literal["dcgan", "mlp-gan"]
Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Task:
    """What is trained, on what and where; images are square, grey and of ten classes."""

    architecture: Name
    size: int = 28
    batch_size: int = 64
    data: Path | None = None
    """The folder that MNIST is in; None for the digits that ship with genzoo, resized."""
    device: str = "cpu"
    threads: int | None = None

    @property
    def image(self) -> ImageSpec:
        """The images."""
        return ImageSpec(1, self.size, self.size, 10)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Return the generator and the discriminator that the plugin builds."""
        if self.architecture == "dcgan":
            built = genzoo_dcgan.networks.build(self.image, genzoo_dcgan.config.DCGANConfig())
        else:
            built = genzoo_mlp_gan.networks.build(self.image, genzoo_mlp_gan.config.MLPGANConfig())
        return built["generator"].to(self.device), built["discriminator"].to(self.device)


def start(threads: int | None) -> None:
    """Set what holds for the whole process."""
    if threads:
        torch.set_num_threads(threads)


def in_memory(image: ImageSpec, data: Path | None) -> TensorImages:
    """Return MNIST or the digits, fitted to an image: uint8 (N, C, H, W), and their labels."""
    dataset = load_named("mnist" if data else "digits", "train", data, image)
    assert isinstance(dataset, TensorImages)
    return dataset


def zoo_config(task: Task, steps: int, folder: Path | None = None, **settings: Any) -> ZooConfig:
    """Return what `genzoo.train` is given; `folder` is one of images that take the set's place.

    `settings` are more of those under `training`.
    """
    named = {"name": "mnist" if task.data else "digits"}
    penalties = {"r1": GAMMA, "r2": GAMMA, "every": EVERY}
    values = {
        "name": "benchmark",
        "image": {"channels": 1, "height": task.size, "width": task.size},
        "classes": 10,
        "architecture": {"name": task.architecture},
        "objective": {
            "name": "adversarial",
            "config": {"loss": "relativistic", "penalties": penalties},
        },
        "dataset": {"name": "folder", "config": {"path": str(folder)}} if folder else named,
        "training": {
            "steps": steps,
            "batch_size": task.batch_size,
            "optimizer": {"name": "adam", "lr": RATE, "betas": list(BETAS)},
            "ema": {"decay": DECAY},
            "preview_every": steps + 1,
            "checkpoint_every": steps + 1,
            **settings,
        },
        "card": {
            "summary": "a benchmark",
            "licence": "Apache-2.0",
            "dataset_licence": "as the dataset's",
            "intended_use": "measuring",
        },
    }
    return validate(ZooConfig, values, source="benchmark")


class Steps(Callback):
    """Hands every step of `genzoo.train` on to whoever counts them."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns

    def on_step(self, run: Run) -> None:
        """Count a step."""
        self.turns.step()


def train_by_genzoo(config: ZooConfig, turns: Turns, data: Path | None, device: str) -> None:
    """Run `genzoo.train` with all that it does by default: progress, metrics, first preview."""
    turns.wait_for_device = waiting(device)
    with tempfile.TemporaryDirectory() as folder:
        genzoo.train(config, folder, data=data, device=device, callbacks=[Steps(turns)])


def genzoo_side(task: Task, turns: Turns, **settings: Any) -> None:
    """Train by genzoo, which writes its figures as often as ever; by other `settings`, perhaps."""
    start(task.threads)
    plan = turns.plan
    # One step more than there are turns: the last would draw a preview.
    config = zoo_config(task, plan.steps + 1, **settings)
    train_by_genzoo(config, turns, task.data, task.device)


def plain_side(task: Task, way: Literal["in memory", "by loader"], turns: Turns) -> None:
    """Train by a loop written by hand: as fast as is known, or as most people write it."""
    start(task.threads)
    turns.wait_for_device = waiting(task.device)
    if way == "in memory":
        train(task, _in_memory(task), turns, {"fused": True})
    else:
        train(task, _by_loader(task), turns, {})


def waiting(device: str) -> Any:
    """Return what waits until a device has done all that it was told."""
    return torch.cuda.synchronize if device.startswith("cuda") else lambda: None


def train(task: Task, batches: Batches, turns: Turns, adam: dict[str, Any]) -> None:
    """Train for as many steps as there are batches; `adam` are options of the optimizer."""
    generator, discriminator = task.networks()
    average = copy.deepcopy(generator).requires_grad_(False).eval()
    options: dict[str, Any] = {"lr": RATE, "betas": BETAS, **adam}
    optimizer_g = torch.optim.Adam(generator.parameters(), **options)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), **options)

    size = generator.latent_dim
    assert isinstance(size, int)

    def latents(count: int) -> Tensor:
        return torch.randn(count, size, device=task.device)

    for step, (real, y) in enumerate(batches):
        penalized = step % EVERY == 0
        discriminator.requires_grad_(True)
        generator.requires_grad_(False)
        with torch.no_grad():
            fake = generator(latents(len(real)), y)
        real.requires_grad_(penalized)
        fake.requires_grad_(penalized)
        real_logits, fake_logits = discriminator(real, y), discriminator(fake, y)
        loss = F.softplus(fake_logits - real_logits).mean()
        if penalized:
            for logits, inputs in ((real_logits, real), (fake_logits, fake)):
                (gradient,) = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
                loss = loss + EVERY * GAMMA / 2 * gradient.square().sum((1, 2, 3)).mean()
        optimizer_d.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer_d.step()

        discriminator.requires_grad_(False)
        generator.requires_grad_(True)
        real = real.detach()
        fake_logits = discriminator(generator(latents(len(real)), y), y)
        with torch.no_grad():
            real_logits = discriminator(real, y)
        loss = F.softplus(real_logits - fake_logits).mean()
        optimizer_g.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer_g.step()

        _follow(average, generator, min(DECAY, (1 + step) / (10 + step)))
        turns.step()


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the average by an exponential moving average's step."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    for mine, theirs in zip(average.buffers(), network.buffers(), strict=True):
        if mine.is_floating_point():
            mine.lerp_(theirs, 1 - decay)
        else:
            mine.copy_(theirs)


def _in_memory(task: Task) -> Batches:
    """Yield batches of a set whose uint8 images are on the device."""
    held = in_memory(task.image, task.data).to(torch.device(task.device))
    assert held.labels is not None
    order, start = torch.randperm(len(held), device=task.device), 0
    while True:
        if start + task.batch_size > len(order):
            order, start = torch.randperm(len(held), device=task.device), 0
        index = order[start : start + task.batch_size]
        start += task.batch_size
        images = held.images.index_select(0, index).float().div_(127.5).sub_(1)
        yield images, held.labels.index_select(0, index)


class _Pictures(Dataset[tuple[Any, int]]):
    """Images in memory, handed out one by one as torchvision's MNIST does."""

    def __init__(self, held: TensorImages, transform: Any) -> None:
        self.held = held
        self.transform = transform

    def __len__(self) -> int:
        return len(self.held)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image, label = self.held[index]
        assert label is not None
        return self.transform(Image.fromarray(image[0].numpy(), mode="L")), label


def _by_loader(task: Task) -> Batches:
    """Yield batches as the DCGAN of PyTorch's examples reads them: two workers and transforms."""
    steps = [transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
    if task.data and task.size != 28:
        steps.insert(0, transforms.Resize(task.size))
    transform = transforms.Compose(steps)
    dataset: Dataset[tuple[Any, int]] = (
        MNIST(str(task.data), train=True, transform=transform)
        if task.data
        else _Pictures(in_memory(task.image, task.data), transform)
    )
    # As in a process that was not itself spawned, which would hand its own way on.
    context = "fork" if sys.platform == "linux" else None
    loader = DataLoader(
        dataset, task.batch_size, shuffle=True, num_workers=2, multiprocessing_context=context
    )
    while True:
        for images, labels in loader:
            yield images.to(task.device), labels.to(task.device)
