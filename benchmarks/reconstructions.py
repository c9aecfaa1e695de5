"""Where a variational model loses: its samples beside its reconstructions of real images.

    python benchmarks/reconstructions.py vae-fashion-mnist --data DIR

Where both are far from the floor, the decoder or the latent is at fault; where samples alone are,
the prior is. Both are of 2,000 images; the reconstructions are of training images that are in none
of the floor's draws.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import genzoo
from genzoo.evaluation.protocol import CURVE_SAMPLES, FLOOR_DRAWS
from genzoo.evaluation.ruler import Ruler
from genzoo.evaluation.sources import Sight, real


def main() -> None:
    """Print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    model = genzoo.load(arguments.model)
    ruler = Ruler(model, samples=CURVE_SAMPLES, at_most=True, data=arguments.data)
    rows = ruler.order[FLOOR_DRAWS * ruler.samples :][: ruler.samples]
    reconstructed = (
        ((model.reconstruct(images, labels) * 255).round().to(torch.uint8).cpu(), labels)
        for images, labels in real(ruler.training, rows, ruler.batch_size)
    )
    sight = Sight.of(
        reconstructed, ruler.extractor, ruler.spec, len(rows), 1, lambda done, total: None
    )
    print(f"{model.name}: FID / floor on {ruler.samples:,} images")
    print(f"  reconstructions  {ruler.ratio(ruler.fid(sight)):.2f}")
    print(f"  samples          {ruler.ratio(ruler.fid(ruler.look_at(model))):.2f}")


if __name__ == "__main__":
    main()
