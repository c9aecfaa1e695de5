"""What a ratio of FID to its floor means: real training images, distorted, under the ruler.

    python benchmarks/ruler.py mnist --data DIR

Each row is measured on 10,000 training images that are not among the floor's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from genzoo.data.fitting import TensorImages
from genzoo.data.load import load_named
from genzoo.evaluation import metrics
from genzoo.evaluation.features import find_extractor, load_extractor
from genzoo.evaluation.protocol import FLOOR_DRAWS, SAMPLES
from genzoo.evaluation.sources import shuffled


def noise(levels: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what adds Gaussian noise of that many grey levels."""
    return lambda images, _: images + levels * torch.randn_like(images)


def blur(images: Tensor, _: Tensor) -> Tensor:
    """Return images under a 3x3 binomial filter of weight 1/4 beside the centre."""
    kernel = torch.tensor([1.0, 2.0, 1.0]) / 4
    return functional.conv2d(images, torch.outer(kernel, kernel)[None, None], padding=1)


def shift(images: Tensor, _: Tensor) -> Tensor:
    """Return images moved one pixel to the right."""
    return functional.pad(images, (1, -1, 0, 0))


def without_a_class(images: Tensor, labels: Tensor) -> Tensor:
    """Return images of which those of class 0 are replaced by others."""
    others = images[labels != 0]
    return torch.cat([others, others])[: len(images)]


def half(images: Tensor, _: Tensor) -> Tensor:
    """Return the first half of the images, twice."""
    return torch.cat([images[: len(images) // 2]] * 2)


ROWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "as they are": lambda images, _: images,
    "half of them, twice": half,
    "under noise of 1 grey level": noise(1),
    "under noise of 4 grey levels": noise(4),
    "under noise of 10 grey levels": noise(10),
    "under noise of 30 grey levels": noise(30),
    "blurred a little": blur,
    "moved by one pixel": shift,
    "without class 0": without_a_class,
}


def main() -> None:
    """Print one row for each distortion."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    extractor = load_extractor(find_extractor(arguments.dataset), torch.device("cpu"))
    training, test = (
        load_named(arguments.dataset, split, arguments.data) for split in ("train", "test")
    )
    assert isinstance(training, TensorImages)
    assert isinstance(test, TensorImages)
    assert training.labels is not None
    order = torch.tensor(shuffled(len(training), 0))
    count = min(SAMPLES, len(training) // (FLOOR_DRAWS + 1))
    *draws, rows = order[: count * (FLOOR_DRAWS + 1)].split(count)

    @torch.no_grad()
    def look(images: Tensor) -> Tensor:
        pixels = images.round().clamp(0, 255).to(torch.uint8)
        return torch.cat([extractor(batch)[0] for batch in pixels.split(500)])

    reference = look(test.images.float())
    floors = [metrics.fid(reference, look(training.images[draw].float())) for draw in draws]
    floor = sum(floors) / len(floors)
    images, labels = training.images[rows].float(), training.labels[rows]
    print(f"{arguments.dataset}: {count:,} training images against the test split; the floor is")
    print(f"{floor:.4g}, its {len(floors)} draws are {min(floors):.4g} to {max(floors):.4g}\n")
    print(f"| {count:,} real images | FID / floor |\n|---|---|")
    for name, distort in ROWS.items():
        ratio = metrics.fid(reference, look(distort(images, labels))) / floor
        print(f"| {name} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
