"""The numbers of the protocol that all figures are measured by, without torch."""

from __future__ import annotations

__all__ = [
    "CARD_IMPORTANCE_SAMPLES",
    "CURVE_SAMPLES",
    "FLOOR_DRAWS",
    "IMPORTANCE_SAMPLES",
    "KID_SUBSETS",
    "KID_SUBSET_SIZE",
    "LIKELIHOOD_IMAGES",
    "MEMORIZATION",
    "NEIGHBOURS",
    "SAMPLES",
]

SAMPLES = 10_000
CURVE_SAMPLES = 2_000
"""Of a figure during training, which should not take as long as the steps from one to the next."""
FLOOR_DRAWS = 5
"""Draws of training images that the floor of FID is the mean of, where the set has as many."""
NEIGHBOURS = 5
"""k of precision, recall, density and coverage."""
KID_SUBSETS = 100
KID_SUBSET_SIZE = 1_000
MEMORIZATION = 2_000
"""Images whose nearest training images are looked up."""
IMPORTANCE_SAMPLES = 100
"""Draws per image for a likelihood, unless more are asked for."""
LIKELIHOOD_IMAGES = 1_000
"""Test images for a likelihood, unless more are asked for."""
CARD_IMPORTANCE_SAMPLES = 1_000
"""Draws per image for a card's likelihood, which is of all images of the test split."""
