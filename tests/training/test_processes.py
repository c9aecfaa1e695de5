"""Two processes train what one would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

import genzoo
from genzoo.registry.config import ZooConfig

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]
State = Callable[[Path], dict[str, Tensor]]
Endings = list[dict[str, tuple[str, int]]]
