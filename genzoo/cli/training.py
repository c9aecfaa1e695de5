"""`genzoo train`: a run that can be stopped, and gone on with."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.arguments import DataFolder, Device, model_names
from genzoo.evaluation.protocol import CURVE_SAMPLES
from genzoo.files import check_writable

__all__ = ["train"]


def train(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME_OR_YAML",
            help="A model of the zoo, or a zoo config's YAML file.",
            autocompletion=model_names,
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a value: training.steps=100."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The run folder.", show_default="runs/NAME"
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint of the run folder.")
    ] = False,
    data: DataFolder = None,
    device: Device = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write figures for TensorBoard as well.")
    ] = False,
    callbacks: Annotated[
        list[str] | None,
        typer.Option(
            "--callback", metavar="NAME", help="Let a callback watch that is off by default."
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Do without a callback: see `genzoo list --callbacks`."),
    ] = None,
    evaluate_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help=f"Measure FID on {CURVE_SAMPLES:,} samples every N steps, into evaluations.jsonl.",
        ),
    ] = None,
    compile_: Annotated[
        bool,
        typer.Option("--compile", help="Let torch.compile translate the networks."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Train a model into a run folder, which `genzoo sample` and `genzoo.load` read.

    Ctrl-C saves a checkpoint first and says how to go on (exit code 130). So does SIGTERM (143).
    `torchrun --nproc-per-node=4 -m genzoo train NAME` trains the same by 4 processes.
    """
    settings = [*(settings or ()), *(["training.compile=true"] if compile_ else ())]
    from genzoo.registry.config import parse_overrides

    overrides = parse_overrides(settings)
    if output is not None:
        check_writable(output / "config.yaml")
    from genzoo.training.api import resolve_config
    from genzoo.training.api import train as run
    from genzoo.training.interrupt import Interrupted

    config = resolve_config(name, overrides)
    folder = output or Path("runs") / config.name
    flags = [f for f, on in (("--tensorboard", tensorboard), ("--quiet", quiet)) if on]
    try:
        run(
            config,
            folder,
            resume=resume,
            data=data,
            device=device,
            progress=not quiet,
            tensorboard=tensorboard,
            callbacks=callbacks or (),
            without=without or (),
            evaluate_every=evaluate_every,
        )
    except Interrupted as stop:
        values: list[tuple[str, object]] = [("set", item) for item in settings]
        values += [("output", folder), ("data", data), ("device", device)]
        values += [("evaluate-every", evaluate_every)]
        values += [("callback", each) for each in callbacks or ()]
        values += [("without", each) for each in without or ()]
        options = [f"--{key}={value}" for key, value in values if value is not None]
        if _is_main():
            _say(stop.step, ["genzoo", "train", name, *options, *flags, "--resume"])
        raise typer.Exit(128 + stop.number) from None
    if not _is_main():
        return
    where = shlex.quote(str(folder))
    typer.echo(f"{config.name} is trained. The run is in {folder}; draw from it with:")
    typer.echo(f"genzoo sample {where} -o {config.name}.png")


def _is_main() -> bool:
    """Return whether this is the one of several processes that speaks."""
    return os.environ.get("RANK", "0") == "0"


def _say(step: int, command: list[str]) -> None:
    how = ", launched as before," if os.environ.get("WORLD_SIZE", "1") != "1" else ""
    typer.echo(f"Stopped after step {step}; nothing is lost. Go on{how} with:", err=True)
    typer.echo(shlex.join(command), err=True)
