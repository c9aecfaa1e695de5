"""`genzoo evaluate`: from a model to its figures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genzoo.cli.arguments import (
    DataFolder,
    Device,
    ModelName,
    OwnBatchSize,
    Settings,
    SplitName,
    parse_settings,
)
from genzoo.cli.output import console, print_json, worth
from genzoo.evaluation.protocol import (
    CARD_IMPORTANCE_SAMPLES,
    IMPORTANCE_SAMPLES,
    LIKELIHOOD_IMAGES,
    SAMPLES,
)
from genzoo.files import check_writable

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["evaluate"]


def evaluate(
    name: ModelName,
    samples: Annotated[
        int | None,
        typer.Option(
            min=2, help="How many samples.", show_default=f"{SAMPLES:,}, or a small set's size"
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the samples, and of the floor's images.")
    ] = 0,
    dataset: Annotated[
        str | None,
        typer.Option(help="What to compare with.", show_default="the model's own dataset"),
    ] = None,
    split: SplitName = "test",
    extractor: Annotated[
        str | None,
        typer.Option(
            help="Whose features: see `genzoo list --extractors`.",
            show_default="that made for the dataset",
        ),
    ] = None,
    importance_samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Draws per test image for the likelihood.",
            show_default=f"{IMPORTANCE_SAMPLES}; {CARD_IMPORTANCE_SAMPLES:,} for a card",
        ),
    ] = None,
    likelihood_images: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Test images for the likelihood.",
            show_default=f"{LIKELIHOOD_IMAGES:,}; all for a card",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Write NAME.json and NAME.png there."),
    ] = None,
    write_card: Annotated[
        bool, typer.Option("--write-card", help="Put the figures into the model's zoo config.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    data: DataFolder = None,
    batch_size: OwnBatchSize = None,
    device: Device = None,
    settings: Settings = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Measure what a model is worth, beside what real images get: the floor."""
    changes = parse_settings(settings)
    if output is not None:
        check_writable(output / "figures.json")
    from genzoo.evaluation.card import CARD_OPTIONS, card_of, check_protocol
    from genzoo.evaluation.card import write_card as put
    from genzoo.evaluation.evaluate import evaluate as measure
    from genzoo.evaluation.report import write_report
    from genzoo.loading import load
    from genzoo.processes import join
    from genzoo.registry.config import read_config

    card = card_of(name) if write_card else None
    if card:
        chosen = {
            "samples": samples,
            "seed": seed,
            "split": split,
            "dataset": dataset,
            "extractor": extractor,
            "importance_samples": importance_samples,
            "likelihood_images": likelihood_images,
            "set": ", ".join(settings) if settings else None,
        }
        check_protocol(read_config(card), chosen)
    options: Mapping[str, Any] = {
        "importance_samples": importance_samples or IMPORTANCE_SAMPLES,
        "likelihood_images": likelihood_images or LIKELIHOOD_IMAGES,
    }
    everyone = join(device)
    with _bar(quiet or not everyone.is_main) as progress:
        evaluation = measure(
            load(name, everyone.device, objective=changes),
            samples=samples,
            seed=seed,
            dataset=dataset,
            split=split,
            extractor=extractor,
            **(CARD_OPTIONS if card else options),
            data=data,
            batch_size=batch_size,
            progress=progress,
            processes=everyone,
        )
    if not everyone.is_main:
        return
    written: list[Path] = []
    try:  # the files first, because a reader as `head` may end this process while it prints
        if output:
            written += write_report(evaluation, output)
        if card:
            put(evaluation, card)
            written.append(card)
    finally:  # and what could not be written is shown at least
        found = evaluation.to_dict()
        print_json(found) if as_json else console().print(worth(found))
    for path in written:
        typer.echo(f"wrote {path}", err=as_json)


@contextlib.contextmanager
def _bar(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each stage on a terminal's standard error; nothing elsewhere."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    out = console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=out,
        disable=quiet or not out.is_terminal,
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done)

        yield show
