"""Each planted fault is found by the check that is named for it, and by no other."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from genzoo.scaffolding import Kind
from genzoo.testing import Outcome, subjects

from .faults import FAULTS, OBJECTIVE, UNUSUAL, Fault, Unusual

Made = Callable[..., str]
Published = Callable[[str], tuple[Path, Path]]
ROOT = Path(__file__).resolve().parents[2]


def outcomes(distribution: str) -> list[Outcome]:
    return [outcome for subject in subjects(distribution) for outcome in subject.run()]


def failed(found: list[Outcome]) -> dict[str, str]:
    return {o.check: f"{o.subject}: {o.detail}" for o in found if o.status == "failed"}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_correct_plugin_trips_no_check(kind: Kind, made: Made) -> None:
    found = outcomes(made(kind))
    assert failed(found) == {}
    assert {outcome.status for outcome in found} <= {"passed", "skipped"}
    skipped = {outcome.check for outcome in found if outcome.status == "skipped"}
    assert skipped <= {"weights"}  # nothing is trained yet


@pytest.mark.parametrize("unusual", UNUSUAL, ids=str)
def test_an_unusual_plugin_trips_no_check(unusual: Unusual, made: Made) -> None:
    found = outcomes(made(unusual.kind, unusual.file, *unusual.changes))
    assert failed(found) == {}
    skipped = {o.check for o in found if o.status == "skipped" and "architecture" in o.subject}
    assert skipped == unusual.skipped


def test_an_objective_whose_roles_nobody_builds_is_not_held_to_them(made: Made) -> None:
    name = made("objective", OBJECTIVE, ('{"generator"}', '{"energy"}'))
    found = {o.check: o.status for o in outcomes(name) if o.subject == "objective faulty"}
    assert set(found.values()) == {"skipped"}


def test_checks_leave_the_global_generators_as_they_were(made: Made) -> None:
    before = random.random(), torch.rand(()), np.random.rand()
    for seed in (random.seed, torch.manual_seed, np.random.seed):
        seed(0)
    expected = random.random(), torch.rand(()), np.random.rand()
    for seed in (random.seed, torch.manual_seed, np.random.seed):
        seed(0)
    outcomes(made("objective"))
    assert (random.random(), torch.rand(()), np.random.rand()) == expected != before


def test_sizes_that_are_refused_are_told(made: Made) -> None:
    old = "image.height % 4 or image.width % 4:"
    found = outcomes(made("architecture", "networks.py", (old, f"image.channels == 3 or {old}")))
    (sizes,) = (o for o in found if o.check == "sizes")
    assert sizes.status == "passed"
    assert "3x28x28, unconditional" in sizes.detail


def test_a_correct_model_that_is_trained_trips_no_check(made: Made, published: Published) -> None:
    name = made()
    published("faulty-digits")
    assert {outcome.status for outcome in outcomes(name)} == {"passed"}


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_found_by_the_check_that_is_named_for_it(
    fault: Fault, made: Made, published: Published
) -> None:
    name = made(fault.kind, fault.file, (fault.old, fault.new))
    if fault.spoil is not None:
        fault.spoil(*published("faulty-digits"))
    found = failed(outcomes(name))
    assert found.keys() == {fault.check} | fault.also, found


def test_the_document_has_every_fault_and_its_check() -> None:
    text = (ROOT / "docs" / "plugin-api.md").read_text(encoding="utf-8")
    _, _, rest = text.partition("<!-- faults:")
    rows = [f"| {fault} | {fault.kind} | `{fault.check}` |" for fault in FAULTS]
    expected = ["| fault | in | found by |", "|---|---|---|", *rows]
    assert rest.partition("<!-- /faults -->")[0].splitlines()[1:] == expected


def test_faults_are_many_and_of_all_kinds() -> None:
    assert len({fault.what for fault in FAULTS}) == len(FAULTS) > 20
    assert {fault.kind for fault in FAULTS} == set(get_args(Kind))
