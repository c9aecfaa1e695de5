"""torchgan's DCGAN in the words of genzoo: the generator and discriminator of `torchgan-dcgan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torchgan.losses import (
    LeastSquaresDiscriminatorLoss,
    LeastSquaresGeneratorLoss,
    MinimaxDiscriminatorLoss,
    MinimaxGeneratorLoss,
)
from torchgan.models import DCGANDiscriminator, DCGANGenerator

from genzoo import ImageSpec
from genzoo.objectives.losses import losses as genzoo_losses
from torchgan_dcgan import LATENTS

if TYPE_CHECKING:
    from torchgan_dcgan import Loss, TorchganConfig

__all__ = ["DISCRIMINATOR", "GENERATOR", "build", "check_losses", "losses"]

GENERATOR: tuple[Any, dict[str, Any]] = (
    DCGANGenerator,
    {"encoding_dims": LATENTS, "out_size": 32, "out_channels": 1},
)
DISCRIMINATOR: tuple[Any, dict[str, Any]] = (DCGANDiscriminator, {"in_size": 32, "in_channels": 1})


def losses(name: Loss) -> list[Any]:
    """Return torchgan's losses of a name of genzoo's: the generator's, the discriminator's."""
    if name == "least-squares":
        return [LeastSquaresGeneratorLoss(), LeastSquaresDiscriminatorLoss()]
    return [MinimaxGeneratorLoss(), MinimaxDiscriminatorLoss()]


def build(image: ImageSpec, config: TorchganConfig) -> dict[str, nn.Module]:
    """Return the roles generator and discriminator."""
    size = {"step_channels": config.channels}
    return {
        "generator": _Unconditional(GENERATOR[0](**GENERATOR[1], **size)),
        "discriminator": _Unconditional(DISCRIMINATOR[0](**DISCRIMINATOR[1], **size)),
    }


class _Unconditional(nn.Module):
    """A network that knows nothing of labels."""

    latent_dim = LATENTS

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return what the network makes of latents or images alone."""
        answer: Tensor = self.network(inputs)
        return answer


def check_losses(name: Loss) -> None:
    """Raise AssertionError unless both libraries' losses of the same logits are equal."""
    real, fake = torch.randn(2, 64)
    ours, (generator, discriminator) = genzoo_losses[name], losses(name)
    torch.testing.assert_close(ours.generator(real, fake), generator(fake))
    torch.testing.assert_close(ours.discriminator(real, fake), discriminator(real, fake))
