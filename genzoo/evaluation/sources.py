"""Images to be compared, batch by batch: those of a dataset, and those of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from genzoo.data.fitting import ImageDataset, Split, TensorImages, fit_images
from genzoo.data.load import load_dataset, load_named
from genzoo.devices import tf32
from genzoo.errors import ConfigError, DataError, PluginError, UnsupportedError
from genzoo.evaluation.features import FeatureExtractor
from genzoo.inputs import check_batch_size
from genzoo.model import Model
from genzoo.noise import check_seed
from genzoo.registry.config import ZooConfig
from genzoo.registry.specs import Extractor, ImageSpec

__all__ = ["LabelledImages", "Sight", "generated", "open_split", "real", "shuffled", "thumbnails"]

_THUMBNAIL = 32  # pixels of the longer side that images are compared at, pixel by pixel
_SHOWN = 100  # images at the least for a picture of ten by ten, and
_SHOWN_BYTES = 2**25  # as many as are so large: of ten classes, ten of each

LabelledImages = tuple[Tensor, Tensor | None]


@dataclass(frozen=True)
class Sight:
    """What an extractor sees in N images."""

    features: Tensor  # (N, D)
    predicted: Tensor | None  # int64 (N,), the class that each is taken for
    labels: Tensor | None  # int64 (N,), the class that each is meant to be
    thumbnails: Tensor  # uint8 (M, C, h, w), the first of them
    images: Tensor  # uint8 (K, C, H, W), the first of them, to be shown; fewer where they are large

    @classmethod
    @torch.no_grad()
    @tf32(False)
    def of(
        cls,
        batches: Iterable[LabelledImages],
        extractor: FeatureExtractor,
        spec: Extractor,
        total: int,
        keep: int,
        progress: Callable[[int, int], None],
        start: int = 0,
    ) -> Sight:
        """Look at uint8 images (b, C, H, W), their labels, and keep `keep` thumbnails at most.

        `start` is how many of the `total` come before these.
        """
        features: list[Tensor] = []
        predicted, wanted, small, shown, done = [], [], [], [], start
        state = [*extractor.parameters(), *extractor.buffers()]  # it may have none
        device = state[0].device if state else torch.device("cpu")
        progress(done, total)
        for images, labels in batches:
            fitted = images if spec.image is None else fit_images(images, spec.image)
            seen, logits = _seen(extractor, spec, fitted.to(device))
            if not features:  # a share that starts beyond `keep` has none to keep, of this shape
                small.append(thumbnails(images[:1].cpu())[:0])
                shown.append(images[:0].cpu())
            features.append(seen.float().cpu())
            predicted += [] if logits is None else [logits.argmax(1).cpu()]
            wanted += [] if labels is None else [labels.cpu()]
            small += [thumbnails(images[: keep - done].cpu())] if done < keep else []
            most = min(keep, max(_SHOWN, _SHOWN_BYTES // images[0].numel()))
            shown += [images[: most - done].cpu()] if done < most else []
            done += len(images)
            progress(done, total)
        return cls(
            torch.cat(features),
            torch.cat(predicted) if predicted else None,
            torch.cat(wanted) if wanted else None,
            torch.cat(small),
            torch.cat(shown),
        )

    @classmethod
    def joined(cls, parts: Sequence[Sight]) -> Sight:
        """Return as one what was seen in parts, in order."""
        if len(parts) == 1:
            return parts[0]

        def whole(name: str) -> Any:
            each = [getattr(part, name) for part in parts]
            return None if each[0] is None else torch.cat(each)

        return cls(**{field.name: whole(field.name) for field in fields(cls)})

    def by_class(self, columns: int = 10, most: int = 10) -> Tensor:
        """Return images (rows * columns, C, H, W), a row for each of the first `most` classes.

        Without labels, simply the first ones.
        """
        if self.labels is None:
            return self.images[: columns * most]
        labels = self.labels[: len(self.images)]
        rows = [self.images[labels == c][:columns] for c in range(min(int(labels.max()) + 1, most))]
        blank = self.images.new_zeros(columns, *self.images.shape[1:])
        return torch.cat([torch.cat([row, blank])[:columns] for row in rows])


def _seen(
    extractor: FeatureExtractor, spec: Extractor, images: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Return what an extractor makes of images; PluginError where that is not what it promises."""
    features, logits = extractor(images)
    promised = (len(images), extractor.num_features)
    finite = bool(features.isfinite().all())
    if tuple(features.shape) != promised or not finite:
        values = "" if finite else ", not all of them finite"
        raise PluginError(
            f"extractor {spec.name!r} gives features of shape {tuple(features.shape)}{values}.",
            hint=f"For these images it must give finite ones of shape {promised}.",
        )
    if logits is not None and (logits.ndim != 2 or len(logits) != len(images)):
        raise PluginError(
            f"extractor {spec.name!r} gives logits of shape {tuple(logits.shape)}.",
            hint=f"For these images they must be ({len(images)}, classes), or None.",
        )
    return features, logits


def open_split(
    config: ZooConfig, dataset: str | None, split: Split, root: Path | None
) -> ImageDataset:
    """Return a split of the model's own dataset, or of that named, in the model's size."""
    if split not in get_args(Split):  # a dataset may take any other word for "test"
        raise UnsupportedError(f"split is {split!r}.", hint="Use 'test' or 'train'.")
    if dataset is None or dataset == config.dataset.name:
        images = load_dataset(config, split, root)
    else:
        try:
            images = load_named(dataset, split, root, config.image_spec)
        except (ConfigError, DataError) as error:
            if isinstance(error, DataError):
                load_named(dataset, split, root)  # raises what is wrong with it for any model
            raise DataError(
                f"{config.name} cannot be compared with {dataset}: {error.message}",
                hint="Take a dataset of the model's own classes and channels, which needs no "
                "settings.",
            ) from error
    return images.drawn() if isinstance(images, TensorImages) else images


def real(dataset: ImageDataset, rows: Sequence[int], batch_size: int) -> Iterator[LabelledImages]:
    """Yield uint8 images (b, C, H, W) of these rows of a dataset, and their labels (b,) or None."""
    check_batch_size(batch_size)
    for start in range(0, len(rows), batch_size):
        chosen = torch.as_tensor(rows[start : start + batch_size])
        if isinstance(dataset, TensorImages):
            labels = None if dataset.labels is None else dataset.labels[chosen]
            yield dataset.images[chosen], labels
            continue
        images, labels_ = zip(*(dataset[int(index)] for index in chosen), strict=True)
        yield torch.stack(images), None if None in labels_ else torch.tensor(labels_)


def generated(
    model: Model,
    samples: int,
    seed: int,
    labels: Tensor | None,
    batch_size: int,
    rows: range | None = None,
) -> Iterator[LabelledImages]:
    """Yield what a model draws, as uint8: what a file of it would hold. `rows` as for `sample`."""
    done = 0 if rows is None else rows.start
    for images in model.sample_batches(samples, seed, labels, batch_size, rows):
        pixels = (images * 255).round().to(torch.uint8).cpu()
        yield pixels, None if labels is None else labels[done : done + len(pixels)]
        done += len(pixels)


def shuffled(size: int, seed: int) -> list[int]:
    """Return 0 ... size - 1 in an order that `seed` decides."""
    generator = torch.Generator().manual_seed(check_seed(seed))
    order: list[int] = torch.randperm(size, generator=generator).tolist()
    return order


def thumbnails(
    images: Tensor | ImageDataset,
    batch_size: int = 500,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Return uint8 images (N, C, h, w) of 32 pixels a side at most.

    `progress` is told (how many are done, of how many) of a dataset that must be read anew.
    """
    if not isinstance(images, Tensor):
        if isinstance(images, TensorImages):
            return thumbnails(images.images)
        small, done = [], 0
        for batch, _ in real(images, range(len(images)), batch_size):
            small.append(thumbnails(batch))
            done += len(batch)
            progress(done, len(images))
        return torch.cat(small)
    _, channels, height, width = images.shape
    scale = min(1.0, _THUMBNAIL / max(height, width))
    size = ImageSpec(channels, max(1, round(height * scale)), max(1, round(width * scale)))
    return fit_images(images, size)
