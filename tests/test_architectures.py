"""What our architectures promise beyond what `genzoo check` asks of everybody's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import genzoo
from genzoo import ImageSpec
from genzoo.building import build_networks
from genzoo.registry.discovery import registry
from genzoo.testing.specimens import Specimen, recipe, rows_of

architectures = pytest.mark.parametrize("name", genzoo.list_architectures())


def specimen(name: str, spec: ImageSpec) -> Specimen:
    return Specimen(recipe(name, registry().architecture(name).objective, spec))


@architectures
@pytest.mark.parametrize("spec", [ImageSpec(1, 28, 28), ImageSpec(3, 64, 64, 10)], ids=str)
@torch.no_grad()
def test_networks_built_on_meta_take_weights_and_give_the_same_bits(
    name: str, spec: ImageSpec
) -> None:
    one = specimen(name, spec)
    source = one.networks()
    with torch.device("meta"):
        target = torch.nn.ModuleDict(build_networks(one.config, one.objective)).eval()
    target.load_state_dict(source.state_dict(), strict=True, assign=True)
    tensors = [*target.named_parameters(), *target.named_buffers()]
    assert [key for key, tensor in tensors if tensor.is_meta] == []
    expected = rows_of(one.ask(source, one.batch()))
    for role, values in rows_of(one.ask(target, one.batch())).items():
        assert torch.equal(values, expected[role]), role


@architectures
def test_labels_are_required_where_classes_are_declared(name: str) -> None:
    one = specimen(name, ImageSpec(1, 28, 28, 10))
    networks = one.networks()
    without = replace(one.batch(), labels=None)
    for role in one.objective.roles:
        with pytest.raises(genzoo.GenzooError, match="labels"):
            list(one.objective.answers(role, networks, without))  # type: ignore[operator]


@architectures
@torch.no_grad()
def test_labels_are_ignored_without_classes(name: str) -> None:
    one = specimen(name, ImageSpec(1, 28, 28))
    networks = one.networks()
    without = rows_of(one.ask(networks, one.batch()))
    labelled = replace(one.batch(), labels=torch.tensor([1, 2]))
    for role, values in rows_of(one.ask(networks, labelled)).items():
        assert torch.equal(values, without[role]), role


@architectures
def test_its_paper_is_named(name: str) -> None:
    assert registry().architecture(name).paper
