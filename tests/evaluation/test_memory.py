"""An evaluation sees its images batch by batch: what it holds does not grow with their number."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PLUGIN = """
    import genzoo

    IMAGE = genzoo.ImageSpec(3, 256, 256)

    @genzoo.hookimpl
    def genzoo_datasets():
        return [
            genzoo.Dataset(
                name="flat",
                summary="one colour an image, made when it is asked for",
                config="genzoo.data.configs:DigitsConfig",
                factory="flat_parts:Flat",
                image=IMAGE,
                licence="CC0-1.0",
            )
        ]

    @genzoo.hookimpl
    def genzoo_extractors():
        return [
            genzoo.Extractor(
                name="colour",
                summary="the mean of each channel",
                factory="flat_parts:Colour",
                datasets=("flat",),
            )
        ]
"""
PARTS = """
    import torch
    from torch import nn
    from genzoo.evaluation.features import FeatureExtractor
    from genzoo.model import Model
    from genzoo.objectives.base import Objective
    from genzoo.registry.config import zoo_config

    COUNT = 400

    class Flat:
        class_names = ()

        def __init__(self, config, image, split, root):
            self.image = image
            self.count = COUNT if split == "train" else 100

        def __len__(self):
            return self.count

        def __getitem__(self, index):
            return torch.full((3, 256, 256), index % 256, dtype=torch.uint8), None

    class Colour(FeatureExtractor):
        num_features = 3

        def __init__(self, spec):
            super().__init__()

        def forward(self, images):
            return images.float().mean(dim=(2, 3)), None

    class Plain(Objective):
        roles = sampling_roles = frozenset()

        def __init__(self):
            super().__init__()
            self.anchor = nn.Parameter(torch.zeros(()))

        def sample(self, networks, noise, labels):
            return noise.uniform(3)[:, :, None, None].expand(-1, -1, 256, 256) * 2 - 1

    def model():
        data = {
            "name": "flat",
            "image": {"channels": 3, "height": 256, "width": 256},
            "classes": None,
            "architecture": {"name": "mlp-gan"},
            "objective": {"name": "adversarial"},
            "dataset": {"name": "flat"},
            "training": {"steps": 1},
            "card": dict.fromkeys(
                ("summary", "licence", "dataset_licence", "intended_use"), "tests"
            ),
        }
        return Model(zoo_config(data, source="test"), nn.ModuleDict(), Plain())
"""
MEASURE = """
    import json, resource
    import torchmetrics.image.fid, torchmetrics.image.kid
    from flat_parts import COUNT, model
    from genzoo.evaluation.evaluate import evaluate

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before = peak()
    worth = evaluate(model(), samples=COUNT)
    shapes = {name: list(images.shape) for name, images in worth.pictures.items()}
    print(json.dumps({"grown": peak() - before, "shapes": shapes, "protocol": worth.protocol}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="others count memory in other units")
def test_large_images_are_not_held(
    distribution: Callable[..., Path],
    python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    files = {"flat_plugin.py": PLUGIN, "flat_parts.py": PARTS}
    distribution("genzoo-flat", "1.0", {"flat": "flat_plugin"}, files)
    # Every large block is given back at once, so that what is counted is what is held.
    ran = python(MEASURE, MALLOC_MMAP_THRESHOLD_="131072")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    # MiB, of which about 100 are code and batches. Samples and as many training images would be 150
    # more, or 600 as float32; of 10,000, as cards are measured on, 25 times as many.
    assert found["grown"] < 200
    assert found["protocol"]["samples"] == 400
    assert found["protocol"]["memorization_images"] == 100
    assert found["shapes"] == {
        "real": [100, 3, 256, 256],
        "generated": [100, 3, 256, 256],
        "neighbours": [40, 3, 256, 256],
    }
