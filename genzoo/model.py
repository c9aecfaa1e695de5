"""Model: networks + objective + zoo config. Draw from it, look into it, save it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genzoo._version import __version__
from genzoo.building import objectives_that
from genzoo.errors import UnsupportedError
from genzoo.inputs import (
    Labels,
    check_batch_size,
    check_inputs,
    check_keep_rows,
    check_labels,
    check_places,
    check_rows,
)
from genzoo.noise import Noise, seed_or_any
from genzoo.objectives.base import (
    CanComplete,
    CanEncode,
    CanInterpolate,
    CanReconstruct,
    HasLogLikelihood,
    KnowsSupport,
    Objective,
    ShowsAttention,
)
from genzoo.registry.config import ZooConfig
from genzoo.registry.specs import ImageSpec
from genzoo.weights import format as weights_format

__all__ = ["Labels", "Model"]


class Model(nn.Module):
    """A generator behind one call: what `load`, `create` and `train` return."""

    def __init__(self, config: ZooConfig, networks: nn.ModuleDict, objective: Objective) -> None:
        super().__init__()
        self.config = config
        self.networks = networks
        self.objective = objective
        self.sha256: str | None = None
        """The sha256 of the weights file that this model was loaded from."""
        self.changes: dict[str, Any] = {}
        """The settings of the objective that are not those of the file, as `load` was told."""

    def changed_settings(self) -> dict[str, Any]:
        """Return `changes` by their paths in a zoo config, for what records how images came."""
        return {f"objective.config.{name}": value for name, value in self.changes.items()}

    @property
    def name(self) -> str:
        """The name in the zoo config."""
        return self.config.name

    @property
    def image(self) -> ImageSpec:
        """The images that this model draws."""
        return self.config.image_spec

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.image.channels, self.image.height, self.image.width

    @property
    def classes(self) -> int | None:
        """The number of classes, None for an unconditional model."""
        return self.config.classes

    @property
    def device(self) -> torch.device:
        """The device that the parameters are on."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The floating point type of the parameters."""
        return next(self.parameters()).dtype

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        return f"Model({self.name!r}, {self.image}, {count:,} parameters)"

    @torch.no_grad()
    def sample(
        self,
        n: int = 16,
        seed: int | None = None,
        labels: Labels = None,
        batch_size: int = 256,
        rows: range | None = None,
    ) -> Tensor:
        """Return n images, float32 (n, C, H, W) in [0, 1] on the model's device.

        Image i depends on (seed, i) and its label alone: not on n or the batch size. Without a
        seed, one is drawn. `labels` left out, a conditional model draws them per image from the
        same seed; a sequence is handed out in turn. Raises LabelError for labels out of range or
        given to an unconditional model, UnsupportedError for an n, seed or batch size out of range.
        `rows` are which of the n to draw, and in which order, all unless given, so that processes
        can share them; UnsupportedError for others than those of a range within `range(n)`.
        """
        batches = self.sample_batches(n, seed, labels, batch_size, rows)
        return self._fill(batches, n if rows is None else len(rows))

    def sample_batches(
        self,
        n: int,
        seed: int | None = None,
        labels: Labels = None,
        batch_size: int = 256,
        rows: range | None = None,
    ) -> Iterator[Tensor]:
        """Return the images of `sample`, one batch (b, C, H, W) at a time: for more than memory."""
        seed = seed_or_any(seed)
        wanted = self.labels(n, seed, labels)
        asked = check_rows(n, rows)

        def draw(drawn: range) -> Tensor:
            each = asked[drawn.start : drawn.stop]
            noise = Noise(seed, each, device=self.device)
            return self.objective.sample(self.networks, noise, _rows(wanted, each))

        return self._drawn(draw, len(asked), batch_size)

    def labels(self, n: int, seed: int | None = None, labels: Labels = None) -> Tensor | None:
        """Return the labels int64 (n,) of `sample(n, seed, labels)`, None if unconditional."""
        if not isinstance(n, int) or n < 0:
            raise UnsupportedError(f"n is {n!r}.", hint="Ask for 0 images or more.")
        if labels is None:
            if self.classes is None:
                return None
            noise = Noise(seed_or_any(seed), range(n), stream="labels", device=self.device)
            return noise.integers(self.classes)
        given = check_labels(self.config, labels).to(self.device)
        return given[torch.arange(n, device=self.device) % len(given)]

    @torch.no_grad()
    def interpolate(
        self,
        n: int = 1,
        frames: int = 16,
        seed: int | None = None,
        labels: Labels = None,
        batch_size: int = 256,
    ) -> Tensor:
        """Return n walks through latent space, float32 (n, frames, C, H, W) in [0, 1].

        Walk i goes from the latent of image i of `sample(seed=seed)` to a second one along the
        great circle (spherical interpolation, White 2016, arXiv:1609.04468); its label stays.
        """
        objective = self.require(CanInterpolate, "interpolate")
        if frames < 2:
            raise UnsupportedError(f"frames is {frames}.", hint="A walk has 2 frames or more.")
        seed = seed_or_any(seed)
        wanted = self.labels(n, seed, labels)
        start, end = (
            objective.latents(self.networks, Noise(seed, range(n), stream=s, device=self.device))
            for s in ("sample", "interpolate")
        )
        ways = torch.linspace(0, 1, frames, device=self.device)
        walks = torch.stack([_slerp(start, end, way) for way in ways], dim=1)
        walks = walks.flatten(0, 1).to(start.dtype)
        each = None if wanted is None else wanted.repeat_interleave(frames)

        def draw(rows: range) -> Tensor:
            latents = walks[rows.start : rows.stop]
            images: Tensor = objective.decode(self.networks, latents, _rows(each, rows))
            return images

        images = self._fill(self._drawn(draw, n * frames, batch_size), n * frames)
        return images.view(n, frames, *images.shape[1:])

    @torch.no_grad()
    def encode(self, images: Tensor, labels: Labels = None, batch_size: int = 256) -> Tensor:
        """Return the latents (B, Z) of images (B, C, H, W), float in [0, 1] or uint8.

        A conditional model needs their labels: one for all, or one for each. Raises LabelError, or
        UnsupportedError for other images or a model that cannot.
        """
        objective = self.require(CanEncode, "encode")
        pixels, wanted = self._inputs(images, labels)
        parts = [
            objective.encode(self.networks, pixels[r.start : r.stop], _rows(wanted, r))
            for r in _batches(len(pixels), batch_size)
        ]
        return torch.cat(parts).float()

    @torch.no_grad()
    def reconstruct(self, images: Tensor, labels: Labels = None, batch_size: int = 256) -> Tensor:
        """Return what the model makes of images (B, C, H, W): float32, likewise, in [0, 1].

        Images and labels as for `encode`.
        """
        objective = self.require(CanReconstruct, "reconstruct")
        pixels, wanted = self._inputs(images, labels)

        def draw(rows: range) -> Tensor:
            part = pixels[rows.start : rows.stop]
            made: Tensor = objective.reconstruct(self.networks, part, _rows(wanted, rows))
            return made

        return self._fill(self._drawn(draw, len(pixels), batch_size), len(pixels))

    @torch.no_grad()
    def complete(
        self,
        images: Tensor,
        keep_rows: int,
        labels: Labels = None,
        seed: int | None = None,
        batch_size: int = 256,
    ) -> Tensor:
        """Return images (B, C, H, W) whose first rows are given: float32, likewise, in [0, 1].

        The rest of image i is drawn by (seed, i). Images and labels as for `encode`; where a
        conditional model is given no labels, they are drawn as for `sample`. Raises
        UnsupportedError for rows that are not among an image's, or that the model cannot go on
        from.
        """
        objective = self.require(CanComplete, "complete")
        keep_rows = check_keep_rows(self.config.image_spec, keep_rows)
        seed = seed_or_any(seed)
        drawn = labels is None and self.classes is not None
        pixels, wanted = self._inputs(images, 0 if drawn else labels)
        if drawn:
            wanted = self.labels(len(pixels), seed)

        def draw(rows: range) -> Tensor:
            noise = Noise(seed, rows, stream="complete", device=self.device)
            part = pixels[rows.start : rows.stop]
            made: Tensor = objective.complete(
                self.networks, part, _rows(wanted, rows), noise, keep_rows
            )
            return made

        done = self._fill(self._drawn(draw, len(pixels), batch_size), len(pixels))
        given = images[:, :, :keep_rows]
        done[:, :, :keep_rows] = given / 255 if given.dtype == torch.uint8 else given
        return done

    @torch.no_grad()
    def attention(
        self,
        images: Tensor,
        places: Sequence[tuple[int, int]],
        labels: Labels = None,
        batch_size: int = 64,
    ) -> Tensor:
        """Return how much each place (row, column) of an image looked at each pixel (B, P, H, W).

        In float32, 1 at the most in sum. Images and labels as for `encode`. Raises UnsupportedError
        for places that are not in the image, or a model that does not say.
        """
        objective = self.require(ShowsAttention, "show its attention")
        check_places(self.config.image_spec, places)
        pixels, wanted = self._inputs(images, labels)
        looked = [
            objective.attention(
                self.networks, pixels[rows.start : rows.stop], _rows(wanted, rows), places
            )
            for rows in _batches(len(pixels), batch_size)
        ]
        return torch.cat(looked).float()

    @torch.no_grad()
    def log_likelihood(
        self,
        images: Tensor,
        labels: Labels = None,
        samples: int = 64,
        seed: int = 0,
        batch_size: int = 256,
        start: int = 0,
    ) -> Tensor:
        """Return log p(image), or a lower bound that `samples` tightens, in nats per image (B,).

        Images and labels as for `encode`. Image i draws what (seed, start + i) gives, so that a set
        can be given in parts.
        """
        objective = self.require(HasLogLikelihood, "log_likelihood")
        pixels, wanted = self._inputs(images, labels)
        parts = []
        for rows in _batches(len(pixels), batch_size):
            indices = range(start + rows.start, start + rows.stop)
            noise = Noise(seed_or_any(seed), indices, stream="likelihood", device=self.device)
            part = pixels[rows.start : rows.stop]
            parts.append(
                objective.log_likelihood(self.networks, part, _rows(wanted, rows), noise, samples)
            )
        return torch.cat(parts).float()

    @torch.no_grad()
    def is_probability(self, images: Tensor, labels: Labels = None) -> bool:
        """Return whether `log_likelihood` of these images (B, C, H, W) is that of a probability.

        If so, it sums to 1 over all images of their kind and is at most 0; if not, it is of a
        density or of something less.
        """
        objective = self.require(KnowsSupport, "is_probability")
        return bool(objective.is_probability(self.networks, *self._inputs(images, labels)))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the networks that sample to one safetensors file, which alone `load` can read.

        Raises OutputError where it cannot be written.
        """
        target = Path(path)
        tensors = {
            f"{role}.{name}": tensor
            for role in sorted(self.objective.sampling_roles)
            for name, tensor in self.networks[role].state_dict().items()
        }
        tensors |= {f"objective.{k}": v for k, v in self.objective.state_dict().items()}
        header = {"config": self.config.recipe(), "genzoo": __version__}
        weights_format.write(target, tensors, header)
        return target

    def require(self, protocol: type[Any], verb: str) -> Any:
        """Return the objective if it has what `protocol` asks for, else raise UnsupportedError."""
        if isinstance(self.objective, protocol):
            return self.objective
        able = " or ".join(repr(name) for name in sorted(objectives_that(protocol)))
        models = (
            f"Models with the objective {able} can: see `genzoo list`. Others" if able else "One"
        )
        raise UnsupportedError(
            f"{self.name} cannot {verb}: its objective is {self.config.objective.name!r}.",
            hint=f"{models} can where the objective is a genzoo.objectives.base."
            f"{protocol.__name__}.",
        )

    def _inputs(self, images: Tensor, labels: Labels) -> tuple[Tensor, Tensor | None]:
        return check_inputs(self.config, images, labels, next(self.parameters()))

    def _drawn(self, draw: Callable[[range], Tensor], n: int, batch_size: int) -> Iterator[Tensor]:
        batches = _batches(n, batch_size)  # checks batch_size now, not when the first is asked for
        return (_to_unit(draw, rows) for rows in batches)

    def _fill(self, batches: Iterator[Tensor], n: int) -> Tensor:
        images = torch.empty((n, *self._shape), dtype=torch.float32, device=self.device)
        start = 0
        for batch in batches:
            images[start : start + len(batch)] = batch
            start += len(batch)
        return images


@torch.no_grad()
def _to_unit(draw: Callable[[range], Tensor], rows: range) -> Tensor:
    return draw(rows).float().add(1).div(2).clamp(0, 1)


def _rows(labels: Tensor | None, rows: range) -> Tensor | None:
    return None if labels is None else labels[torch.as_tensor(rows, device=labels.device)]


def _batches(n: int, batch_size: int) -> Iterator[range]:
    check_batch_size(batch_size)
    return (range(start, min(start + batch_size, n)) for start in range(0, n, batch_size))


def _slerp(start: Tensor, end: Tensor, way: Tensor) -> Tensor:
    start, end = start.float(), end.float()  # in bf16, 1 - 1e-6 is 1, and the sine of its angle 0
    cosine = nn.functional.cosine_similarity(start, end, dim=-1).clamp(-1 + 1e-6, 1 - 1e-6)
    angle = cosine.acos().unsqueeze(-1)  # (N, 1)
    return (((1 - way) * angle).sin() * start + (way * angle).sin() * end) / angle.sin()
