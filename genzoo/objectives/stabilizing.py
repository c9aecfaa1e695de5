"""What steadies adversarial networks beside their losses: several critics, and bounded ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from genzoo.errors import ConfigError
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
_ATTENTION = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
_SCALES = (nn.LayerNorm, nn.RMSNorm)  # their weight scales each number, and mixes none
_NAMED = 3  # parameters in a message: enough to see which are meant


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


def normalize_spectrally(network: nn.Module, role: str) -> None:
    """Divide weights by their largest singular value (Miyato et al. 2018, arXiv:1802.05957, eq. 8).

    Those of all linear, convolutional, embedding and attention layers, in place. The value is
    estimated by one step of power iteration at each forward in training (algorithm 1). A weight
    that the architecture itself makes of others, normalized by whatever means, is left as it is.
    Raises ConfigError, which names the `role`, where that leaves out a weight of any other layer;
    warns of other matrices, which may be added to something, as positions are.
    """
    for module in list(network.modules()):
        for name in _weights(module):
            if module._parameters.get(name) is not None:
                spectral_norm(module, name)
    # On the meta device a network is sketched, or loaded: as it was trained, and to be used so.
    if not any(parameter.is_meta for parameter in network.parameters()):
        _check_rest(network, role)


def _weights(module: nn.Module) -> tuple[str, ...]:
    """Return the names of what a layer multiplies its input by; of other modules, none."""
    if isinstance(module, nn.MultiheadAttention):
        return _ATTENTION
    return ("weight",) if isinstance(module, _LAYERS) else ()


def _check_rest(network: nn.Module, role: str) -> None:
    """Raise ConfigError, or warn, where matrices of a normalized network are as they were."""
    rest = dict(_rest(network))
    # By PyTorch's names, what a layer multiplies by is its weight; what is added has other names.
    weights = [name for name in rest if "weight" in name.rpartition(".")[2]]
    if not any(is_parametrized(module) or _hooked(module) for module in network.modules()):
        weights = list(rest)
    if weights:
        kind = type(rest[weights[0]]).__name__
        raise ConfigError(
            f"objective.config.spectral_norm cannot normalize {_listed(weights)} of the {role}: "
            f"it does not know the layer {kind}.",
            hint="Let the architecture take PyTorch's linear, convolutional, embedding or "
            "attention layers, or normalize such weights itself, by "
            "torch.nn.utils.parametrizations.spectral_norm; or leave spectral_norm out.",
        )
    if rest:
        warnings.warn(
            f"objective.config.spectral_norm leaves {_listed(list(rest))} of the {role} as they "
            "are: they are no weights of a layer.",
            stacklevel=3,
        )


def _rest(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the trainable matrices that nobody normalizes: each one's name, and its module."""
    for path, module in network.named_modules():
        if "parametrizations" in path.split(".") or isinstance(module, _SCALES):
            continue
        for name, parameter in module.named_parameters(path, recurse=False):
            matrix = sum(size > 1 for size in parameter.shape) > 1
            own = name.rpartition(".")[2]
            if matrix and parameter.requires_grad and not own.startswith(_hooked(module)):
                yield name, module


def _hooked(module: nn.Module) -> tuple[str, ...]:
    """Return how the parameters begin that a module's older kind of normalization works on."""
    hooks = module._forward_pre_hooks.values()
    return tuple(f"{hook.name}_" for hook in hooks if hasattr(hook, "name"))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


@torch.no_grad()
def accuracy(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the share of rows i whose real_logits[i] > fake_logits[i]; a tie counts half."""
    return (real_logits - fake_logits).sign().mean() / 2 + 0.5
