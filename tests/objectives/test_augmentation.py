"""What the discriminator sees: shifted and cut images, real and generated alike."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from genzoo.noise import Noise
from genzoo.objectives.adversarial import Adversarial
from genzoo.objectives.augmentation import augment
from genzoo.objectives.base import Batch
from genzoo.objectives.configs import AdversarialConfig, AugmentationConfig

COUNT = 400


def make_noise(count: int = COUNT) -> Noise:
    return Noise(5, range(count))


def test_an_image_is_shifted_by_whole_pixels_as_far_as_was_said_and_no_further() -> None:
    images = torch.full((COUNT, 1, 16, 8), -1.0)
    images[:, :, 8, 4] = 1.0
    moved = augment(images, AugmentationConfig(translation=0.25), make_noise())
    places = moved.flatten(1).argmax(1)
    rows, columns = places // 8 - 8, places % 8 - 4
    assert set(rows.tolist()) == set(range(-4, 5))
    assert set(columns.tolist()) == set(range(-2, 3))
    assert (moved.flatten(1).sum(1) == images.flatten(1).sum(1)).all()
    # Each shift is as likely as any other.
    assert torch.bincount(rows + 4).min() > COUNT / 9 / 2


def test_the_border_fills_what_a_shift_uncovers() -> None:
    images = torch.arange(4.0).view(1, 1, 1, 4).expand(COUNT, 1, 4, 4).contiguous()
    moved = augment(images, AugmentationConfig(translation=0.25), make_noise())
    found = {tuple(image[0, 0].tolist()) for image in moved}
    assert found == {(0, 1, 2, 3), (0, 0, 1, 2), (1, 2, 3, 3)}


def test_a_rectangle_of_the_size_asked_for_is_cut_out() -> None:
    images = torch.ones(COUNT, 3, 8, 8)
    cut = augment(images, AugmentationConfig(cutout=0.5), make_noise())
    missing = (cut == 0).sum(dim=(1, 2, 3))
    assert missing.max() == 3 * 4 * 4
    assert 0 < missing.min() < 3 * 4 * 4  # centred near the border, it is partly outside
    assert ((cut == 0) == (cut[:, :1] == 0)).all()  # all channels alike


def test_what_is_done_to_an_image_hangs_on_no_other() -> None:
    config = AugmentationConfig(translation=0.25, cutout=0.5)
    images = torch.rand(6, 1, 8, 8)
    together = augment(images, config, Noise(3, range(6)))
    alone = augment(images[4:], config, Noise(3, range(4, 6)))
    assert torch.equal(together[4:], alone)
    assert not torch.equal(together, images)


def test_gradients_pass_to_the_pixels_that_are_seen() -> None:
    images = torch.rand(COUNT, 1, 8, 8, requires_grad=True)
    augment(images, AugmentationConfig(translation=0.125), make_noise()).sum().backward()
    assert images.grad is not None
    assert images.grad.sum() == pytest.approx(images.numel())


class Recorder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        self.seen.append(images.detach())
        return self.weight * images.flatten(1).sum(1)


class Painter(nn.Module):
    latent_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Parameter(torch.full((1, 8, 8), -0.5))

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return self.image.expand(len(z), 1, 8, 8) + 0.0 * z[:, :1, None, None]


@pytest.mark.parametrize("phase", ["discriminator", "generator"])
@pytest.mark.parametrize("loss", ["relativistic", "non-saturating"])
def test_the_discriminator_sees_no_image_as_it_is(phase: str, loss: str) -> None:
    networks = nn.ModuleDict({"generator": Painter(), "discriminator": Recorder()})
    config = AdversarialConfig.model_validate(
        {"loss": loss, "augmentation": {"cutout": 0.5}, "penalties": {"r1": 1.0, "r2": 1.0}}
    )
    images = torch.full((32, 1, 8, 8), 0.5)
    batch = Batch(images, None, make_noise(32))
    value, _ = Adversarial(config).loss(phase, networks, batch, 0)
    value.backward()
    discriminator, generator = networks["discriminator"], networks["generator"]
    assert isinstance(discriminator, Recorder)
    assert discriminator.seen
    for seen in discriminator.seen:
        assert ((seen == 0).flatten(1).sum(1) > 0).all()
    assert (images == 0.5).all()  # the batch is as it was
    assert isinstance(generator, Painter)
    assert (generator.image.grad is not None) == (phase == "generator")


def test_without_augmentation_nothing_is_drawn_for_it() -> None:
    """So that a run that was started before there was any goes on to the same weights."""
    drawn = make_noise(4)
    images = torch.rand(4, 1, 8, 8)
    assert augment(images, AugmentationConfig(), drawn) is images
    assert torch.equal(drawn.normal(3), make_noise(4).normal(3))
