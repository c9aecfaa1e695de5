"""Checks of an architecture's descriptor and config, and of which images it can do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

from genzoo.errors import UnsupportedError
from genzoo.registry import specs
from genzoo.registry.catalog import part_config
from genzoo.registry.fields import describe_fields
from genzoo.registry.specs import ImageSpec, resolve
from genzoo.testing.bench import Bench
from genzoo.testing.checks import Check, Failed, Suite
from genzoo.testing.models import MODELS
from genzoo.testing.networks import NETWORKS
from genzoo.testing.specimens import Specimen, recipe

__all__ = ["ARCHITECTURES", "GRID", "ArchitectureBench"]

GRID = tuple(
    ImageSpec(channels, side, side, classes)
    for side, channels, classes in product((28, 32, 64), (1, 3), (None, 10))
)
"""The images that an architecture is asked for; those that it refuses are left out."""

_ODD = (ImageSpec(1, 1, 1), ImageSpec(1, 29, 31), ImageSpec(3, 20, 28))
"""Images that many an architecture cannot do."""


@dataclass(frozen=True)
class ArchitectureBench:
    """An architecture with its default config and its own objective's."""

    spec: specs.Architecture

    def specimen(self, image: ImageSpec) -> Specimen:
        """Return its networks for such images, whether or not it can do them."""
        return Specimen(recipe(self.spec.name, self.spec.objective, image))

    @cached_property
    def tried(self) -> dict[ImageSpec, Specimen | UnsupportedError]:
        """For each of the images that it is asked for, its networks, or why it cannot do them."""
        found: dict[ImageSpec, Specimen | UnsupportedError] = {}
        for image in (*GRID, *_ODD):
            found[image] = specimen = self.specimen(image)
            try:
                specimen.networks()
            except UnsupportedError as error:
                found[image] = error
        return found

    @cached_property
    def bench(self) -> Bench:
        """All images that it is asked for and can do."""
        return Bench([each for each in self.tried.values() if isinstance(each, Specimen)])


_OWN: Suite[ArchitectureBench] = Suite()


@_OWN.check(
    "references",
    "the code that its descriptor names can be imported",
    mend="Name it as 'package.module:attribute', and see that the package holds the module.",
)
def _references(bench: ArchitectureBench) -> None:
    for field in bench.spec.references():
        resolve(getattr(bench.spec, field))


@_OWN.check(
    "config",
    "its config is a genzoo.Config whose fields all have a default and a description",
    mend="Derive it from genzoo.Config, give every field a default, and a docstring beneath it.",
    needs=("references",),
)
def _config(bench: ArchitectureBench) -> None:
    config = part_config(bench.spec, {}, source=f"{bench.spec.name}'s defaults", at="config")
    for row in describe_fields(config):
        if not row["description"]:
            raise Failed(f"field {row['name']!r} has no description")


@_OWN.check(
    "described",
    "its descriptor has a summary",
    mend="Set `summary` in its Architecture: `genzoo list --architectures` shows it.",
)
def _described(bench: ArchitectureBench) -> None:
    if not bench.spec.summary.strip():
        raise Failed("its summary is empty")


@_OWN.check(
    "sizes",
    "images that it cannot do are refused in words, and it can do some",
    mend="Raise genzoo.UnsupportedError(message, hint=...) in `build`, with HEIGHTxWIDTH in it.",
    needs=("config",),
)
def _sizes(bench: ArchitectureBench) -> str:
    done = [specimen.config.image_spec for specimen in bench.bench.specimens]
    if not set(done) & set(GRID):
        raise Failed(f"it can do none of {'; '.join(map(str, GRID))}")
    refused = []
    for image, error in bench.tried.items():
        if isinstance(error, UnsupportedError):
            refused.append(str(image))
            # Where such images of another size can be done, it is the size that is in the way.
            by_size = any(_kind(image) == _kind(other) for other in done)
            if by_size and f"{image.height}x{image.width}" not in error.message:
                what = f"names no {image.height}x{image.width}"
            elif not error.hint:
                what = "gives no hint"
            else:
                continue
            raise Failed(f"the refusal of {image} {what}: {error.message}")
    return f"refused: {'; '.join(refused)}" if refused else ""


def _kind(image: ImageSpec) -> tuple[int, bool]:
    return image.channels, image.classes is None


def _on_bench(check: Check[Bench]) -> Check[ArchitectureBench]:
    needs = check.needs or ("sizes",)
    return Check(check.name, check.about, check.mend, lambda b: check.run(b.bench), needs)


ARCHITECTURES: Suite[ArchitectureBench] = Suite(
    *_OWN.checks, *(_on_bench(check) for check in (*NETWORKS.checks, *MODELS.checks))
)
