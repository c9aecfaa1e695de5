from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

import genzoo
from genzoo import Model
from genzoo.errors import (
    ConfigError,
    DeviceError,
    PluginError,
    UnknownNameError,
    UnsupportedError,
    WeightsError,
)
from genzoo.loading import find_device, run_weights
from genzoo.registry.config import ZooConfig
from genzoo.weights import format as weights_format

NAMES = genzoo.list_architectures()
SIZE = (1, 16, 16)

every_name = pytest.mark.parametrize("name", NAMES)


@cache
def model(name: str = "mlp-gan", classes: int | None = 10) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return genzoo.create(name, SIZE, classes)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return the weights file of a small model."""
    return model().save(tmp_path / "toy.safetensors")


def rewrite(path: Path, **changes: Any) -> dict[str, Tensor]:
    """Write a weights file anew, well formed, with other tensors; None takes one away."""
    tensors, header = weights_format.read(path)
    tensors = {**tensors, **{name.replace("__", "."): value for name, value in changes.items()}}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    weights_format.write(path, tensors, header)
    return tensors


# save and load


@every_name
@pytest.mark.parametrize("classes", [10, None])
def test_a_file_alone_rebuilds_its_model_bit_for_bit(
    name: str, classes: int | None, tmp_path: Path
) -> None:
    before = model(name, classes)
    path = before.save(str(tmp_path / "new" / "toy.safetensors"))
    after = genzoo.load(path)
    assert not after.training
    assert (after.name, after.image, after.classes) == (name, before.image, classes)
    assert after.config.recipe() == before.config.recipe()
    assert after.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert set(after.networks) == before.objective.sampling_roles
    for key, tensor in after.state_dict().items():
        assert torch.equal(tensor, before.state_dict()[key]), key
    assert torch.equal(after.sample(4, seed=1), before.sample(4, seed=1))
    assert after.save(tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


@every_name
def test_loading_leaves_the_global_generator_alone(name: str, tmp_path: Path) -> None:
    path = model(name).save(tmp_path / "toy.safetensors")
    state = torch.get_rng_state()
    genzoo.load(path)
    assert torch.equal(torch.get_rng_state(), state)


def test_only_what_samples_is_saved(saved: Path) -> None:
    assert {name.partition(".")[0] for name in load_file(saved)} == {"generator"}


def test_a_loaded_model_outlives_its_file(saved: Path) -> None:
    loaded = genzoo.load(saved)
    expected = model().sample(2, seed=0)
    saved.unlink()
    assert torch.equal(loaded.sample(2, seed=0), expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.1), (torch.float64, 1e-5)])
@every_name
def test_models_of_other_types(
    name: str, dtype: torch.dtype, tolerance: float, tmp_path: Path
) -> None:
    path = model(name).save(tmp_path / "toy.safetensors")
    loaded = genzoo.load(path, dtype=dtype)
    assert loaded.dtype == dtype
    images = loaded.sample(4, seed=1)
    assert images.dtype == torch.float32
    torch.testing.assert_close(images, model(name).sample(4, seed=1), rtol=0, atol=tolerance)
    walks = loaded.interpolate(2, 3, seed=1)
    torch.testing.assert_close(walks[:, 0], loaded.sample(2, seed=1), rtol=0, atol=tolerance)
    again = genzoo.load(loaded.save(tmp_path / "other.safetensors"))
    assert again.dtype == dtype
    assert torch.equal(again.sample(4, seed=1), images)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_impossible_types(saved: Path, dtype: torch.dtype) -> None:
    with pytest.raises(UnsupportedError, match=str(dtype)) as caught:
        genzoo.load(saved, dtype=dtype)
    assert caught.value.hint


# files that do not fit


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"generator__to_image__bias": None}, "missing generator.to_image.bias"),
        ({"generator__more": torch.zeros(1)}, "unexpected generator.more"),
        ({"discriminator__more": torch.zeros(1)}, "unexpected discriminator.more"),
        ({"objective__p": torch.zeros(1)}, "unexpected p"),
        (
            {"generator__to_image__bias": torch.zeros(255)},
            r"generator.to_image.bias has shape \[255\], not \[256\]",
        ),
        (
            {"generator__to_image__bias": torch.zeros(256, 1)},
            r"generator.to_image.bias has shape \[256, 1\], not \[256\]",
        ),
        (
            {"generator__to_image__bias": torch.zeros(256, dtype=torch.int32)},
            "generator.to_image.bias has type torch.int32, not torch.float32",
        ),
        (
            {"generator__to_image__bias": torch.zeros(256, dtype=torch.float64)},
            "generator.to_image.bias has type torch.float64, not torch.float32",
        ),
    ],
)
def test_tensors_that_do_not_fit_the_networks(
    saved: Path, changes: dict[str, Tensor | None], reason: str
) -> None:
    rewrite(saved, **changes)
    with pytest.raises(WeightsError, match=reason) as caught:
        genzoo.load(saved)
    assert f"{saved} does not fit its networks" in caught.value.message
    assert caught.value.hint


def test_many_problems_are_counted(saved: Path) -> None:
    tensors, header = weights_format.read(saved)
    weights_format.write(saved, {}, header)
    with pytest.raises(WeightsError, match=f"and {len(tensors) - 3} more"):
        genzoo.load(saved)


def test_no_flipped_byte_goes_unnoticed(saved: Path) -> None:
    content = saved.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    step = (len(content) - header) // 30
    places = [*range(0, header, header // 20), *range(header, len(content), step)]
    assert len(places) >= 50
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 0xFF
        saved.write_bytes(changed)
        with pytest.raises(WeightsError):
            genzoo.load(saved)


def test_a_config_of_a_file_is_validated(saved: Path) -> None:
    tensors, header = weights_format.read(saved)
    header["config"]["training"]["stesp"] = 5
    weights_format.write(saved, tensors, header)
    with pytest.raises(ConfigError) as caught:
        genzoo.load(saved)
    assert caught.value.message == (
        f"the metadata of {saved}: training.stesp: unknown key. Did you mean 'steps'?"
    )
    weights_format.write(saved, tensors, {})
    with pytest.raises(ConfigError, match="name: missing"):
        genzoo.load(saved)


def test_a_file_without_its_architecture_says_what_to_install(saved: Path) -> None:
    tensors, header = weights_format.read(saved)
    header["config"]["architecture"]["name"] = "not-here"
    header["config"]["requires"] = ["genzoo-not-here"]
    weights_format.write(saved, tensors, header)
    with pytest.raises(
        UnknownNameError, match="architecture 'not-here' is not installed"
    ) as caught:
        genzoo.load(saved)
    assert "pip install genzoo-not-here" in caught.value.hint


def test_parts_that_do_not_go_together(saved: Path) -> None:
    tensors, header = weights_format.read(saved)
    header["config"]["objective"] = {"name": "variational", "config": {}}
    weights_format.write(saved, tensors, header)
    with pytest.raises(ConfigError, match="objective 'variational' samples by the role 'decoder'"):
        genzoo.load(saved)


# what may be loaded


def write_zoo(folder: Path, data: dict[str, Any], weights: Path, **changes: Any) -> Path:
    """Write a zoo config beside its weights."""
    stated = {
        "uri": weights.name,
        "sha256": weights_format.file_sha256(weights),
        "size": weights.stat().st_size,
        "parameters": 1,
        **changes,
    }
    image = dict(zip(("channels", "height", "width"), SIZE, strict=True))
    target = folder / "toy.yaml"
    target.write_text(yaml.safe_dump({**data, "image": image, "weights": stated}))
    return target


def test_a_zoo_config_with_its_weights_beside_it(saved: Path, zoo_data: dict[str, Any]) -> None:
    file = write_zoo(saved.parent, zoo_data, saved)
    loaded = genzoo.load(file)
    assert loaded.name == "toy-digits"
    assert loaded.sha256 == weights_format.file_sha256(saved)
    assert torch.equal(loaded.sample(2, seed=0), model().sample(2, seed=0))
    assert torch.equal(genzoo.load(str(file)).sample(2, seed=0), loaded.sample(2, seed=0))


def test_a_zoo_config_whose_weights_are_other_ones(saved: Path, zoo_data: dict[str, Any]) -> None:
    file = write_zoo(saved.parent, zoo_data, saved, sha256="0" * 64)
    with pytest.raises(WeightsError, match=f"expected {'0' * 64}"):
        genzoo.load(file)
    file = write_zoo(saved.parent, zoo_data, saved, uri="missing.safetensors")
    with pytest.raises(WeightsError, match="weights file missing") as caught:
        genzoo.load(file)
    assert str(saved.parent / "missing.safetensors") in caught.value.hint
    file = write_zoo(saved.parent, zoo_data, saved, uri="https://127.0.0.1:9/x.safetensors")
    with pytest.raises(WeightsError, match=r"cannot get https://127\.0\.0\.1:9"):
        genzoo.load(file)


def test_a_zoo_config_without_weights(tmp_path: Path, zoo_data: dict[str, Any]) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text(yaml.safe_dump(zoo_data))
    with pytest.raises(WeightsError, match="no trained weights yet") as caught:
        genzoo.load(file)
    assert caught.value.hint == "genzoo train toy-digits"


@pytest.mark.parametrize("name", ["missing.yaml", "missing.yml", "no/such/file.yaml"])
def test_a_missing_zoo_config_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file") as caught:
        genzoo.load(tmp_path / name)
    assert str(tmp_path / name) in caught.value.message


def test_a_missing_weights_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no file"):
        genzoo.load(tmp_path / "missing.safetensors")
    with pytest.raises(WeightsError, match=r"there is no file missing\.safetensors"):
        genzoo.load("missing.safetensors")


@pytest.mark.parametrize("path", ["no/such/thing", "/no/such/thing", "../no-such-thing"])
def test_a_missing_path_is_named(path: str) -> None:
    with pytest.raises(UnknownNameError, match=f"there is no file or folder {path}") as caught:
        genzoo.load(path)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["no-such-model", "a" * 300, "Ä ö", "./no-such-model"])
def test_an_unknown_name_is_named(name: str) -> None:
    with pytest.raises(UnknownNameError, match="no model is called") as caught:
        genzoo.load(name)
    assert "genzoo list" in caught.value.hint


def test_the_folder_of_a_run(saved: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for step, name in ((100, "vae"), (1200, "dcgan")):
        model(name).save(run / f"checkpoints/step-{step:08d}/weights.safetensors")
    assert run_weights(run).parent.name == "step-00001200"
    assert genzoo.load(run).name == "dcgan"
    model("mlp-gan").save(run / "weights.safetensors")
    assert genzoo.load(str(run)).name == "mlp-gan"


@pytest.mark.parametrize(
    "content", [[], ["config.yaml"], ["checkpoints/step-00000001/position.json"]]
)
def test_a_folder_without_weights(content: list[str], tmp_path: Path) -> None:
    for name in content:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    with pytest.raises(WeightsError, match="it has no weights yet") as caught:
        genzoo.load(tmp_path)
    assert str(tmp_path) in caught.value.message
    assert "genzoo train" in caught.value.hint


def test_a_name_comes_before_a_folder_of_that_name(
    installed: Any, saved: Path, zoo_data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = """
        from pathlib import Path
        import genzoo

        @genzoo.hookimpl
        def genzoo_zoo_configs():
            return [Path(__file__).parent / "toy.yaml"]
    """
    site = installed("toy-zoo", "1.0", {"toy": "toy_zoo.plugin"}, {"toy_zoo/plugin.py": plugin})
    model().save(site / "toy_zoo" / "toy.safetensors")
    (site / "toy_zoo" / "__init__.py").touch()
    data = {**zoo_data, "aliases": ["my-toy"]}
    uri = "pkg://toy_zoo/toy.safetensors"
    write_zoo(site / "toy_zoo", data, saved, uri=uri)
    monkeypatch.chdir(saved.parent)
    (saved.parent / "toy-digits").mkdir()
    assert genzoo.load("toy-digits").name == "toy-digits"
    assert genzoo.load("my-toy").name == "toy-digits"
    with pytest.raises(WeightsError, match="it has no weights yet"):
        genzoo.load("./toy-digits")
    with pytest.raises(WeightsError, match="it has no weights yet"):
        genzoo.load(Path("toy-digits"))


# devices


def test_no_device_means_the_best_there_is() -> None:
    assert find_device(None).type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_a_device_that_is_there(device: str | torch.device, saved: Path) -> None:
    assert find_device(device) == torch.device("cpu")
    assert genzoo.load(saved, device=device).device == torch.device("cpu")


@pytest.mark.parametrize(
    "device", ["nonsense", "", "cuda:99", "meta", "xla", "privateuseone", "cpu:x", 1.5]
)
def test_a_device_that_is_not_there(device: Any, saved: Path) -> None:
    with pytest.raises(DeviceError, match="cannot use the device") as caught:
        genzoo.load(saved, device=device)
    assert repr(str(device)) in caught.value.message
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_no_gpu(saved: Path) -> None:
    with pytest.raises(DeviceError, match="cannot use the device 'cuda'"):
        genzoo.load(saved, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every_name
def test_a_gpu_draws_what_the_cpu_draws(name: str, tmp_path: Path) -> None:
    path = model(name).save(tmp_path / "toy.safetensors")
    images = genzoo.load(path, device="cuda").sample(4, seed=1)
    assert images.device.type == "cuda"
    expected = model(name).sample(4, seed=1)  # a GPU may multiply in TF32, of 10 bits
    torch.testing.assert_close(images.cpu(), expected, rtol=0, atol=0.02)


# create


@every_name
def test_a_created_model_has_all_its_roles(name: str) -> None:
    created = model(name)
    assert set(created.networks) == created.objective.roles
    assert isinstance(created.config, ZooConfig)
    assert not created.training


@every_name
def test_initial_weights_come_from_the_global_generator(name: str) -> None:
    def weights(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        return genzoo.create(name, SIZE).state_dict()

    one, same, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_the_config_reaches_the_architecture() -> None:
    created = genzoo.create("mlp-gan", SIZE, latent_dim=7, generator_widths=(8, 16))
    assert created.config.architecture.config == {"latent_dim": 7, "generator_widths": [8, 16]}
    assert created.networks["generator"].latent_dim == 7


def test_an_image_spec_says_it_all() -> None:
    spec = genzoo.ImageSpec(1, 8, 8, 4)
    assert genzoo.create("mlp-gan", spec).image == spec
    assert genzoo.create("mlp-gan", spec, classes=3).classes == 3
    unconditional = genzoo.ImageSpec(1, 8, 8)
    assert genzoo.create("mlp-gan", unconditional, 5).classes == 5


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"architecture": "dcgann"}, UnknownNameError, "'dcgann' is not installed"),
        ({"image": (28, 28)}, ConfigError, r"image is \(28, 28\)"),
        ({"image": (1, 28, 28, 10)}, ConfigError, "image is"),
        ({"image": (2, 28, 28)}, ConfigError, "image.channels: found 2, must be 1 or 3"),
        ({"image": (1, 28.5, 28)}, ConfigError, "image.height: found 28.5"),
        ({"image": (1, 0, 28)}, ConfigError, "image.height: found 0"),
        ({"image": (1, 27, 28)}, UnsupportedError, "27x28"),
        ({"classes": 0}, ConfigError, "classes: found 0"),
        ({"classes": "10"}, ConfigError, "classes: found '10'"),
        ({"latent_dims": 7}, ConfigError, r"architecture\.config\.latent_dims: unknown key"),
        ({"latent_dim": "7"}, ConfigError, r"architecture\.config\.latent_dim: found '7'"),
        ({"latent_dim": torch.tensor(7)}, ConfigError, r"latent_dim: found tensor\(7\)"),
    ],
)
def test_what_cannot_be_created(
    arguments: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        genzoo.create(**{"architecture": "dcgan", **arguments})


# third parties


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
    rewrite(path, objective__offset=None)
    with pytest.raises(WeightsError, match="missing offset"):
        genzoo.load(path)


@pytest.mark.usefixtures("odd")
def test_an_architecture_that_builds_nothing_is_an_error_of_its_plugin() -> None:
    with pytest.raises(PluginError, match="'odd-gan' built a NoneType") as caught:
        genzoo.create("odd-gan", kind="nothing")
    assert "dict" in caught.value.hint
