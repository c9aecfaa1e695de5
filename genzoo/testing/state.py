"""Checks of what networks hold: whether all of it is saved, and none of it changes by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from torch import Tensor, nn

from genzoo.testing.bench import Bench, answered, same, stir
from genzoo.testing.checks import Failed, Suite

__all__ = ["STATE"]

STATE: Suite[Bench] = Suite()


@STATE.check(
    "eval-changes-nothing",
    "a call in eval mode changes no parameter and no buffer",
    mend="Update counters and running statistics only where self.training is true.",
    needs=("shapes",),
)
def _eval_changes_nothing(bench: Bench) -> None:
    for specimen in bench.few:
        networks = specimen.networks()
        before = {key: value.clone() for key, value in networks.state_dict().items()}
        answered(specimen, networks, specimen.batch())
        for key, value in networks.state_dict().items():
            if not same(value, before[key]):
                raise Failed(f"for {specimen}, a call in eval mode changes {key!r}")


@STATE.check(
    "reproducible",
    "under one seed of torch the same weights are built",
    mend="Initialize with torch's global generator alone: not by random, NumPy, time or hash().",
    needs=("roles",),
)
def _reproducible(bench: Bench) -> None:
    for specimen in bench.few:
        stir(0)
        first = specimen.networks().state_dict()
        stir(1)
        for key, value in specimen.networks().state_dict().items():
            if not same(value, first[key]):
                raise Failed(f"for {specimen}, {key!r} is another under the same seed")


@STATE.check(
    "registered",
    "every tensor of a network is a parameter or a buffer of it",
    mend="Use self.register_buffer: a plain attribute is neither saved nor moved to a GPU.",
    needs=("roles",),
)
def _registered(bench: Bench) -> None:
    for specimen in bench.few:
        networks = specimen.networks()
        answered(specimen, networks, specimen.batch())  # some keep a tensor only once called
        known = {id(t) for t in (*networks.parameters(), *networks.buffers())}
        for path, module in networks.named_modules():
            # Spectral and weight normalization put at `weight` what they make of `weight_orig`, or
            # of `weight_g` and `weight_v`.
            made = {re.sub("_(orig|g|v)$", "", name) for name in module._parameters}
            for name, value in vars(module).items():
                if name in made or name in vars(nn.Module()):
                    continue
                if any(isinstance(v, Tensor) and id(v) not in known for v in _flat(value)):
                    raise Failed(f"for {specimen}, {path}.{name} is a tensor, and no buffer")


@STATE.check(
    "untied",
    "no two tensors of the networks share memory",
    mend="Keep one of the two: the other is written twice, and is another tensor once loaded.",
    needs=("roles",),
)
def _untied(bench: Bench) -> None:
    for specimen in bench.few:
        state = specimen.networks().state_dict(keep_vars=True)
        places = sorted((*_place(value), key) for key, value in state.items() if value.numel())
        for (_, end, other), (start, _, key) in pairwise(places):
            if start < end:
                raise Failed(f"for {specimen}, {key!r} is tied to {other!r}")


def _place(tensor: Tensor) -> tuple[int, int]:
    """Return the first byte of a tensor, and the one after its last."""
    steps = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + (steps + 1) * tensor.element_size()


def _flat(value: object) -> Iterable[object]:
    if isinstance(value, list | tuple | set):
        return value
    return value.values() if isinstance(value, dict) else (value,)
