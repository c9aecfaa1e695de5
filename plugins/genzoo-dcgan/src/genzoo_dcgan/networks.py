"""Deep convolutional generator and discriminator (Radford et al. 2015, arXiv:1511.06434).

The class enters the generator as an embedding beside the latent, and the discriminator as a
projection: logit = psi(phi(x)) + <embedding(y), phi(x)> (Miyato & Koyama 2018, arXiv:1802.05637).
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from genzoo import ImageSpec, LabelError, UnsupportedError
from genzoo_dcgan.config import DCGANConfig

__all__ = ["Discriminator", "Generator", "build", "halvings"]

BASE_SIDES = range(4, 9)
MAX_HALVINGS = 6
NEGATIVE_SLOPE = 0.2


def build(image: ImageSpec, config: DCGANConfig) -> dict[str, nn.Module]:
    """Return the roles generator and discriminator.

    Raises UnsupportedError for a size that does not halve to the base.
    """
    return {"generator": Generator(image, config), "discriminator": Discriminator(image, config)}


def halvings(height: int, width: int) -> int:
    """Return how often both sides halve: as often as leaves a base of 4 to 8 by 4 to 8."""
    for times in range(MAX_HALVINGS, 0, -1):
        if all(s % 2**times == 0 and s // 2**times in BASE_SIDES for s in (height, width)):
            return times
    nearest = ", ".join(f"{h}x{w}" for h, w in _nearest(height, width))
    raise UnsupportedError(
        f"dcgan cannot make {height}x{width} images: it doubles a base of 4 to 8 pixels a side "
        f"up to {MAX_HALVINGS} times, and both sides equally often.",
        hint=f"The nearest sizes that it can make: {nearest}. Or use mlp-gan, which makes small "
        "images of any size.",
    )


def _nearest(height: int, width: int) -> list[tuple[int, int]]:
    bases = [(h, w) for h in BASE_SIDES for w in BASE_SIDES if h == w or height != width]
    sizes = {(h << n, w << n) for n in range(1, MAX_HALVINGS + 1) for h, w in bases}
    return sorted(sizes, key=lambda s: (abs(s[0] - height) + abs(s[1] - width), s))[:3]


class Generator(nn.Module):
    """Transposed 4x4 convolutions of stride 2 with BatchNorm and ReLU, then a 3x3 one to the image.

    Weights start as in the paper (section 4), at N(0, 0.02), biases at zero and embeddings at
    N(0, 1), the scale of the latent.
    """

    def __init__(self, image: ImageSpec, config: DCGANConfig) -> None:
        super().__init__()
        times = halvings(image.height, image.width)
        widths = _doubling(config.generator_channels, times + 1, config.max_channels)[::-1]
        self.latent_dim = config.latent_dim
        self.base = (widths[0], image.height >> times, image.width >> times)
        inputs = config.latent_dim
        self.embedding: nn.Embedding | None = None
        if image.classes is not None:
            self.embedding = nn.Embedding(image.classes, config.class_dim)
            inputs += config.class_dim
        self.project = nn.Linear(inputs, math.prod(self.base))
        self.project_norm = nn.BatchNorm2d(widths[0])
        self.up = nn.Sequential(*map(_up, widths[:-1], widths[1:]))
        self.to_image = nn.Conv2d(widths[-1], image.channels, 3, padding=1)
        self.apply(_init_paper)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] for latents (B, Z) and labels (B,)."""
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(_required(labels))], dim=1)
        x = _channels_last(self.project(z).unflatten(1, self.base))
        x = torch.relu_(self.project_norm(x))
        return torch.tanh(self.to_image(self.up(x)))


class Discriminator(nn.Module):
    """4x4 convolutions of stride 2 with LeakyReLU to half the base, then a linear head.

    Convolutions start as in He et al. 2015 (arXiv:1502.01852), because N(0, 0.02) needs BatchNorm
    to restore the scale and the default has none. Head and embedding start at variance
    1 / features.
    """

    def __init__(self, image: ImageSpec, config: DCGANConfig) -> None:
        super().__init__()
        times = halvings(image.height, image.width) + 1
        widths = _doubling(config.discriminator_channels, times, config.max_channels)
        norms = [False] + [config.discriminator_norm == "batch"] * (times - 1)
        self.down = nn.Sequential(*map(_down, [image.channels, *widths], widths, norms))
        features = widths[-1] * (image.height >> times) * (image.width >> times)
        self.head = nn.Linear(features, 1)
        self.embedding: nn.Embedding | None = None
        if image.classes is not None:
            self.embedding = nn.Embedding(image.classes, features)
        self.apply(_init_he)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B,) for images (B, C, H, W) in [-1, 1] and labels (B,)."""
        x = images
        for stage in self.down:
            x = _channels_last(stage(x))
        features = x.flatten(1)
        logits: Tensor = self.head(features).squeeze(1)
        if self.embedding is not None:
            logits = logits + (self.embedding(_required(labels)) * features).sum(1)
        return logits


def _channels_last(x: Tensor) -> Tensor:
    # Convolutions keep the layout they are given, and this one trains faster on a CPU.
    return x.contiguous(memory_format=torch.channels_last)


def _doubling(first: int, count: int, most: int) -> list[int]:
    return [min(first << i, most) for i in range(count)]


def _up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
            norm=nn.BatchNorm2d(outputs),
            act=nn.ReLU(inplace=True),
        )
    )


def _down(inputs: int, outputs: int, norm: bool) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=not norm)
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv)
    if norm:
        layers["norm"] = nn.BatchNorm2d(outputs)
    layers["act"] = nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True)
    return nn.Sequential(layers)


def _required(labels: Tensor | None) -> Tensor:
    if labels is None:
        raise LabelError(
            "this dcgan was built with classes, and no labels were given.",
            hint="Give one label for each image.",
        )
    return labels


def _init_paper(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _init_he(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, NEGATIVE_SLOPE, nonlinearity="leaky_relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=module.in_features**-0.5)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
