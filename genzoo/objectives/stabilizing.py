"""What steadies adversarial networks beside their losses: several critics, and bounded ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from genzoo.processes import global_mean

__all__ = ["Members", "accuracy", "focused_mean", "members", "normalize_spectrally", "summed"]

_LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Embedding,
)


class Members(nn.ModuleList):
    """Several networks that have one role together, each called by itself."""

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile each, as torch.nn.Module does for a module that is called."""
        for member in self:
            member.compile(*args, **kwargs)


def members(network: nn.Module) -> Sequence[nn.Module]:
    """Return the networks of a role: the one that there is, or all its members."""
    return list(network) if isinstance(network, Members) else [network]


def summed(
    parts: Iterable[tuple[Tensor, dict[str, Tensor]]],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the sum of the members' losses, and the mean of each of their scalars.

    The gradient of the sum is, for each member, that of its own loss.
    """
    first, *rest = parts
    if not rest:
        return first
    found, logs = zip(first, *rest, strict=True)
    means = {name: torch.stack([each[name] for each in logs]).mean() for name in logs[0]}
    return torch.stack(found).sum(), means


def focused_mean(losses: Sequence[Tensor], focus: float) -> Tensor:
    """Return sum_i w_i L_i, w the softmax of `focus` times the losses L, each a scalar.

    AM_soft of GMAN (Durugkar et al. 2017, arXiv:1611.01673), whose lambda is `focus`:
    0 for the arithmetic mean; a large one leaves the largest loss, that of the harshest critic.
    """
    if len(losses) == 1:
        return losses[0]
    each = global_mean(torch.stack(list(losses)))  # the harshest on the whole batch is meant
    return (torch.softmax(focus * each, dim=0) * each).sum()


def normalize_spectrally(network: nn.Module) -> None:
    """Divide weights by their largest singular value (Miyato et al. 2018, arXiv:1802.05957, eq. 8).

    Those of all linear, convolutional and embedding layers, in place. The value is estimated by one
    step of power iteration at each forward in training (algorithm 1). A weight that the
    architecture itself makes of others, normalized by whatever means, is left as it is.
    """
    for module in list(network.modules()):
        if isinstance(module, _LAYERS) and "weight" in module._parameters:
            spectral_norm(module)


@torch.no_grad()
def accuracy(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the share of rows i whose real_logits[i] > fake_logits[i]; a tie counts half."""
    return (real_logits - fake_logits).sign().mean() / 2 + 0.5
