from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import genzoo
from genzoo.devices import find_device
from genzoo.errors import (
    ConfigError,
    DeviceError,
    UnknownNameError,
    WeightsError,
)
from genzoo.loading import run_weights
from genzoo.weights import format as weights_format

NAMES = genzoo.list_architectures()
SIZE = (1, 16, 16)

every_name = pytest.mark.parametrize("name", NAMES)


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


def test_a_zoo_config_with_its_weights_beside_it(
    saved: Path, zoo_data: dict[str, Any], model: Any
) -> None:
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


def test_a_model_of_the_zoo_is_drawn_from_by_another_setting() -> None:
    plain, noisy = (
        genzoo.load("vae-mnist", "cpu", objective=o) for o in (None, {"samples": "drawn"})
    )
    assert not torch.equal(noisy.sample(2, seed=0), plain.sample(2, seed=0))
    assert noisy.config.trained == plain.config.trained
    assert noisy.config.objective.config["samples"] == "drawn"
    assert noisy.changes == {"samples": "drawn"}


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


def test_the_folder_of_a_run(saved: Path, tmp_path: Path, model: Any) -> None:
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
    installed: Any,
    saved: Path,
    zoo_data: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    model: Any,
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
def test_a_gpu_draws_what_the_cpu_draws(name: str, tmp_path: Path, model: Any) -> None:
    path = model(name).save(tmp_path / "toy.safetensors")
    images = genzoo.load(path, device="cuda").sample(4, seed=1)
    assert images.device.type == "cuda"
    expected = model(name).sample(4, seed=1)  # a GPU may multiply in TF32, of 10 bits
    torch.testing.assert_close(images.cpu(), expected, rtol=0, atol=0.02)
