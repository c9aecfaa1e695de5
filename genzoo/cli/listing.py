"""`genzoo list` and `info`: what there is. Nothing here imports torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genzoo.cli.arguments import model_names
from genzoo.cli.output import console, print_json, print_table, table, worth

if TYPE_CHECKING:
    from genzoo.registry.config import ZooConfig
    from genzoo.registry.discovery import Registry

__all__ = ["AsJson", "info", "list_"]

_MODELS = {
    "name": "name",
    "architecture": "architecture",
    "objective": "objective",
    "dataset": "dataset",
    "image": "image",
    "classes": "classes",
    "parameters": "parameters",
    "size_bytes": "size",
    "fid": "FID",
    "fid_ratio": "FID/floor",
    "label_agreement": "labels",
    "license": "licence",
    "available": "available",
}
_SPARE = (
    *("objective", "classes", "license", "size_bytes", "image", "fid", "parameters", "dataset"),
    *("label_agreement", "architecture"),
)
_SPARE_OF_PARTS = ("homepage", "version", "paper", "objective", "license", "distribution")
_PARTS = {
    "architectures": ("name", "summary", "objective", "paper", "distribution", "version"),
    "objectives": ("name", "summary", "paper", "distribution", "version"),
    "datasets": (
        *("name", "summary", "image", "classes", "license", "homepage"),
        *("distribution", "version"),
    ),
    "extractors": (
        *("name", "summary", "image", "datasets", "accuracy", "license"),
        *("distribution", "version"),
    ),
    "callbacks": ("name", "summary", "order", "default", "distribution", "version"),
}

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def list_(
    pattern: Annotated[
        str | None,
        typer.Argument(metavar="PATTERN", help="A part of the name, or wildcards: '*-mnist'."),
    ] = None,
    architecture: Annotated[str | None, typer.Option(help="Only this architecture.")] = None,
    objective: Annotated[str | None, typer.Option(help="Only this objective.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this dataset.")] = None,
    architectures: Annotated[
        bool, typer.Option("--architectures", help="List the installed architectures instead.")
    ] = False,
    objectives: Annotated[
        bool, typer.Option("--objectives", help="List the installed objectives instead.")
    ] = False,
    datasets: Annotated[
        bool, typer.Option("--datasets", help="List the installed datasets instead.")
    ] = False,
    extractors: Annotated[
        bool, typer.Option("--extractors", help="List the installed feature extractors instead.")
    ] = False,
    callbacks: Annotated[
        bool, typer.Option("--callbacks", help="List the callbacks of training runs instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the models of the zoo."""
    flags = {
        "architectures": architectures,
        "objectives": objectives,
        "datasets": datasets,
        "extractors": extractors,
        "callbacks": callbacks,
    }
    kinds = [kind for kind, wanted in flags.items() if wanted]
    narrowed = any(x is not None for x in (pattern, architecture, objective, dataset))
    if len(kinds) > 1 or (kinds and narrowed):
        raise typer.BadParameter(f"--{kinds[0]} stands alone, or with --json.")
    if kinds:
        _list_parts(kinds[0], as_json)
    else:
        _list_models(pattern, architecture, objective, dataset, as_json)


def _list_models(
    pattern: str | None,
    architecture: str | None,
    objective: str | None,
    dataset: str | None,
    as_json: bool,
) -> None:
    from genzoo.registry import catalog

    names = catalog.list_models(
        pattern, architecture=architecture, objective=objective, dataset=dataset
    )
    entries = [catalog.find(name) for name in names]
    rows = [catalog.describe(entry) for entry in entries]
    if as_json:
        print_json(rows)
        return
    if not rows:
        typer.echo("No model matches.", err=True)
        return
    print_table(rows, _MODELS, _SPARE)
    problems = [
        (e.config.name, problem)
        for e in entries
        if (problem := catalog.unavailable(e.config, e.path))
    ]
    if problems:
        typer.echo()
    for name, (what, fix) in problems:
        typer.echo(f"{name}: {what}: {fix}")


def _list_parts(kind: str, as_json: bool) -> None:
    from genzoo.registry.discovery import registry

    known = registry()
    rows = [_part(known, kind, spec) for spec in getattr(known, kind).values()]
    if as_json:
        print_json(rows)
    else:
        headers = {key: key.replace("license", "licence") for key in _PARTS[kind]}
        print_table(rows, headers, [key for key in _SPARE_OF_PARTS if key in headers])


def _part(known: Registry, kind: str, spec: Any) -> dict[str, Any]:
    owner = known.owner(kind, spec.name)
    facts = {**vars(spec), "distribution": owner.distribution, "version": owner.version}
    if kind == "extractors":
        facts["datasets"] = ", ".join(spec.datasets)
    if kind in ("datasets", "extractors"):
        shape = spec.image
        facts["license"] = spec.licence
        facts["image"] = [shape.channels, shape.height, shape.width] if shape else None
        facts["classes"] = shape.classes if shape else None
    return {key: facts[key] for key in _PARTS[kind]}


def info(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A model of the zoo.", autocompletion=model_names),
    ],
    as_json: AsJson = False,
) -> None:
    """Show all that is known of a model: its card, its parts, its training, how to load it."""
    from genzoo.registry import catalog

    facts = catalog.info(name)
    if as_json:
        print_json(facts)
        return
    out = console()
    for title, body in _sections(facts, catalog.find(name).config):
        out.print(title, style="bold")
        out.print(body)
        out.print()


def _sections(facts: Mapping[str, Any], source: ZooConfig) -> Iterator[tuple[str, Any]]:
    config, card = facts["config"], facts["config"]["card"]
    yield facts["name"], card["summary"]
    shape = "x".join(map(str, facts["image"]))
    classes = "unconditional" if facts["classes"] is None else f"{facts['classes']} classes"
    yield (
        "Card",
        _pairs(
            {
                "image": f"{shape}, {classes}",
                "dataset": facts["dataset"],
                "licence": facts["license"],
                "dataset licence": card["dataset_licence"],
                "paper": card["paper"],
                "intended use": card["intended_use"],
                "limitations": card["limitations"],
            }
        ),
    )
    for kind in ("architecture", "objective"):
        title = f"{kind.capitalize()}: {facts[kind]}"
        if kind in facts["fields"]:
            headers = {"setting": "setting", "value": "value", "meaning": "meaning"}
            yield title, table(map(_setting, facts["fields"][kind]), headers)
        else:
            yield title, _yaml(config[kind]["config"])
    yield "Training recipe", _yaml(config["training"])
    yield "How it was trained", _yaml(config["trained"]) if config["trained"] else "not yet"
    yield "Weights", _yaml(config["weights"]) if config["weights"] else "none yet"
    yield "What it is worth", _worth(source)
    if facts["available"]:
        yield (
            "To use it",
            (f'genzoo sample {facts["name"]}\ngenzoo.load("{facts["name"]}").sample(16)'),
        )
    else:
        yield "To use it", f"{facts['unavailable_because']}: {facts['to_make_available']}"


def _worth(config: ZooConfig) -> Any:
    if config.evaluated is None:
        return f"not measured yet: genzoo evaluate {config.name}"
    if config.measured is None:
        return f"measured on other weights than these: genzoo evaluate {config.name}"
    return worth(config.measured.model_dump())


def _pairs(values: Mapping[str, Any]) -> Any:
    made = table(({"key": k, "value": v} for k, v in values.items()), {"key": "", "value": ""})
    made.show_header = False
    return made


def _setting(field: Mapping[str, Any]) -> dict[str, str]:
    value, default = (json.dumps(field[key]).strip('"') for key in ("value", "default"))
    meaning = f"{field['description']} [{field['allowed']}; default {default}]"
    return {"setting": field["name"], "value": value, "meaning": meaning.strip()}


def _yaml(values: Mapping[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=10_000)
    return text.rstrip()
