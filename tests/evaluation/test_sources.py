"""What is seen of images, and what is kept of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from genzoo.data.fitting import TensorImages
from genzoo.data.folder import FolderImages
from genzoo.evaluation.features import FeatureExtractor, find_extractor, load_extractor
from genzoo.evaluation.sources import Sight, generated, real, shuffled, thumbnails
from genzoo.images import save_image
from genzoo.registry.specs import ImageSpec

CPU = torch.device("cpu")


def pixels(count: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_sight_is_of_all_images_and_keeps_the_first(labelled: bool) -> None:
    images, labels = pixels(11, 1, 8, 8), torch.arange(11) % 10
    spec = find_extractor("digits")
    extractor = load_extractor(spec, CPU)
    batches: Iterator[tuple[Tensor, Tensor | None]] = (
        (images[i : i + 3], labels[i : i + 3] if labelled else None) for i in range(0, 11, 3)
    )
    told: list[tuple[int, int]] = []
    sight = Sight.of(batches, extractor, spec, 11, 7, lambda *step: told.append(step))
    features, logits = extractor(images)
    torch.testing.assert_close(sight.features, features, rtol=1e-4, atol=1e-5)
    assert logits is not None
    assert sight.predicted is not None
    assert torch.equal(sight.predicted, logits.argmax(1))
    assert (sight.labels is None) != labelled
    if labelled:
        assert torch.equal(sight.labels, labels)
    assert torch.equal(sight.thumbnails, images[:7])
    assert torch.equal(sight.images, images[:7])
    assert told == [(0, 11), (3, 11), (6, 11), (9, 11), (11, 11)]


@pytest.mark.parametrize("side", [8, 40])
@pytest.mark.parametrize("keep", [0, 3, 6, 7])
def test_shares_are_together_the_sight_of_one_wherever_the_kept_ones_end(
    keep: int, side: int
) -> None:
    images, spec = pixels(11, 1, side, side), find_extractor("digits")
    extractor = load_extractor(spec, CPU)

    def seen(rows: range) -> Sight:
        batches = ((images[i : min(i + 3, rows.stop)], None) for i in rows[::3])
        return Sight.of(batches, extractor, spec, 11, keep, lambda *step: None, rows.start)

    whole = seen(range(11))
    joined = Sight.joined([seen(range(6)), seen(range(6, 11))])
    assert torch.equal(joined.features, whole.features)
    assert torch.equal(joined.thumbnails, whole.thumbnails)
    assert torch.equal(joined.thumbnails, thumbnails(images)[:keep])
    assert torch.equal(joined.images, whole.images)
    assert torch.equal(joined.images, images[:keep])


def test_images_are_made_and_seen_without_tf32() -> None:
    backends = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [backend.allow_tf32 for backend in backends]
    found: list[bool] = []

    class Looks(FeatureExtractor):
        num_features = 64

        def forward(self, images: Tensor) -> tuple[Tensor, None]:
            found.extend(backend.allow_tf32 for backend in backends)
            return images.flatten(1).float(), None

    def batches() -> Iterator[tuple[Tensor, None]]:
        found.extend(backend.allow_tf32 for backend in backends)
        yield pixels(3, 1, 8, 8), None

    try:
        for backend in backends:
            backend.allow_tf32 = True
        Sight.of(batches(), Looks(), find_extractor("digits"), 3, 3, lambda *step: None)
        assert found == [False] * 4
        assert all(backend.allow_tf32 for backend in backends)
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


@pytest.mark.parametrize(
    ("shape", "small"),
    [
        ((1, 8, 8), (1, 8, 8)),
        ((3, 32, 32), (3, 32, 32)),
        ((3, 64, 128), (3, 16, 32)),
        ((1, 100, 40), (1, 32, 13)),
        ((1, 1, 400), (1, 1, 32)),
    ],
)
def test_thumbnails_are_32_pixels_at_most(shape: tuple[int, ...], small: tuple[int, ...]) -> None:
    images = pixels(2, *shape)
    found = thumbnails(images)
    assert (found.shape, found.dtype) == ((2, *small), torch.uint8)
    if small == shape:
        assert torch.equal(found, images)


def test_rows_are_read_in_the_order_asked_for(training: TensorImages) -> None:
    rows = [3, 1000, 0, 3, 7]
    batches = list(real(training, rows, 2))
    assert [len(images) for images, _ in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([images for images, _ in batches]), training.images[rows])
    assert training.labels is not None
    labels = torch.cat([labels for _, labels in batches if labels is not None])
    assert torch.equal(labels, training.labels[rows])


@pytest.mark.parametrize("labels", [(0, 1, 2), None])
def test_images_are_read_from_files_just_as_well(labels: tuple[int, ...] | None, tmp_path) -> None:
    images = pixels(3, 1, 60, 60)
    files = [save_image(image, tmp_path / f"{i}.png", 1) for i, image in enumerate(images)]
    spec = ImageSpec(1, 64, 64)
    folder = FolderImages(tuple(map(str, files)), labels, spec, (), "crop")
    ((found, given),) = real(folder, [2, 0], 5)
    assert torch.equal(found, torch.stack([folder[2][0], folder[0][0]]))
    assert (given is None) if labels is None else (given.tolist() == [2, 0])
    assert thumbnails(folder, 2).shape == (3, 1, 32, 32)


def test_what_a_model_draws_is_rounded_to_what_a_file_would_hold(model) -> None:
    drawn = model("mlp-gan")
    labels = torch.arange(10).repeat(3)
    batches = list(generated(drawn, 30, 5, labels, 8))
    found = torch.cat([images for images, _ in batches])
    expected = drawn.sample(30, seed=5, labels=labels) * 255
    assert found.dtype == torch.uint8
    assert (found - expected).abs().max() <= 0.501
    assert torch.equal(torch.cat([given for _, given in batches if given is not None]), labels)


def test_a_shuffle_is_of_all_and_of_its_seed() -> None:
    assert sorted(shuffled(50, 0)) == list(range(50))
    assert shuffled(50, 0) == shuffled(50, 0) != shuffled(50, 1)
