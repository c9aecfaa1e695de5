"""`genzoo plugins`: list, doctor, install, uninstall, freeze. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genzoo.cli.listing import AsJson
from genzoo.cli.output import print_json, print_table

if TYPE_CHECKING:
    from genzoo.registry.discovery import Plugin, Registry

__all__ = ["plugins"]

_FOUND = 1  # not 2, which is a mistake on the command line: what was asked for was done

plugins = typer.Typer(rich_markup_mode="rich")


@plugins.callback(invoke_without_command=True)
def _plugins(context: typer.Context, as_json: AsJson = False) -> None:
    """List the installed plugins, examine them, put them in and take them out.

    GENZOO_DISABLE=NAME,... switches plugins off, by their names or those of distributions.
    """
    if context.invoked_subcommand is None:
        list_(as_json)
    elif as_json:
        name = context.invoked_subcommand
        raise typer.BadParameter(f"write it after the command: genzoo plugins {name} --json")


@plugins.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the installed plugins: what each brings, or why it is left out."""
    from genzoo.registry.discovery import registry

    _warn_of_names()
    rows = [_plugin(registry(), plugin) for plugin in registry().plugins]
    if as_json:
        print_json(rows)
        return
    shown = [{**row, "brings": _brings(row["brings"])} for row in rows]
    headers = ("name", "distribution", "version", "status", "brings")
    print_table(shown, {key: key for key in headers})
    for row in rows:
        if row["error"]:
            typer.echo(f"\n{row['name']} ({row['distribution']} {row['version']}): {row['error']}")


@plugins.command()
def doctor(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="A plugin, a distribution, or what one brings.", show_default="all"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say why something is not found, or slowly. The exit code is 1 where there is a problem."""
    from genzoo.registry.doctor import examine

    _warn_of_names()
    found = [vars(diagnosis) for diagnosis in examine(name)]
    if as_json:
        print_json(found)
    else:
        headers = ("name", "distribution", "version", "status", "seconds", "torch")
        print_table(found, {key: key for key in headers})
        for each in found:
            title = f"{each['name']} ({each['distribution']} {each['version']})"
            for problem in each["problems"]:
                typer.echo(f"\n{title}: {problem.rstrip('.')}.")
            if each["traceback"]:
                typer.echo(each["traceback"].rstrip())
        if not any(each["problems"] for each in found):
            typer.echo("\nNothing is wrong.")
    if any(each["problems"] for each in found):
        raise typer.Exit(_FOUND)


@plugins.command()
def install(
    requirements: Annotated[
        list[str], typer.Argument(metavar="REQUIREMENT...", help="As `pip install` takes them.")
    ],
    editable: Annotated[
        bool, typer.Option("--editable", "-e", help="Install source trees as they lie there.")
    ] = False,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", "-U", help="Take newer versions where there are.")
    ] = False,
) -> None:
    """Install plugins into this very environment, by pip."""
    from genzoo.registry import installing

    typer.echo(installing.install(requirements, editable=editable, upgrade=upgrade))


@plugins.command()
def uninstall(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Distributions, or plugins of theirs.")
    ],
) -> None:
    """Uninstall the distributions of plugins, by pip; none of them is imported for it."""
    from genzoo.registry import installing

    typer.echo(f"uninstalled {', '.join(installing.uninstall(names))}")


@plugins.command()
def freeze() -> None:
    """Print requirements that bring this zoo back: genzoo, its plugins and torch, pinned."""
    from genzoo.registry import installing

    for line in installing.freeze():
        typer.echo(line)


def _warn_of_names() -> None:
    from genzoo.registry.points import DISABLE, disabled_in_vain

    for name in disabled_in_vain():
        typer.echo(f"genzoo: {DISABLE} names {name!r}, which no plugin is called.", err=True)


def _brings(names: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{kind.replace('_', ' ')}: {', '.join(each)}" for kind, each in names.items())


def _plugin(known: Registry, plugin: Plugin) -> dict[str, Any]:
    brings = {
        kind: [item.name for item in items]
        for kind, items in plugin.brings.items()
        if kind != "zoo_configs"
    }
    brings["zoo_configs"] = [file.stem for file, owner in known.zoo_configs() if owner is plugin]
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "module": plugin.module,
        "status": plugin.status,
        "error": plugin.error or None,
        "brings": {kind: names for kind, names in brings.items() if names},
    }
