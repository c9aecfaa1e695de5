"""Train a dataset's classifier, whose features are the ruler: `python -m
genzoo.evaluation.train_extractor mnist`.

A run looks at the test split once, after the last step, for the accuracy that it records.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from genzoo.data.fitting import TensorImages
from genzoo.data.load import load_named
from genzoo.errors import GenzooError
from genzoo.evaluation.features import Classifier
from genzoo.files import check_writable
from genzoo.weights import format as weights_format


@dataclass(frozen=True)
class Recipe:
    """How one dataset's classifier is trained.

    All images are shifted by whole pixels, and half of them also turned (radians) and scaled: were
    all of them interpolated, sharp ones would be strange to the features. Noise of up to `noise`
    grey levels (standard deviation) keeps them from seeing what nobody can.
    """

    stages: tuple[tuple[int, ...], ...]
    epochs: int
    batch_size: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    shift: int = 2
    rotate: float = 0.15
    scale: float = 0.1
    flip: bool = False
    noise: float = 12.0
    seed: int = 0


RECIPES = {
    "mnist": Recipe(stages=((32,), (48, 48), (96, 128)), epochs=12),
    "fashion-mnist": Recipe(
        stages=((32,), (48, 48), (96, 128)), epochs=16, rotate=0.05, scale=0.05, flip=True
    ),
    "digits": Recipe(stages=((32, 32), (64, 64)), epochs=60, batch_size=64, shift=1),
}


def train(recipe: Recipe, data: TensorImages) -> Classifier:
    """Return a classifier of these images, trained by AdamW with a one-cycle learning rate."""
    torch.manual_seed(recipe.seed)
    assert data.labels is not None
    network = Classifier(data.image.channels, len(data.class_names), recipe.stages)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    steps = recipe.epochs * (len(data) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=steps
    )
    started = time.monotonic()
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(data))
        losses = []
        for rows in order[: len(data) // recipe.batch_size * recipe.batch_size].split(
            recipe.batch_size
        ):
            _, logits = network(warp(data.images[rows], recipe))
            loss = functional.cross_entropy(logits, data.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        mean = float(torch.stack(losses).mean())
        print(
            f"epoch {epoch + 1}/{recipe.epochs}: loss {mean:.4f}, "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )
    return network.eval()


def warp(images: Tensor, recipe: Recipe) -> Tensor:
    """Return uint8 images (B, C, H, W) as the recipe distorts them, float in [0, 255]."""
    count, _, height, width = images.shape
    turned = torch.rand(count) < 0.5
    angle = (torch.rand(count) * 2 - 1) * recipe.rotate * turned
    scale = 1 + (torch.rand(count) * 2 - 1) * recipe.scale * turned
    mirror = torch.randint(0, 2, (count,)) * 2.0 - 1 if recipe.flip else torch.ones(count)
    shifts = torch.randint(-recipe.shift, recipe.shift + 1, (2, count))
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = angle.cos() * scale * mirror
    theta[:, 0, 1] = -angle.sin() * scale
    theta[:, 1, 0] = angle.sin() * scale * mirror
    theta[:, 1, 1] = angle.cos() * scale
    theta[:, :, 2] = (2 * shifts / torch.tensor([[width], [height]])).T  # the image is 2 wide
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images.float(), grid, align_corners=False)
    levels = torch.rand(count, 1, 1, 1) * recipe.noise
    return (moved + levels * torch.randn_like(moved)).clamp(0, 255)


@torch.no_grad()
def accuracy(network: nn.Module, data: TensorImages) -> float:
    """Return the share of images whose most likely class is their label."""
    assert data.labels is not None
    hits = 0
    for images, labels in zip(data.images.split(500), data.labels.split(500), strict=True):
        hits += int((network(images)[1].argmax(1) == labels).sum())
    return hits / len(data)


def main() -> None:
    """Train, test once, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, help="the folder of downloaded sets")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    name = arguments.dataset
    output = arguments.output or Path(__file__).parent / "weights" / f"{name}.safetensors"
    try:
        _train_and_write(name, arguments.data, output)
    except GenzooError as error:
        parser.exit(2, f"{error}\n")


def _train_and_write(name: str, root: Path | None, output: Path) -> None:
    check_writable(output)  # now, and not after the training
    recipe, started = RECIPES[name], time.monotonic()
    training, test = load_named(name, "train", root), load_named(name, "test", root)
    assert isinstance(training, TensorImages)
    assert isinstance(test, TensorImages)
    network = train(recipe, training)
    seconds = time.monotonic() - started
    header = {
        "extractor": name,
        "network": {
            "channels": test.image.channels,
            "classes": len(test.class_names),
            "stages": recipe.stages,
        },
        "recipe": asdict(recipe),
        "accuracy": accuracy(network, test),
    }
    weights_format.write(output, network.state_dict(), header)
    print(
        f"{output}: test accuracy {header['accuracy']:.4f}, "
        f"{seconds:.0f} s, sha256 {weights_format.file_sha256(output)}"
    )


if __name__ == "__main__":
    main()
