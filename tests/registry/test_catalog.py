from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import genzoo
from genzoo.errors import ConfigError, PluginError, UnknownNameError
from genzoo.registry.catalog import catalog, find, lookup, package_file, unavailable
from genzoo.registry.config import zoo_config

PLUGIN = """
    from pathlib import Path
    import genzoo

    @genzoo.hookimpl
    def genzoo_zoo_configs():
        return [Path(__file__).parent / "zoo"]
"""


def bring(installed: Any, *configs: dict[str, Any], name: str = "toy-zoo", **files: str) -> Path:
    """Install a distribution that brings these zoo configs."""
    package = name.replace("-", "_")
    texts = {f"{package}/zoo/{i}.yaml": yaml.safe_dump(data) for i, data in enumerate(configs)}
    extra = {f"{package}/{path}": text for path, text in files.items()}
    site: Path = installed(
        name,
        "1.0",
        {name: f"{package}.plugin"},
        {f"{package}/__init__.py": "", f"{package}/plugin.py": PLUGIN, **texts, **extra},
    )
    return site / package


def weights(uri: str, **changes: Any) -> dict[str, Any]:
    return {"uri": uri, "sha256": "0" * 64, "size": 1234, "parameters": 56, **changes}


def test_a_plugins_models_join_those_of_the_core(installed: Any, zoo_data: dict[str, Any]) -> None:
    before = genzoo.list_models()
    package = bring(installed, zoo_data)
    assert genzoo.list_models() == sorted([*before, "toy-digits"])
    entry = find("toy-digits")
    assert entry.distribution == "toy-zoo"
    assert entry.path == package / "zoo" / "0.yaml"


def test_names_are_sorted_and_filtered(installed: Any, zoo_data: dict[str, Any]) -> None:
    parts = [
        ("b-toy", "mlp-gan", "adversarial", "digits"),
        ("a-toy", "vae", "variational", "digits"),
        ("c-toy-set", "vae", "variational", "toyset"),
    ]
    models = [
        {
            **zoo_data,
            "name": name,
            "architecture": {"name": architecture},
            "objective": {"name": objective},
            "dataset": {"name": dataset},
        }
        for name, architecture, objective, dataset in parts
    ]
    bring(installed, *models)
    assert genzoo.list_models("toy") == ["a-toy", "b-toy", "c-toy-set"]
    assert genzoo.list_models("*-toy") == ["a-toy", "b-toy"]
    assert genzoo.list_models("?-toy*") == ["a-toy", "b-toy", "c-toy-set"]
    assert genzoo.list_models("[ab]-toy") == ["a-toy", "b-toy"]
    assert genzoo.list_models("toy", architecture="vae") == ["a-toy", "c-toy-set"]
    assert genzoo.list_models("toy", objective="adversarial") == ["b-toy"]
    assert genzoo.list_models(dataset="toyset") == ["c-toy-set"]
    assert genzoo.list_models("toy", architecture="vae", dataset="digits") == ["a-toy"]
    assert genzoo.list_models("no-such-model") == []
    assert set(genzoo.list_models("toy")) < set(genzoo.list_models())


def test_aliases_lead_to_the_model(installed: Any, zoo_data: dict[str, Any]) -> None:
    bring(installed, {**zoo_data, "aliases": ["toy-latest", "my-toy"]})
    assert find("my-toy") is find("toy-digits")
    assert lookup("toy-latest") is find("toy-digits")
    assert "my-toy" not in genzoo.list_models()
    assert lookup("no-such-model") is None


@pytest.mark.parametrize(
    ("asked", "meant"), [("toy-digit", "'toy-digits'"), ("toy-newset", "'toy-newest'")]
)
def test_an_unknown_name_brings_the_one_that_was_meant(
    asked: str, meant: str, installed: Any, zoo_data: dict[str, Any]
) -> None:
    bring(installed, {**zoo_data, "aliases": ["toy-newest"]})
    with pytest.raises(UnknownNameError, match=f"no model is called '{asked}'") as caught:
        find(asked)
    assert meant in caught.value.hint
    assert "genzoo list" in caught.value.hint


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"classes": "ten"}, "classes: found 'ten'"),
        ({"alias": []}, "alias: unknown key. Did you mean 'aliases'?"),
        ({"name": "toy-digits"}, "the name 'toy-digits' is taken by"),
        ({"aliases": ["toy-digits"]}, "the name 'toy-digits' is taken by"),
    ],
)
def test_a_bad_zoo_config_is_reported_once_and_left_out(
    broken: dict[str, Any],
    reason: str,
    installed: Any,
    zoo_data: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    package = bring(installed, zoo_data, {**zoo_data, "name": "broken", **broken})
    assert genzoo.list_models("toy") == ["toy-digits"]
    assert genzoo.list_models("broken") == []
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("genzoo:") == 1
    assert "plugin 'toy-zoo' (toy-zoo 1.0)" in said.err
    assert str(package / "zoo" / "1.yaml") in said.err
    assert reason in said.err


def test_a_bad_zoo_config_raises_in_strict_mode(
    installed: Any, zoo_data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENZOO_STRICT", "1")
    bring(installed, {**zoo_data, "classes": "ten"})
    with pytest.raises(ConfigError, match="classes: found 'ten'"):
        catalog()


def test_a_model_without_its_architecture_stays_listed_and_says_what_to_install(
    installed: Any, zoo_data: dict[str, Any]
) -> None:
    absent = {
        **zoo_data,
        "architecture": {"name": "not-here", "config": {"any": "thing"}},
        "requires": ["genzoo-not-here", "other>=2"],
    }
    bring(installed, absent)
    assert "toy-digits" in genzoo.list_models()
    found = genzoo.info("toy-digits")
    assert found["available"] is False
    assert found["unavailable_because"] == "architecture 'not-here' not installed"
    assert found["to_make_available"] == "pip install genzoo-not-here other>=2"
    with pytest.raises(UnknownNameError, match="'not-here' not installed") as caught:
        genzoo.load("toy-digits")
    assert caught.value.hint == "pip install genzoo-not-here other>=2"


def test_what_makes_a_model_available(
    installed: Any, zoo_data: dict[str, Any], tmp_path: Path
) -> None:
    def state(**changes: Any) -> tuple[str, str] | None:
        here = tmp_path / "here.yaml"
        return unavailable(zoo_config({**zoo_data, **changes}, source="here"), here)

    bring(installed, **{"weights/toy.safetensors": ""})
    assert state() == ("no trained weights yet", "genzoo train toy-digits")
    assert state(weights=weights("pkg://toy_zoo/weights/toy.safetensors")) is None
    assert state(weights=weights("https://example.org/toy.safetensors")) is None
    beside = tmp_path / "beside.safetensors"
    assert state(weights=weights(beside.name)) == ("weights file missing", f"Put it at {beside}.")
    beside.touch()
    assert state(weights=weights(beside.name)) is None
    missing = weights("pkg://toy_zoo/weights/other.safetensors")
    assert state(weights=missing, requires=["toy-zoo"]) == (
        "weights file missing",
        "pip install --force-reinstall toy-zoo",
    )
    missing = weights("pkg://no_such_package/toy.safetensors")
    assert state(weights=missing) == ("weights file missing", "Install what has it.")
    problem = state(objective={"name": "no-such-objective"})
    assert problem is not None
    assert problem[0] == "objective 'no-such-objective' not installed"


def test_a_package_file_is_found_without_importing_the_package(installed: Any) -> None:
    package = bring(installed)
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    assert package_file("pkg://toy_zoo/weights/a.safetensors") == package / "weights/a.safetensors"
    assert package_file("pkg://no_such_package/a.safetensors") is None
    assert package_file("pkg://json.decoder.x/a") is None
    assert package_file("pkg:///a") is None


def test_info_tells_all_that_is_known(installed: Any, zoo_data: dict[str, Any]) -> None:
    content = "some weights"
    digest = hashlib.sha256(content.encode()).hexdigest()
    model = {
        **zoo_data,
        "architecture": {"name": "mlp-gan", "config": {"latent_dim": 7}},
        "weights": weights("pkg://toy_zoo/weights/toy.safetensors", sha256=digest),
    }
    package = bring(installed, model, **{"weights/toy.safetensors": content})
    found = genzoo.info("toy-digits")
    row = {
        "name": "toy-digits",
        "architecture": "mlp-gan",
        "objective": "adversarial",
        "dataset": "digits",
        "image": [1, 8, 8],
        "classes": 10,
        "parameters": 56,
        "size_bytes": 1234,
        "license": "Apache-2.0",
        "available": True,
        "unavailable_because": None,
        "to_make_available": None,
        "distribution": "toy-zoo",
        "file": str(package / "zoo" / "0.yaml"),
    }
    assert {key: found[key] for key in row} == row
    config = found["config"]["architecture"]["config"]
    assert config["latent_dim"] == 7
    assert "dropout" in config, "defaults are written out"
    assert found["config"]["weights"]["sha256"] == digest
    json.dumps(found)


def test_info_of_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="no model is called 'nothing-like-it'"):
        genzoo.info("nothing-like-it")


def test_a_config_that_is_no_config_is_an_error_of_the_plugin(installed: Any) -> None:
    text = """
        import genzoo

        class Config:
            pass

        @genzoo.hookimpl
        def genzoo_architectures():
            return [genzoo.Architecture(
                name="odd", summary="s", objective="adversarial",
                config="odd_plugin:Config", networks="odd_plugin:build")]
    """
    installed("odd-zoo", "1.0", {"odd": "odd_plugin"}, {"odd_plugin.py": text})
    with pytest.raises(PluginError, match=r"'odd_plugin:Config', the config of 'odd'"):
        genzoo.create("odd")
