"""Whether a model completes images to what they were: judged by the classifier of `evaluate`.

    python benchmarks/completing.py pixel-transformer-mnist --data DIR

Of each of the first test images the upper half stays and the rest is drawn, twice: by a model that
is told the label, and by one that has nothing but the upper half to go by. The judge is asked for
the label of each, of the images as they are, and of their upper halves alone, over black.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

import genzoo
from genzoo.data.load import load_dataset
from genzoo.evaluation.features import find_extractor, load_extractor
from genzoo.evaluation.sources import real
from genzoo.images import to_bytes


def main() -> None:
    """Print how often the judge agrees with the true labels."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("-n", type=int, default=100, help="images (default 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    told = genzoo.load(given.model, device="cpu")
    alone = genzoo.load(given.model, device="cpu", objective={"guidance": 0})
    test = load_dataset(told.config, "test", given.data)
    ((images, labels),) = real(test, range(given.n), given.n)
    keep_rows = told.image.height // 2
    judge = load_extractor(find_extractor(told.config.dataset.name), torch.device("cpu"))

    def agreed(pixels: Tensor) -> str:
        _, logits = judge(pixels)
        assert logits is not None
        return f"{(logits.argmax(1) == labels).float().mean().item():.1%}"

    upper = images.clone()
    upper[:, :, keep_rows:] = 0
    print(
        f"{given.n} test images of {told.name}, of which {keep_rows} rows are kept; judged right:"
    )
    print(f"  as they are                     {agreed(images)}")
    print(f"  the upper half alone            {agreed(upper)}")
    models = [("told the label", told)] if told.classes else []
    for who, model in (*models, ("told nothing", alone)):
        done = model.complete(images, keep_rows, labels if told.classes else None, given.seed)
        print(f"  completed by a model {who:<15} {agreed(to_bytes(done))}")


if __name__ == "__main__":
    main()
