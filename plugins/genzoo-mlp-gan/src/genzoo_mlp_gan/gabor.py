"""Weights between pixels and units that start as Gabor filters (Daugman 1985).

A fully connected layer does not know which pixels are neighbours. Started from noise, a generator
draws noise where there should be a texture, and the discriminator beside it is slow to tell. A
filter that is a wave under a Gaussian window knows it from the first step, and training is as free
to change it as any other.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["draw_with_gabor_filters", "gabor_filters", "see_by_gabor_filters"]

SMALLEST = 0.6  # pixels: the standard deviation of a window that is about one pixel wide
LARGEST = 0.2  # of the image's shorter side
CYCLES = 0.35  # per standard deviation of the window, at most; the fewest make a blob
FLATTENING = 0.03  # cycles per pixel, below which an image's power no longer grows


@torch.no_grad()
def see_by_gabor_filters(layer: nn.Linear, shape: tuple[int, int, int]) -> None:
    """Give each unit of `layer`, whose inputs are images (C, H, W), a filter for weights.

    Images hold less of what is fine (power falls with the square of the frequency, Field 1987):
    fine filters are the stronger ones, so that all respond alike, and together as strongly as the
    noise that they replace.
    """
    filters, _ = gabor_filters(layer.out_features, shape)
    sides = [2 * side for side in shape[1:]]  # twice the image's, for filters that reach its border
    rows, columns = (torch.fft.fftfreq(side) for side in sides)
    power = 1 / (rows.view(-1, 1).square() + columns.square() + FLATTENING**2)
    responses = (torch.fft.fft2(filters, s=sides).abs().square() * power).sum((1, 2, 3))
    of_noise = layer.weight.square().mean() * layer.in_features * power.sum()
    scales = (of_noise / responses).sqrt()
    layer.weight.copy_((filters * scales.view(-1, 1, 1, 1)).flatten(1))


@torch.no_grad()
def draw_with_gabor_filters(layer: nn.Linear, shape: tuple[int, int, int]) -> None:
    """Give each input of `layer`, whose outputs are images (C, H, W), a filter to draw.

    Large filters are the stronger ones, as in images; the sum of all squares stays what it was.
    """
    filters, windows = gabor_filters(layer.in_features, shape)
    filters = filters / filters.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    filters = filters * windows.sqrt().view(-1, 1, 1, 1)
    scale = layer.weight.norm() / filters.norm()
    layer.weight.copy_((filters * scale).flatten(1).T)


def gabor_filters(count: int, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Return filters (count, C, H, W) drawn at random, and their windows' sizes (count,) in pixels.

    Place, direction and phase are uniform, sizes log-uniform; the channels' shares are normal.
    """
    channels, height, width = shape
    y = torch.rand(count, 1, 1) * height - 0.5
    x = torch.rand(count, 1, 1) * width - 0.5
    largest = max(LARGEST * min(height, width), SMALLEST)
    windows = SMALLEST * (largest / SMALLEST) ** torch.rand(count, 1, 1)
    direction, phase = 2 * math.pi * torch.rand(2, count, 1, 1)
    cycles = CYCLES * torch.rand(count, 1, 1) / windows
    dy, dx = torch.arange(height).view(-1, 1) - y, torch.arange(width) - x
    along = dx * direction.cos() + dy * direction.sin()
    wave = torch.cos(2 * math.pi * cycles * along + phase)
    filters = wave * torch.exp(-(dx.square() + dy.square()) / (2 * windows.square()))
    shares = torch.randn(count, channels, 1, 1)
    return filters.unsqueeze(1) * shares, windows.flatten()
