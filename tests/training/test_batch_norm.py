"""BatchNorm over all processes is PyTorch's own where there is one, and has a second derivative."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genzoo.training.batch_norm import GlobalBatchNorm, with_global_batch_norm

FEATURES = {1: (6, 3), 2: (6, 3, 4, 5)}


def features(ndim: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(FEATURES[ndim], generator=generator, dtype=torch.float32) * 3 + 1


@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.3, "eps": 0.1}, {"momentum": None}, {"affine": False}],
)
def test_it_is_what_it_replaces(ndim: int, options: dict[str, Any]) -> None:
    kind = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}[ndim]
    plain = nn.Sequential(kind(3, **options))
    if plain[0].affine:
        nn.init.normal_(plain[0].weight)
        nn.init.normal_(plain[0].bias)
    ours = with_global_batch_norm(copy.deepcopy(plain))
    assert isinstance(ours.get_submodule("0"), GlobalBatchNorm)
    for _ in range(3):
        x = features(ndim).requires_grad_()
        y = x.detach().clone().requires_grad_()
        theirs, mine = plain(x), ours(y)
        torch.testing.assert_close(mine, theirs)
        theirs.square().sum().backward()
        mine.square().sum().backward()
        torch.testing.assert_close(y.grad, x.grad, rtol=1e-4, atol=1e-4)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor)
    torch.testing.assert_close(ours.eval()(features(ndim)), plain.eval()(features(ndim)))


def test_without_running_statistics_it_takes_those_of_the_batch_always() -> None:
    plain = nn.BatchNorm2d(3, track_running_stats=False)
    ours = with_global_batch_norm(copy.deepcopy(plain))
    for mode in (True, False):
        x = features(2)
        torch.testing.assert_close(ours.train(mode)(x), plain.train(mode)(x))


@pytest.mark.parametrize("track", [True, False])
def test_in_eval_mode_a_process_asks_no_other(track: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The main one draws previews alone, and the others would not answer."""
    norm = nn.BatchNorm2d(3, track_running_stats=track)
    ours = with_global_batch_norm(copy.deepcopy(norm)).eval()
    monkeypatch.setattr("genzoo.processes.world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_reduce", pytest.fail)
    torch.testing.assert_close(ours(features(2)), norm.eval()(features(2)))


def test_it_can_be_differentiated_twice() -> None:
    norm = with_global_batch_norm(nn.BatchNorm1d(3).double())
    x = features(1).double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: norm(x).tanh(), x)
