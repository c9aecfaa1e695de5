from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import genzoo
from genzoo.errors import (
    PluginError,
    WeightsError,
)
from genzoo.weights import format as weights_format

SIZE = (1, 16, 16)


PLUGIN = """
    import genzoo

    @genzoo.hookimpl
    def genzoo_architectures():
        return [genzoo.Architecture(
            name="odd-gan", summary="s", objective="odd", config="odd_zoo.config:OddConfig",
            networks="odd_zoo.networks:build")]

    @genzoo.hookimpl
    def genzoo_objectives():
        return [genzoo.Objective(
            name="odd", summary="s", config="odd_zoo.config:OddConfig",
            factory="odd_zoo.networks:Odd")]
"""

CONFIG = """
    import genzoo

    class OddConfig(genzoo.Config):
        kind: str = "plain"
"""

NETWORKS = """
    import torch
    from torch import nn
    from genzoo.objectives.base import Objective

    class Generator(nn.Module):
        def __init__(self, image, kind):
            super().__init__()
            self.shape = (image.channels, image.height, image.width)
            self.linear = nn.Linear(4, image.channels * image.height * image.width)
            self.kind = kind
            if kind == "buffer":
                self.register_buffer("scale", torch.linspace(1, 2, 4), persistent=False)
            elif kind == "attribute":
                self.scale = torch.linspace(1, 2, 4)
            elif kind == "values":
                self.scale = [x.item() for x in torch.linspace(1, 2, 4)]
            else:
                self.scale = 1.0

        def forward(self, z, labels):
            scale = torch.tensor(self.scale) if self.kind == "values" else self.scale
            return torch.tanh(self.linear(z * scale)).view(-1, *self.shape)

    def build(image, config):
        if config.kind == "nothing":
            return None
        return {"generator": Generator(image, config.kind)}

    class Odd(Objective):
        roles = sampling_roles = frozenset({"generator"})
        phases = ()

        def __init__(self, config):
            super().__init__()
            self.register_buffer("offset", torch.zeros(()))

        def sample(self, networks, noise, labels):
            return (networks["generator"](noise.normal(4), labels) + self.offset).clamp(-1, 1)
"""


@pytest.fixture
def odd(installed: Any) -> None:
    files = {
        "odd_zoo/__init__.py": "",
        "odd_zoo/plugin.py": PLUGIN,
        "odd_zoo/config.py": CONFIG,
        "odd_zoo/networks.py": NETWORKS,
    }
    installed("odd-zoo", "1.0", {"odd": "odd_zoo.plugin"}, files)


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize("kind", ["plain", "buffer", "attribute", "values"])
def test_networks_with_tensors_outside_their_state_are_rebuilt(kind: str, tmp_path: Path) -> None:
    created = genzoo.create("odd-gan", SIZE, kind=kind)
    state = torch.get_rng_state()
    loaded = genzoo.load(created.save(tmp_path / "odd.safetensors"))
    assert torch.equal(loaded.sample(3, seed=0), created.sample(3, seed=0))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.usefixtures("odd")
def test_the_state_of_an_objective_is_saved_with_the_rest(tmp_path: Path) -> None:
    created = genzoo.create("odd-gan", SIZE)
    before = created.sample(3, seed=0)
    created.objective.get_buffer("offset").fill_(0.5)
    path = created.save(tmp_path / "odd.safetensors")
    assert load_file(path)["objective.offset"] == 0.5
    loaded = genzoo.load(path)
    assert not torch.equal(loaded.sample(3, seed=0), before)
    assert torch.equal(loaded.sample(3, seed=0), created.sample(3, seed=0))
    tensors, header = weights_format.read(path)
    del tensors["objective.offset"]
    weights_format.write(path, tensors, header)
    with pytest.raises(WeightsError, match="missing offset"):
        genzoo.load(path)


@pytest.mark.usefixtures("odd")
def test_an_architecture_that_builds_nothing_is_an_error_of_its_plugin() -> None:
    with pytest.raises(PluginError, match="'odd-gan' built a NoneType") as caught:
        genzoo.create("odd-gan", kind="nothing")
    assert "dict" in caught.value.hint
