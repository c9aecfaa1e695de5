"""What the discriminator sees: coloured, shifted and cut images, real and generated alike."""

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


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("border", {(1, 2, 3, 4), (1, 1, 2, 3), (2, 3, 4, 4)}),
        ("zeros", {(1, 2, 3, 4), (0, 1, 2, 3), (2, 3, 4, 0)}),
    ],
)
def test_the_border_or_mid_grey_fills_what_a_shift_uncovers(
    padding: str, expected: set[tuple[int, ...]]
) -> None:
    config = AugmentationConfig.model_validate({"translation": 0.25, "padding": padding})
    images = torch.arange(1.0, 5.0).view(1, 1, 1, 4).expand(COUNT, 1, 4, 4).contiguous()
    moved = augment(images, config, make_noise())
    whole = moved[:, 0, 1:3]  # rows that no shift of one uncovers
    assert {tuple(row.tolist()) for row in whole.flatten(0, 1)} == expected
    across = augment(images.transpose(2, 3), config, make_noise())[:, 0, :, 1:3]
    assert {tuple(column.tolist()) for column in across.transpose(1, 2).flatten(0, 1)} == expected


def diff_augment_translation(images: Tensor, shifts: Tensor) -> Tensor:
    """Translate as `rand_translation` of the paper's published code does, by given shifts."""
    batch, _, height, width = images.shape
    number, row, column = torch.meshgrid(
        torch.arange(batch), torch.arange(height), torch.arange(width), indexing="ij"
    )
    row = (row + shifts[:, 0, None, None] + 1).clamp(0, height + 1)
    column = (column + shifts[:, 1, None, None] + 1).clamp(0, width + 1)
    padded = nn.functional.pad(images, [1, 1, 1, 1, 0, 0, 0, 0])
    return padded.permute(0, 2, 3, 1)[number, row, column].permute(0, 3, 1, 2)


def test_padded_with_zeros_a_translation_is_the_papers() -> None:
    """DiffAugment, Zhao et al. 2020, arXiv:2006.10738."""
    images = torch.rand(COUNT, 3, 8, 16, generator=torch.Generator().manual_seed(0)) + 1
    config = AugmentationConfig(translation=0.25, padding="zeros")
    moved = augment(images, config, make_noise())
    most = (2, 4)
    ways = make_noise().uniform(2)
    # A uniform number of [0, 1) chooses among the 2 n + 1 shifts of each side.
    theirs = torch.stack([n - (ways[:, i] * (2 * n + 1)).long() for i, n in enumerate(most)], 1)
    assert len(theirs.unique(dim=0)) > 40  # of 45
    assert torch.equal(moved, diff_augment_translation(images, theirs))


def test_what_was_trained_before_there_was_a_choice_saw_the_border_repeated() -> None:
    """A weights file states its recipe, and what it does not state keeps its meaning."""
    assert AugmentationConfig(translation=0.04).padding == "border"


def test_a_rectangle_of_the_size_asked_for_is_cut_out() -> None:
    images = torch.ones(COUNT, 3, 8, 8)
    cut = augment(images, AugmentationConfig(cutout=0.5), make_noise())
    missing = (cut == 0).sum(dim=(1, 2, 3))
    assert missing.max() == 3 * 4 * 4
    assert 0 < missing.min() < 3 * 4 * 4  # centred near the border, it is partly outside
    assert ((cut == 0) == (cut[:, :1] == 0)).all()  # all channels alike


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_colours_change_as_far_as_in_the_paper_and_no_further(strength: float) -> None:
    """Brightness by -0.5 to 0.5, saturation by a factor of 0 to 2, contrast by one of 0.5 to 1.5.

    Each is read off an image: its mean level tells the brightness, the distances of the pixels'
    grey from that level the contrast, and those of their channels from their grey the rest.
    """
    images = torch.rand(COUNT, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    changed = augment(images, AugmentationConfig(colour=strength), make_noise())

    def parts(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        level, grey = x.mean(dim=(1, 2, 3)), x.mean(dim=1, keepdim=True)
        return level, (grey - level[:, None, None, None]).flatten(1), (x - grey).flatten(1)

    (level, grey, chroma), (new_level, new_grey, new_chroma) = parts(images), parts(changed)
    brightness = new_level - level
    contrast = (new_grey * grey).sum(1) / (grey * grey).sum(1)
    saturation = (new_chroma * chroma).sum(1) / (chroma * chroma).sum(1) / contrast
    torch.testing.assert_close(new_grey, contrast[:, None] * grey, rtol=1e-4, atol=1e-5)
    rest = (contrast * saturation)[:, None] * chroma
    torch.testing.assert_close(new_chroma, rest, rtol=1e-4, atol=1e-5)
    for found, middle, reach in ((brightness, 0, 0.5), (saturation, 1, 1), (contrast, 1, 0.5)):
        away = (found - middle) / (reach * strength)
        assert -1 - 1e-4 < away.min() < -0.97
        assert 0.97 < away.max() < 1 + 1e-4
        assert away.std().item() == pytest.approx(3**-0.5, rel=0.1)  # that of a uniform one
    assert torch.corrcoef(torch.stack([brightness, saturation, contrast])).triu(1).abs().max() < 0.2


def test_grey_images_have_no_saturation_to_change() -> None:
    images = torch.rand(COUNT, 1, 4, 4)
    changed = augment(images, AugmentationConfig(colour=1.0), make_noise())
    before, after = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (images, changed))
    contrast = (after * before).sum(1) / (before * before).sum(1)
    assert 0.5 <= contrast.min() < 0.55
    assert 1.45 < contrast.max() <= 1.5


def test_gradients_pass_through_colours_to_every_pixel() -> None:
    images = torch.rand(5, 3, 4, 4, dtype=torch.float64, requires_grad=True)

    def coloured(x: Tensor) -> Tensor:
        return augment(x, AugmentationConfig(colour=1.0), make_noise(5))

    assert torch.autograd.gradcheck(coloured, images)


def test_what_is_done_to_an_image_hangs_on_no_other() -> None:
    config = AugmentationConfig(colour=1.0, translation=0.25, cutout=0.5)
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
