"""From a zoo config to networks and an objective: the one place where names become modules."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from genzoo.errors import ConfigError, GenzooError, PluginError
from genzoo.objectives.base import Objective
from genzoo.registry import specs
from genzoo.registry.catalog import part_config
from genzoo.registry.config import ZooConfig
from genzoo.registry.discovery import registry
from genzoo.registry.specs import resolve

__all__ = [
    "build_networks",
    "build_objective",
    "check_roles",
    "complete",
    "drawing_settings",
    "objectives_that",
    "sketch_networks",
]


def complete(config: ZooConfig) -> ZooConfig:
    """Return a zoo config with every default of its architecture and objective written out.

    What is trained and saved states them all, so that a plugin may change a default later.
    """
    known = registry()
    described: dict[str, specs.Architecture | specs.Objective] = {
        "architecture": known.architecture(config.architecture.name, config.requires),
        "objective": known.objective(config.objective.name, config.requires),
    }
    parts = {}
    for kind, spec in described.items():
        part = getattr(config, kind)
        values = part_config(spec, part.config, source=config.source, at=f"{kind}.config")
        parts[kind] = part.model_copy(update={"config": values.model_dump(mode="json")})
    return config.model_copy(update=parts)


def drawing_settings(config: ZooConfig) -> frozenset[str]:
    """Return the settings of a zoo config's objective that matter only when images are drawn."""
    spec = registry().objective(config.objective.name, config.requires)
    names: frozenset[str] = resolve(spec.config).DRAWING
    return names


def objectives_that(protocol: type[Any]) -> list[str]:
    """Return the names of the installed objectives that are classes with what `protocol` asks for.

    One that cannot be imported is passed over: this is for hints, and another message's matter.
    """
    able = []
    for name, spec in registry().objectives.items():
        with contextlib.suppress(PluginError):
            factory = resolve(spec.factory)
            if isinstance(factory, type) and issubclass(factory, protocol):
                able.append(name)
    return able


def build_networks(config: ZooConfig, objective: Objective) -> dict[str, nn.Module]:
    """Return the networks of a zoo config by role, freshly initialized, as its objective has them.

    Raises UnknownNameError, ConfigError, or UnsupportedError for an image size that the
    architecture can't do.
    """
    spec = registry().architecture(config.architecture.name, config.requires)
    values = part_config(
        spec, config.architecture.config, source=config.source, at="architecture.config"
    )

    def build() -> dict[str, nn.Module]:
        networks: Any = resolve(spec.networks)(config.image_spec, values)
        if wrong := _no_networks(networks):
            raise PluginError(
                f"architecture {spec.name!r} built {wrong}.",
                hint="Its function must return a dict of roles, which are names, and "
                "torch.nn.Modules.",
            )
        built: dict[str, nn.Module] = networks
        return built

    return objective.assemble(build)


def sketch_networks(config: ZooConfig, objective: Objective) -> dict[str, nn.Module]:
    """Return what `build_networks` does, on the meta device: shapes alone, which takes no time.

    Or with values, where an architecture asks for some while it builds.
    """
    try:
        with torch.device("meta"), _Uninitialized():
            return build_networks(config, objective)
    except GenzooError:
        raise
    except Exception:  # whatever a plugin does that asks for values, which meta tensors lack
        with torch.random.fork_rng(devices=[]):
            return build_networks(config, objective)


class _Uninitialized(TorchFunctionMode):
    """Leaves out what fills tensors of the meta device with first weights, or measures them.

    There is nothing to fill, and PyTorch takes as long to find that out as all else that a small
    model's load does: for spectral normalization, seconds.
    """

    _measures: Mapping[Callable[..., Any], Callable[..., Tensor]] = {  # of a power iteration
        F.normalize: lambda vector, out=None, **_: vector if out is None else out,
        torch.mv: lambda matrix, _: matrix.new_empty(len(matrix)),
    }
    _fills = frozenset(
        (
            *(f for name, f in vars(nn.init).items() if name.endswith("_") and name[0] != "_"),
            Tensor.fill_,
            Tensor.normal_,
            Tensor.uniform_,
            Tensor.zero_,
        )
    )

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the tensor as it is for what would fill it, what `func` gives for all else."""
        given = kwargs or {}
        if func in self._fills:
            filled = args[0] if args else given["tensor"]  # nn.init passes it on by name
            if filled.is_meta:
                return filled
        elif func in self._measures and args and args[0].is_meta:
            return self._measures[func](*args, **given)
        return func(*args, **given)


def _no_networks(built: Any) -> str:
    """Return what is built instead of networks by role, "" where there are networks."""
    if not isinstance(built, dict):
        return f"a {type(built).__name__}"
    for role, network in built.items():
        # As torch.nn.ModuleDict has it, whose attributes and methods are no names for modules.
        if not (isinstance(role, str) and role.isidentifier()) or hasattr(nn.ModuleDict, role):
            return f"a network for {role!r}, which cannot name a role"
        if not isinstance(network, nn.Module):
            return f"a {type(network).__name__} for the role {role!r}"
    return "" if built else "no networks"


def build_objective(config: ZooConfig) -> Objective:
    """Return the objective of a zoo config."""
    spec = registry().objective(config.objective.name, config.requires)
    values: Any = part_config(
        spec, config.objective.config, source=config.source, at="objective.config"
    )
    objective = resolve(spec.factory)(values)
    if not isinstance(objective, Objective):
        raise PluginError(
            f"objective {spec.name!r} built {objective!r}.",
            hint="Its factory must return a genzoo.objectives.base.Objective.",
        )
    return objective


def check_roles(config: ZooConfig, networks: dict[str, nn.Module], objective: Objective) -> None:
    """Raise ConfigError unless the architecture builds every role that the objective trains."""
    if missing := sorted(objective.roles - networks.keys()):
        raise ConfigError(
            f"{config.source}: objective {config.objective.name!r} needs the role {missing[0]!r}, "
            f"architecture {config.architecture.name!r} builds {', '.join(sorted(networks))}.",
            hint="Choose an objective and an architecture that go together. Some architectures "
            "build a role only where their config asks for it.",
        )
