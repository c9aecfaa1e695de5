"""What a plugin describes: frozen, torch-free descriptors that name code as "module:attr"."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, fields
from typing import Any, get_args, get_origin, get_type_hints

from genzoo.errors import PluginError

__all__ = [
    "API_VERSION",
    "HEAVY",
    "NAME",
    "Architecture",
    "Callback",
    "Dataset",
    "Extractor",
    "ImageSpec",
    "Objective",
    "resolve",
]

API_VERSION = 1

HEAVY = ("torch", "torchvision", "numpy")
"""What takes seconds to import: nothing that is only listed may need it."""

NAME = r"[a-z0-9]+(-[a-z0-9]+)*"
"""The pattern of every name: lower-case letters, digits and single hyphens."""
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class ImageSpec:
    """The images that networks are built for: `classes` None means unconditional."""

    channels: int
    height: int
    width: int
    classes: int | None = None

    def __str__(self) -> str:
        classes = "unconditional" if self.classes is None else f"{self.classes} classes"
        return f"{self.channels}x{self.height}x{self.width}, {classes}"


@dataclass(frozen=True, kw_only=True)
class _Descriptor:
    """What all descriptors share: a name that is theirs alone, and the API they speak."""

    name: str
    summary: str
    api_version: int = API_VERSION

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(NAME, self.name):
            raise PluginError(
                f"{type(self).__name__} name {self.name!r} is not valid.",
                hint="Use lower-case letters, digits and single hyphens, as in 'my-gan'.",
            )
        for field in self.references():
            value = getattr(self, field)
            if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
                raise PluginError(
                    f"{type(self).__name__} {self.name!r}: {field} is {value!r}.",
                    hint="Name code as 'package.module:attribute': listing imports nothing.",
                )
        for field, hint in _hints(type(self)).items():
            if not _fits(value := getattr(self, field), hint):
                raise PluginError(
                    f"{type(self).__name__} {self.name!r}: {field} is {value!r}.",
                    hint=f"It must be {hint if get_args(hint) else hint.__name__}, texts on one "
                    "line.",
                )

    def references(self) -> tuple[str, ...]:
        """Return the fields that hold a "module:attr" reference."""
        return ()


def _hints(descriptor: type[_Descriptor]) -> dict[str, Any]:
    """Return the types of a descriptor's fields, but for those that it says more about itself."""
    hints = get_type_hints(descriptor)
    named = {"name", "image", "api_version"}
    return {f.name: hints[f.name] for f in fields(descriptor) if f.name not in named}


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is of one of the types that descriptors have."""
    if get_origin(hint) is tuple:  # of any length
        return isinstance(value, tuple) and all(_fits(each, get_args(hint)[0]) for each in value)
    if get_args(hint):
        return any(_fits(value, each) for each in get_args(hint))
    if hint is str:  # one line of a table, and nothing that a terminal obeys
        return isinstance(value, str) and (value.isprintable() or not value)
    return isinstance(value, (int, float) if hint is float else hint)


@dataclass(frozen=True, kw_only=True)
class Architecture(_Descriptor):
    """A family of networks under one name.

    `config` names a pydantic model, `networks` a function `(ImageSpec, config) -> dict[role,
    Module]`, `objective` the objective it is trained with unless a zoo config says otherwise.
    """

    objective: str
    config: str
    networks: str
    paper: str = ""

    def references(self) -> tuple[str, ...]:
        """Return the fields that hold a "module:attr" reference."""
        return ("config", "networks")


@dataclass(frozen=True, kw_only=True)
class Objective(_Descriptor):
    """How networks learn and how images come out of them.

    `config` names a pydantic model, `factory` a callable `(config) ->
    genzoo.objectives.base.Objective`.
    """

    config: str
    factory: str
    paper: str = ""

    def references(self) -> tuple[str, ...]:
        """Return the fields that hold a "module:attr" reference."""
        return ("config", "factory")


@dataclass(frozen=True, kw_only=True)
class Dataset(_Descriptor):
    """A set of images.

    `factory` is `(config, ImageSpec, split, root) -> genzoo.data.fitting.ImageDataset`, `image` the
    set's own shape, None where it takes any (a folder of images).
    """

    config: str
    factory: str
    image: ImageSpec | None
    licence: str
    homepage: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_image(self, self.image)

    def references(self) -> tuple[str, ...]:
        """Return the fields that hold a "module:attr" reference."""
        return ("config", "factory")


@dataclass(frozen=True, kw_only=True)
class Callback(_Descriptor):
    """Something that watches a training run.

    `factory` is `() -> genzoo.training.callbacks.Callback`. Callbacks are called by rising `order`,
    then by name; the core's own are below 0. One that is not `default` watches only where it is
    asked for by name. A run ends where one that is `required` fails; it goes on without others.
    """

    factory: str
    order: int = 0
    default: bool = True
    required: bool = False

    def references(self) -> tuple[str, ...]:
        """Return the fields that hold a "module:attr" reference."""
        return ("factory",)


@dataclass(frozen=True, kw_only=True)
class Extractor(_Descriptor):
    """A frozen network whose features generated and real images are compared in.

    `factory` is `(Extractor) -> genzoo.evaluation.features.FeatureExtractor`. `datasets` are those
    that it measures unless another is asked for. `image` is what it takes, None where it takes any.
    `weights` is a pkg:// URI and `sha256` that of the file; `accuracy` is its share of right
    answers on the test split of the set it was trained on.
    """

    factory: str
    datasets: tuple[str, ...] = ()
    image: ImageSpec | None = None
    weights: str = ""
    sha256: str = ""
    accuracy: float | None = None
    licence: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_image(self, self.image)
        if bool(self.weights) != bool(self.sha256):
            raise PluginError(
                f"Extractor {self.name!r} has weights {self.weights!r}, sha256 {self.sha256!r}.",
                hint="Give both, or neither: weights are checked on every use.",
            )

    def references(self) -> tuple[str, ...]:
        """Return the fields that hold a "module:attr" reference."""
        return ("factory",)


def _check_image(descriptor: _Descriptor, image: object) -> None:
    wrong = not isinstance(image, ImageSpec) or not all(
        isinstance(n, int) and n >= 1 for n in (image.channels, image.height, image.width)
    )
    if image is not None and wrong:
        raise PluginError(
            f"{type(descriptor).__name__} {descriptor.name!r}: image is {image!r}.",
            hint="Give an ImageSpec of whole numbers, or None where any shape will do.",
        )


def resolve(reference: str) -> Any:
    """Import and return what "module:attr" names; PluginError where that fails."""
    module, _, attribute = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # a plugin's module may raise anything at import
        raise PluginError(
            f"cannot load {reference!r}: {type(error).__name__}: {error}.",
            hint="Reinstall the plugin that it comes from, or report this to its author.",
        ) from error
