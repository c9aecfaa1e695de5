"""The class as a vector, for the networks that are told it."""

from __future__ import annotations

from torch import Tensor, nn

from genzoo import LabelError

__all__ = ["class_embedding", "embed"]


def class_embedding(classes: int | None, dim: int) -> nn.Embedding | None:
    """Return a table of one vector (dim,) for each class; None without classes."""
    return None if classes is None else nn.Embedding(classes, dim)


def embed(embedding: nn.Embedding | None, labels: Tensor | None) -> Tensor | None:
    """Return the vectors (B, dim) of labels (B,), None without classes; LabelError if missing."""
    if embedding is None:
        return None
    if labels is None:
        raise LabelError(
            "this vae is class-conditional, but got no labels.",
            hint="Pass labels, int64 of shape (B,).",
        )
    classes: Tensor = embedding(labels)
    return classes
