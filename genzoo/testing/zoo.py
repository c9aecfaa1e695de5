"""Checks of the models that a plugin brings, or that ship for it: licences, weights, networks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from genzoo.building import complete
from genzoo.loading import load
from genzoo.registry import specs
from genzoo.registry.catalog import Entry
from genzoo.registry.discovery import registry
from genzoo.registry.points import canonical, required_name
from genzoo.registry.specs import resolve
from genzoo.testing.bench import Bench
from genzoo.testing.checks import Check, Failed, Skipped, Suite
from genzoo.testing.models import MODELS
from genzoo.testing.networks import NETWORKS
from genzoo.testing.specimens import Specimen
from genzoo.weights.audit import audit

__all__ = ["ZOO", "ModelBench"]


@dataclass(frozen=True)
class ModelBench:
    """A zoo config, and the networks that it describes."""

    entry: Entry

    def parts(self) -> tuple[specs.Architecture, specs.Objective]:
        """Return the architecture and the objective; Skipped where either is not installed."""
        config, known = self.entry.config, registry()
        for kind, part, names in (
            ("architecture", config.architecture, known.architectures),
            ("objective", config.objective, known.objectives),
        ):
            if part.name not in names:
                raise Skipped(f"{kind} {part.name!r} is not installed")
        return known.architecture(config.architecture.name), known.objective(config.objective.name)

    @cached_property
    def bench(self) -> Bench:
        """Its networks, freshly initialized; Skipped where a part of it is not installed."""
        self.parts()
        return Bench([Specimen(complete(self.entry.config))])


_OWN: Suite[ModelBench] = Suite()


@_OWN.check(
    "licence",
    "the licences of the weights and of the images are stated, the latter as the dataset has it",
    mend="Fill in card.licence and card.dataset_licence; the dataset's stands in `genzoo list`.",
)
def _licence(model: ModelBench) -> None:
    config = model.entry.config
    for field in ("licence", "dataset_licence"):
        if not getattr(config.card, field).strip():
            raise Failed(f"card.{field} is empty")
    dataset = registry().datasets.get(config.dataset.name)
    if dataset and dataset.image and dataset.licence != config.card.dataset_licence:
        raise Failed(
            f"card.dataset_licence is {config.card.dataset_licence!r}, that of "
            f"{dataset.name} is {dataset.licence!r}"
        )


@_OWN.check(
    "references",
    "the code that builds its networks can be imported",
    mend="See the plugin of the architecture, or of the objective, that is named.",
)
def _references(model: ModelBench) -> None:
    for spec in model.parts():
        for field in spec.references():
            resolve(getattr(spec, field))


@_OWN.check(
    "config",
    "its architecture and its objective take the configs that it gives them",
    mend="See the path in the message; `genzoo info` lists every setting and what it may be.",
    needs=("references",),
)
def _config(model: ModelBench) -> None:
    model.parts()
    complete(model.entry.config)


@_OWN.check(
    "requires",
    "`requires` names the distributions whose architecture and objective it uses",
    mend="List them in the zoo config's `requires`: `genzoo` tells people to install these.",
)
def _requires(model: ModelBench) -> None:
    required = {required_name(requirement) for requirement in model.entry.config.requires}
    for kind, spec in zip(("architecture", "objective"), model.parts(), strict=True):
        owner = registry().owner(f"{kind}s", spec.name).distribution
        if owner != "genzoo" and canonical(owner) not in required:
            raise Failed(f"{kind} {spec.name!r} comes from {owner}, which `requires` does not name")


@_OWN.check(
    "weights",
    "its weights are those that the zoo config states, and they draw",
    mend="Run `genzoo publish` again: it writes weights, hash and size together.",
    needs=("config",),
)
def _weights(model: ModelBench) -> None:
    finding = audit(model.entry)
    if finding.status == "not installed":
        model.parts()  # Skipped, not Failed, where it is the plugin that is not there
    if finding.status in ("damaged", "not installed"):
        raise Failed(finding.detail)
    if finding.status != "ok":
        raise Skipped(f"{finding.status}: {finding.detail}")
    images = load(model.entry.config.name, device="cpu").sample(2, seed=0)
    if not bool(images.isfinite().all()):
        raise Failed("the images that it draws are not finite")


def _on_bench(check: Check[Bench]) -> Check[ModelBench]:
    needs = check.needs or ("config",)
    return Check(check.name, check.about, check.mend, lambda m: check.run(m.bench), needs)


ZOO: Suite[ModelBench] = Suite(
    *_OWN.checks, *(_on_bench(check) for check in (*NETWORKS.checks, *MODELS.checks))
)
