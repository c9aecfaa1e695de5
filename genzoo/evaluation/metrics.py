"""Distances between two sets of features, and what a classifier makes of one.

Features are (N, D) tensors; all sums are in float64, so that figures do not hang on the batch size.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genzoo.errors import UnsupportedError
from genzoo.evaluation.protocol import KID_SUBSET_SIZE, KID_SUBSETS, NEIGHBOURS

__all__ = [
    "class_balance",
    "class_shares",
    "copied",
    "fid",
    "kid",
    "label_agreement",
    "nearest",
    "prdc",
]

_DISTANCES = 10_000_000  # of a distance matrix at a time: what is computed of them is some copies
_PART = 8192  # training images at a time
_COPY = 1 / 3


# Every process has all features: torchmetrics would put those of all processes together.
_BY_ITSELF: Mapping[str, Any] = {"sync_on_compute": False}


class _Given(nn.Module):
    """The features themselves, for torchmetrics, which asks for a network."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """Return `features`."""
        return features


def fid(real: Tensor, generated: Tensor) -> float:
    """Return the Frechet distance of Gaussians fitted to the features (Heusel et al. 2017, eq. 6).

    ||m_r - m_g||^2 + Tr(C_r + C_g - 2 (C_r C_g)^(1/2)), by torchmetrics. It is biased upwards by
    about 1/N, so compare only what was measured on as many images.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(_Given(real.shape[1]), **_BY_ITSELF)
    metric.set_dtype(torch.float64)
    metric.update(real.double(), real=True)
    metric.update(generated.double(), real=False)
    # The trace of a square root can come out a rounding error below what is taken from it.
    return max(float(metric.compute()), 0.0)


def kid(real: Tensor, generated: Tensor, seed: int = 0) -> float:
    """Return the mean squared MMD over subsets, with a cubic kernel (Binkowski et al. 2018, eq. 4).

    Unbiased, so that it can fall below 0; 100 subsets of 1,000 images, or of all where there are
    fewer, drawn from `seed`. By torchmetrics.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(KID_SUBSET_SIZE, len(real), len(generated))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*will save all extracted features")
        metric = KernelInceptionDistance(
            _Given(real.shape[1]), subsets=KID_SUBSETS, subset_size=size, **_BY_ITSELF
        )
    metric.update(real.double(), real=True)
    metric.update(generated.double(), real=False)
    with torch.random.fork_rng(devices=[]):  # torchmetrics draws the subsets globally
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed each device
        mean, _ = metric.compute()
    return float(mean)


def prdc(real: Tensor, generated: Tensor, k: int = NEIGHBOURS) -> dict[str, float]:
    """Return precision, recall, density and coverage (Naeem et al. 2020, eq. 1-6).

    An image's ball reaches to its k-th nearest neighbour within its own set. Precision: the share
    of generated images in the ball of a real one; recall: of real ones in that of a generated one;
    density: how many real balls a generated image is in, over k; coverage: the share of real balls
    with a generated image in them. Raises UnsupportedError for sets of k images or fewer.
    """
    if min(len(real), len(generated)) <= k:
        raise UnsupportedError(
            f"the {k}-th nearest neighbour needs more than {k} images, "
            f"not {len(real)} real and {len(generated)} generated ones.",
            hint="Evaluate more samples.",
        )
    real, generated = real.double(), generated.double()
    real_radii, generated_radii = _radii(real, k), _radii(generated, k)
    in_a_real_ball = torch.zeros(len(generated), dtype=torch.long, device=real.device)
    recalled, covered = [], []
    chunk = _rows_of(generated)
    for rows, radii in zip(real.split(chunk), real_radii.split(chunk), strict=True):
        distances = torch.cdist(rows, generated)  # (chunk, N)
        inside = distances < radii[:, None]
        in_a_real_ball += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((distances < generated_radii).any(1))
    return {
        "precision": float((in_a_real_ball > 0).double().mean()),
        "recall": float(torch.cat(recalled).double().mean()),
        "density": float(in_a_real_ball.double().mean() / k),
        "coverage": float(torch.cat(covered).double().mean()),
    }


def _radii(features: Tensor, k: int) -> Tensor:
    """Return each row's distance (N,) to its k-th nearest neighbour, itself not counted."""
    parts = [
        torch.cdist(rows, features).kthvalue(k + 1, dim=1).values
        for rows in features.split(_rows_of(features))
    ]
    return torch.cat(parts)


def _rows_of(columns: Tensor) -> int:
    """Return how many rows of a matrix of distances to these fit into memory at a time."""
    return max(1, _DISTANCES // len(columns))


def label_agreement(
    predicted: Tensor, labels: Tensor, classes: int
) -> tuple[float, list[float | None]]:
    """Return the share of images (N,) that a classifier gives the label asked for, and by class.

    A class that nobody asked for has None.
    """
    agrees = (predicted == labels).double()
    by_class = [agrees[labels == c] for c in range(classes)]
    return float(agrees.mean()), [float(each.mean()) if len(each) else None for each in by_class]


def class_shares(predicted: Tensor, classes: int) -> Tensor:
    """Return the share (classes,) of the images (N,) that are taken for each class."""
    return torch.bincount(predicted, minlength=classes).double() / len(predicted)


def class_balance(real: Tensor, generated: Tensor, classes: int) -> float:
    """Return 1 - the total variation between the classes that two sets of images are taken for.

    1: each class is as frequent in both; 0: no class is in both.
    """
    gap = class_shares(real, classes) - class_shares(generated, classes)
    return 1 - float(gap.abs().sum()) / 2


def nearest(images: Tensor, training: Tensor, k: int = 2) -> tuple[Tensor, Tensor]:
    """Return Euclidean distances (M, k) and indices (M, k) of the k nearest of `training` (N, P).

    `images` are (M, P); both are uint8, and distances are of pixels in [0, 1], nearest first.
    """
    wanted, k = images.float() / 255, min(k, len(training))
    best = torch.empty(len(images), 0, device=images.device)
    indices = torch.empty(len(images), 0, dtype=torch.long, device=images.device)
    for start in range(0, len(training), _PART):
        part = training[start : start + _PART].float() / 255
        # Expanded, as one matrix product: subtracting first would take a hundred times as long.
        partial = torch.addmm(part.square().sum(1), wanted, part.T, alpha=-2)
        values, rows = partial.topk(min(k, len(part)), dim=1, largest=False)
        best, order = torch.cat([best, values], dim=1).sort(dim=1)
        indices = torch.cat([indices, rows + start], dim=1).gather(1, order)[:, :k]
        best = best[:, :k]
    # The distances anew, because the expansion loses those of copies to rounding.
    gaps = [
        (training[found].float() / 255 - image).norm(dim=1)
        for found, image in zip(indices, wanted, strict=True)
    ]
    distances, order = torch.stack(gaps).sort(dim=1)
    return distances, indices.gather(1, order)


def copied(distances: Tensor) -> float:
    """Return the share of images that are copies of a training image, by distances (M, 2).

    A copy is three times nearer to its nearest training image than to the second nearest (Yoon et
    al. 2023, section 3).
    """
    return float((distances[:, 0] <= _COPY * distances[:, 1]).double().mean())
