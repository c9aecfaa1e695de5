"""pythae's VAE in the words of genzoo: the encoder and decoder of `pythae-vae`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from pythae.models import VAE, VAEConfig
from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST, Encoder_Conv_VAE_MNIST
from pythae.models.nn.default_architectures import Decoder_AE_MLP, Encoder_VAE_MLP
from torch import Tensor, nn
from torch.distributions import Distribution, Normal
from torch.nn import functional as F

from genzoo import ImageSpec
from genzoo.objectives.base import Batch
from genzoo.objectives.configs import VariationalConfig
from genzoo.objectives.variational import Variational

if TYPE_CHECKING:
    from pythae_vae import Networks, PythaeConfig

__all__ = ["build", "check_losses", "model"]

LATENTS = 16
PIXELS = 28 * 28


def model(networks: Networks) -> Any:
    """Return a VAE of pythae."""
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENTS)
    if networks == "conv":
        return VAE(config, Encoder_Conv_VAE_MNIST(config), Decoder_Conv_AE_MNIST(config))
    encoder, decoder, width = Encoder_VAE_MLP(config), Decoder_AE_MLP(config), int(networks[4:])
    encoder.layers[0] = nn.Sequential(nn.Linear(PIXELS, width), nn.ReLU())
    encoder.embedding, encoder.log_var = nn.Linear(width, LATENTS), nn.Linear(width, LATENTS)
    decoder.layers[0] = nn.Sequential(nn.Linear(LATENTS, width), nn.ReLU())
    decoder.layers[1] = nn.Sequential(nn.Linear(width, PIXELS), nn.Sigmoid())
    return VAE(config, encoder, decoder)


def build(image: ImageSpec, config: PythaeConfig) -> dict[str, nn.Module]:
    """Return the roles encoder and decoder of a VAE of pythae."""
    return _roles(model(config.networks))


def _roles(vae: Any) -> dict[str, nn.Module]:
    return {"encoder": _Encoder(vae.encoder), "decoder": _Decoder(vae.decoder)}


class _Encoder(nn.Module):
    """pythae's, which sees images in [0, 1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Normal:
        """Return the posterior over z (B, Z) of images (B, 1, 28, 28) in [-1, 1]."""
        seen = self.network(_unit(images))
        stddev = torch.exp(0.5 * seen.log_covariance)
        return Normal(seen.embedding, stddev, validate_args=False)


class _Decoder(nn.Module):
    """pythae's, whose likelihood has the deviation 1 where white is 1 and black is 0."""

    latent_dim = LATENTS

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Distribution:
        """Return the likelihood over images (B, 1, 28, 28) in [-1, 1] of latents (B, Z)."""
        return _SquaredError(self.network(z)["reconstruction"])


class _SquaredError(Distribution):
    """A Gaussian without its constant: minus half the squared error to images in [0, 1]."""

    def __init__(self, pixels: Tensor) -> None:
        super().__init__(pixels.shape[:1], pixels.shape[1:], validate_args=False)
        self.pixels = pixels

    @property
    def mean(self) -> Tensor:
        """The image (B, 1, 28, 28) in [-1, 1]."""
        return self.pixels * 2 - 1

    def log_prob(self, value: Tensor) -> Tensor:
        """Return (B,) for images (B, 1, 28, 28) in [-1, 1]."""
        # By the operations that pythae's own loss is made of: the trainers are to differ alone.
        errors = F.mse_loss(self.pixels, _unit(value), reduction="none")
        return -0.5 * errors.flatten(1).sum(1)


def _unit(images: Tensor) -> Tensor:
    """Return images in [-1, 1] as pythae sees them, in [0, 1]."""
    return images.mul(0.5).add_(0.5)


class _Global:
    """Noise from torch's global generator, as pythae draws it."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def normal(self, *shape: int) -> Tensor:
        """Return (N, *shape), standard normal."""
        return torch.randn(self.rows, *shape)

    def uniform(self, *shape: int) -> Tensor:
        """Return (N, *shape), uniform in [0, 1)."""
        return torch.rand(self.rows, *shape)

    def integers(self, high: int) -> Tensor:
        """Return (N,), uniform over 0 ... high - 1."""
        return torch.randint(high, (self.rows,))


def check_losses(networks: Networks, images: Tensor) -> None:
    """Raise AssertionError unless both losses of uint8 images (B, 1, 28, 28) are equal."""
    vae, pixels = model(networks), images.float() / 255
    torch.manual_seed(0)
    theirs = vae({"data": pixels}).loss
    torch.manual_seed(0)
    batch = Batch(pixels * 2 - 1, None, _Global(len(images)))
    ours, _ = Variational(VariationalConfig()).loss("elbo", nn.ModuleDict(_roles(vae)), batch, 0)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
