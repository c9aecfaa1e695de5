"""Our figures, protocol and all, against torch-fidelity's, with our extractor registered there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch_fidelity
from torch import Tensor
from torch.utils.data import Dataset

from genzoo.data.fitting import TensorImages
from genzoo.evaluation.evaluate import evaluate
from genzoo.evaluation.features import find_extractor, load_extractor
from genzoo.model import Model

NAME = "genzoo-digits"


class Wrapped(torch_fidelity.FeatureExtractorBase):
    """Our extractor of digits, as torch-fidelity calls its own: on RGB."""

    def __init__(self, name: str, features_list: list[str], **kwargs: Any) -> None:
        super().__init__(name, features_list)
        self.network = load_extractor(find_extractor("digits"), torch.device("cpu"))

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("pooled",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "pooled"

    def forward(self, images: Tensor) -> tuple[Tensor]:
        assert images.dtype == torch.uint8
        return (self.network(images[:, :1])[0],)


class RGB(Dataset[Tensor]):
    """Grey images (N, 1, H, W) as RGB ones."""

    def __init__(self, images: Tensor) -> None:
        self.images = images.expand(-1, 3, -1, -1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


@pytest.fixture(scope="module")
def theirs() -> Callable[[Tensor, Tensor], dict[str, float]]:
    """Return a function (generated, real) -> torch-fidelity's figures, under our names."""
    torch_fidelity.register_feature_extractor(NAME, Wrapped)

    def measure(generated: Tensor, real: Tensor) -> dict[str, float]:
        found = torch_fidelity.calculate_metrics(
            input1=RGB(generated),
            input2=RGB(real),
            feature_extractor=NAME,
            fid=True,
            kid=True,
            prc=True,
            prc_neighborhood=5,
            # Subsets of all images: each is the same, whatever the order they are drawn in.
            kid_subsets=2,
            kid_subset_size=min(len(generated), len(real)),
            save_cpu_ram=True,  # without, it starts four processes for each set
            cuda=False,
            cache=False,
            verbose=False,
        )
        names = {
            "fid": "frechet_inception_distance",
            "kid": "kernel_inception_distance_mean",
            "precision": "precision",
            "recall": "recall",
        }
        return {ours: found[name] for ours, name in names.items()}

    return measure


def blurred(images: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(images.float(), 3, stride=1, padding=1).to(torch.uint8)


@pytest.mark.parametrize("which", ["real", "blurred", "noise"])
def test_figures_are_theirs(
    which: str,
    theirs: Callable[[Tensor, Tensor], dict[str, float]],
    training: TensorImages,
    test_split: TensorImages,
    drawing: Callable[[Tensor], Model],
) -> None:
    count, generator = len(test_split), torch.Generator().manual_seed(0)
    images = {
        "real": training.images[:count],
        "blurred": blurred(training.images[:count]),
        "noise": torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=generator),
    }[which]
    ours = evaluate(drawing(images), samples=count).figures
    expected = theirs(images, test_split.images)
    assert {name: ours[name] for name in expected} == pytest.approx(expected, rel=1e-4, abs=1e-6)
