"""From a model to a picture: `sample`, `interpolate`, `reconstruct`, `complete` and `explain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genzoo._version import __version__
from genzoo.cli.arguments import (
    BatchSize,
    DataFolder,
    Device,
    LabelText,
    ModelName,
    Seed,
    Settings,
    SplitName,
    check_output,
    default_columns,
    parse_labels,
    parse_places,
    parse_settings,
)
from genzoo.cli.output import counted
from genzoo.files import check_writable

if TYPE_CHECKING:
    from torch import Tensor

    from genzoo.data.fitting import ImageDataset, Split
    from genzoo.model import Model

__all__ = ["complete", "explain", "interpolate", "reconstruct", "sample"]

Originals = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="IMAGES...",
        exists=True,
        dir_okay=False,
        help="Image files.",
        show_default="from the model's dataset",
    ),
]

_MOST = 1_000_000  # in one file: one zero too many should not fill the memory


def sample(
    name: ModelName,
    n: Annotated[int, typer.Option("-n", min=1, max=_MOST, help="How many images.")] = 64,
    seed: Seed = None,
    labels: LabelText = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A .png grid, or an .npz with `images` (float32 N,C,H,W in [0, 1]) and `labels` "
            "(int64, -1 where the model is unconditional).",
            show_default="NAME.png",
        ),
    ] = None,
    columns: Annotated[
        int | None,
        typer.Option(min=1, help="Width of the grid.", show_default="one label to a column"),
    ] = None,
    batch_size: BatchSize = 256,
    device: Device = None,
    settings: Settings = None,
) -> None:
    """Draw images by a model."""
    wanted, changes = parse_labels(labels), parse_settings(settings)
    check_output(output, ".png", ".npz")
    import torch

    from genzoo.images import save_arrays, save_image, to_bytes
    from genzoo.loading import load
    from genzoo.noise import seed_or_any
    from genzoo.processes import join

    everyone = join(device)
    with everyone.together():
        model = load(name, everyone.device, objective=changes)
        output = output or Path(f"{model.name}.png")
        if everyone.is_main:
            check_writable(output)  # now, before anything is drawn
    seed = everyone.from_main(seed_or_any(seed))
    arrays = output.suffix.lower() == ".npz"
    classes = model.labels(n, seed, wanted)
    drawn = model.sample(n, seed, classes, batch_size, everyone.share(n, batch_size)).cpu()
    # A picture has 8 bits: a quarter of what the processes would send.
    parts = everyone.gather_on_main(drawn if arrays else to_bytes(drawn))
    if not everyone.is_main:
        return
    images = torch.cat(parts) if len(parts) > 1 else parts[0]
    if arrays:
        save_arrays(images, classes, output)
    else:
        facts = _provenance(model, seed=str(seed), labels=_list(classes))
        save_image(images, output, columns or default_columns(n, wanted), facts)
    typer.echo(f"{output}: {counted(n, 'image')} by {model.name}, seed {seed}")


def interpolate(
    name: ModelName,
    n: Annotated[int, typer.Option("-n", min=1, max=_MOST, help="How many walks.")] = 8,
    frames: Annotated[
        int, typer.Option(min=2, max=1000, help="Images in a walk, both ends counted.")
    ] = 16,
    seed: Seed = None,
    labels: LabelText = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="An animation (.gif), or a .png with a row for each walk.",
            show_default="NAME-interpolation.gif",
        ),
    ] = None,
    batch_size: BatchSize = 256,
    device: Device = None,
    settings: Settings = None,
) -> None:
    """Draw walks through a model's latent space, from one image to another of the same class."""
    wanted, changes = parse_labels(labels), parse_settings(settings)
    check_output(output, ".gif", ".png")
    from genzoo.images import save_animation, save_image
    from genzoo.loading import load
    from genzoo.noise import seed_or_any

    model = load(name, device, objective=changes)
    output, seed = output or _free(f"{model.name}-interpolation.gif"), seed_or_any(seed)
    classes = model.labels(n, seed, wanted)
    walks = model.interpolate(n, frames, seed, classes, batch_size)
    facts = _provenance(model, seed=str(seed), labels=_list(classes))
    if output.suffix.lower() == ".gif":
        save_animation(walks, output, default_columns(n, wanted), provenance=facts)
    else:
        save_image(walks.flatten(0, 1), output, frames, facts)
    typer.echo(f"{output}: {counted(n, 'walk')} of {frames} images by {model.name}, seed {seed}")


def reconstruct(
    name: ModelName,
    images: Originals = None,
    labels: LabelText = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many of the dataset.")] = 32,
    split: SplitName = "test",
    data: DataFolder = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .png.", show_default="NAME-reconstruction.png"),
    ] = None,
    batch_size: BatchSize = 256,
    device: Device = None,
    settings: Settings = None,
) -> None:
    """Draw images beside what a model makes of them: original left, reconstruction right.

    The images are files, or the first of the test split of the model's dataset.
    """
    wanted, changes = _labels_of(images, labels), parse_settings(settings)
    check_output(output, ".png")
    import torch

    from genzoo.images import save_image
    from genzoo.loading import load
    from genzoo.objectives.base import CanReconstruct

    model = load(name, device, objective=changes)
    model.require(CanReconstruct, "reconstruct")
    output = output or _free(f"{model.name}-reconstruction.png")
    originals, own, origin = _originals(model, images, n, split, data)
    made = model.reconstruct(originals, wanted or own, batch_size).cpu()
    pairs = torch.stack([originals / 255, made], dim=1).flatten(0, 1)
    facts = _provenance(model, originals=origin)
    save_image(pairs, output, default_columns(len(pairs), (0, 1)), facts)
    typer.echo(f"{output}: {counted(len(made), 'image')} and what {model.name} makes of them")


def complete(
    name: ModelName,
    images: Originals = None,
    keep_rows: Annotated[
        int | None,
        typer.Option(min=0, help="Rows of pixels that are kept, from above.", show_default="half"),
    ] = None,
    seed: Seed = None,
    labels: LabelText = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many of the dataset.")] = 32,
    split: SplitName = "test",
    data: DataFolder = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .png.", show_default="NAME-completion.png"),
    ] = None,
    batch_size: BatchSize = 256,
    device: Device = None,
    settings: Settings = None,
) -> None:
    """Draw images beside their upper part alone, and what a model makes of that.

    The images are files, or the first of the test split of the model's dataset.
    """
    wanted, changes = _labels_of(images, labels), parse_settings(settings)
    check_output(output, ".png")
    import torch

    from genzoo.images import save_image
    from genzoo.inputs import check_keep_rows
    from genzoo.loading import load
    from genzoo.noise import seed_or_any
    from genzoo.objectives.base import CanComplete

    model = load(name, device, objective=changes)
    model.require(CanComplete, "complete images")
    output, seed = output or _free(f"{model.name}-completion.png"), seed_or_any(seed)
    kept = model.image.height // 2 if keep_rows is None else keep_rows
    keep_rows = check_keep_rows(model.config.image_spec, kept)  # now, before a dataset is fetched
    originals, own, origin = _originals(model, images, n, split, data)
    told = wanted or own
    made = model.complete(originals, keep_rows, told, seed, batch_size).cpu()
    begun = made.clone()
    begun[:, :, keep_rows:] = 0.5
    triples = torch.stack([originals / 255, begun, made], dim=1).flatten(0, 1)
    facts = {"labels": ",".join(map(str, told)) if told else "none", "originals": origin}
    facts = _provenance(model, seed=str(seed), keep_rows=str(keep_rows), **facts)
    save_image(triples, output, default_columns(len(triples), (0, 1, 2)), facts)
    what = f"{counted(len(made), 'image')}, of which {model.name} saw {keep_rows} rows"
    typer.echo(f"{output}: {what}, seed {seed}")


def explain(
    name: ModelName,
    n: Annotated[int, typer.Option("-n", min=1, max=_MOST, help="How many images.")] = 4,
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROW,COLUMN",
            help="A pixel to explain, from 0,0 in the upper left corner; as often as you like.",
            show_default="some at edges",
        ),
    ] = None,
    seed: Seed = None,
    labels: LabelText = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .png.", show_default="NAME-attention.png"),
    ] = None,
    device: Device = None,
    settings: Settings = None,
) -> None:
    """Draw images, and beside each where some of its pixels look back to."""
    wanted, changes, places = parse_labels(labels), parse_settings(settings), parse_places(at)
    check_output(output, ".png")
    import torch

    from genzoo.attention import edges, overlay
    from genzoo.images import save_image
    from genzoo.inputs import check_places
    from genzoo.loading import load
    from genzoo.noise import seed_or_any
    from genzoo.objectives.base import ShowsAttention

    model = load(name, device, objective=changes)
    model.require(ShowsAttention, "show where it looks")
    check_places(model.config.image_spec, places)  # now, before anything is drawn
    output, seed = output or _free(f"{model.name}-attention.png"), seed_or_any(seed)
    classes = model.labels(n, seed, wanted)
    drawn = model.sample(n, seed, classes)
    rows = []
    for index, image in enumerate(drawn):
        looking = places or edges(image)
        label = None if classes is None else int(classes[index])
        looked = model.attention(image[None], looking, label)[0]
        rows.append(overlay(image, looked, looking))
    asked = " ".join(f"{row},{column}" for row, column in places) or "edges"
    facts = _provenance(model, seed=str(seed), labels=_list(classes), at=asked)
    save_image(torch.cat(rows), output, len(rows[0]), facts)
    typer.echo(f"{output}: {counted(n, 'image')} by {model.name}, seed {seed}, and what they saw")


def _labels_of(files: list[Path] | None, labels: str | None) -> list[int] | None:
    if labels is not None and not files:
        raise typer.BadParameter("--labels are for image files: a dataset has its own.")
    return parse_labels(labels)


def _originals(
    model: Model, files: list[Path] | None, n: int, split: Split, data: Path | None
) -> tuple[Tensor, list[int] | None, str]:
    """Return uint8 images (N, C, H, W), their labels if they have any, and where they are from."""
    import torch

    from genzoo.data.load import load_dataset, load_files

    if files:
        source: ImageDataset = load_files(files, model.image)
        n, origin = len(files), ", ".join(path.name for path in files)
    else:
        source = load_dataset(model.config, split, data)
        n, origin = min(n, len(source)), f"{model.config.dataset.name}, {split}"
    rows = [source[index] for index in range(n)]
    labels = [label for _, label in rows if label is not None]
    return torch.stack([pixels for pixels, _ in rows]), labels or None, origin


def _free(name: str) -> Path:
    check_writable(Path(name))
    return Path(name)


def _list(labels: Tensor | None) -> str:
    return "none" if labels is None else ",".join(map(str, labels.tolist()))


def _provenance(model: Model, **facts: str) -> dict[str, str]:
    import torch

    return {
        "model": model.name,
        "weights_sha256": model.sha256 or "",
        "genzoo": __version__,
        "torch": torch.__version__,
        **{path: json.dumps(value) for path, value in model.changed_settings().items()},
        **facts,
    }
