"""The networks of sngan.py, called and named as genzoo's contract has it."""

from torch import Tensor, nn

from genzoo import ImageSpec, UnsupportedError
from genzoo_sngan.plugin import SNGANConfig
from genzoo_sngan.sngan import ResNetDiscriminator, ResNetGenerator


def build(image: ImageSpec, config: SNGANConfig) -> dict[str, nn.Module]:
    """Return the networks for sides that are doubled three times, as 32 is, or twice, as 28."""
    if image.height % 4 or image.width % 4:
        size = f"{image.height}x{image.width}"
        raise UnsupportedError(f"sngan cannot do {size} images.", hint="Use multiples of 4.")
    return {"generator": Generator(image, config), "discriminator": Discriminator(image, config)}


class Generator(ResNetGenerator):
    """Latents (B, Z) and labels (B,), or None, to images (B, C, H, W) in [-1, 1]."""

    def __init__(self, image: ImageSpec, config: SNGANConfig) -> None:
        n_up = 3 if image.height % 8 == image.width % 8 == 0 else 2
        widths = (config.latent_dim, config.generator_channels, image.channels)
        bottom = (image.height >> n_up, image.width >> n_up)
        super().__init__(*widths, bottom, n_up, image.classes or 0)
        self.latent_dim = config.latent_dim


class Discriminator(ResNetDiscriminator):
    """Images (B, C, H, W) and labels (B,), or None, to logits (B,)."""

    def __init__(self, image: ImageSpec, config: SNGANConfig) -> None:
        super().__init__(config.discriminator_channels, image.channels, image.classes or 0)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return logits (B,)."""
        return super().forward(x, y).squeeze(1)
