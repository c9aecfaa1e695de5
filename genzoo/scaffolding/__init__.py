"""New distributions from templates: where `genzoo new` gets them."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["KINDS", "Kind"]

Kind = Literal["architecture", "objective", "dataset", "callback"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What a new distribution can bring."""
