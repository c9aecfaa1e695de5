from __future__ import annotations

import json
from pathlib import Path

import pytest

import genzoo
from genzoo.registry import catalog, yamlfile


@pytest.fixture
def published(installed, done, runs: Path, recipes: Path) -> Path:
    """The YAML file of `tiny-gan`, in the zoo, with the weights of its run beside it."""
    plugin = """
        from pathlib import Path
        import genzoo

        @genzoo.hookimpl
        def genzoo_zoo_configs():
            return [Path(__file__).parent / "tiny-gan.yaml"]
    """
    recipe = (recipes / "tiny-gan.yaml").read_text()
    site = installed(
        "genzoo-tiny", "1.0", {"tiny": "tiny_zoo"}, {"tiny_zoo.py": plugin, "tiny-gan.yaml": recipe}
    )
    said = done("publish", runs / "tiny-gan")
    file = site / "tiny-gan.yaml"
    assert said.splitlines() == [f"wrote {site / 'tiny-gan.safetensors'}", f"wrote {file}"]
    catalog.catalog.cache_clear()
    return Path(file)


def test_publishing_makes_a_model_available(done, published: Path) -> None:
    (row,) = json.loads(done("list", "tiny-gan", "--json"))
    model = genzoo.load("tiny-gan", "cpu")
    weights = published.with_suffix(".safetensors")
    assert row["available"] is True
    assert row["size_bytes"] == weights.stat().st_size
    assert row["parameters"] == sum(p.numel() for p in model.networks.parameters())
    line = done("list", "tiny-gan").splitlines()[1]
    assert line.split()[-1] == "yes"
    assert f"{row['parameters']:,}" in line.split()
    text = done("info", "tiny-gan")
    assert yamlfile.read(published)["weights"]["sha256"] in text
    assert "genzoo sample tiny-gan" in text


def test_publishing_by_another_recipe_is_refused(refused, runs: Path, recipes: Path) -> None:
    message = refused("publish", runs / "tiny-gan", "--config", recipes / "tiny-vae.yaml")
    assert "another recipe" in message


def test_sound_weights_are_ok(done, published: Path) -> None:
    assert done("verify", "tiny-gan").splitlines()[1].split()[:2] == ["tiny-gan", "ok"]
    lines = done("verify").splitlines()[1:]
    assert [line.split()[0] for line in lines] == genzoo.list_models()


@pytest.mark.parametrize("harm", ["flip", "truncate", "delete"])
def test_damaged_weights_are_found(cli, published: Path, harm: str) -> None:
    weights = published.with_suffix(".safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    if harm == "delete":
        weights.unlink()
    else:
        weights.write_bytes(content if harm == "flip" else content[:-5])
    result = cli("verify", "tiny-gan")
    assert result.exit_code == 2
    assert result.stdout.splitlines()[1].split()[:2] == ["tiny-gan", "damaged"]
    assert str(weights) in result.stdout
    assert "Traceback" not in result.output
    assert cli("verify").exit_code == 2


def test_weights_that_are_not_here_are_no_damage(done, installed, zoo_data) -> None:
    import yaml

    zoo_data |= {"name": "far-away", "requires": ["genzoo-far"]}
    zoo_data["architecture"] = {"name": "far"}
    zoo_data["weights"] = {
        "uri": "pkg://genzoo_far/weights/far.safetensors",
        "sha256": "0" * 64,
        "size": 1,
        "parameters": 1,
    }
    plugin = """
        from pathlib import Path
        import genzoo

        @genzoo.hookimpl
        def genzoo_zoo_configs():
            return [Path(__file__).parent / "far.yaml"]
    """
    files = {"far_zoo.py": plugin, "far.yaml": yaml.safe_dump(zoo_data)}
    installed("genzoo-zoo-far", "1.0", {"far": "far_zoo"}, files)
    line = done("verify", "far-away").splitlines()[1]
    assert "not installed" in line
    assert "pip install genzoo-far" in line


def test_weights_that_were_not_downloaded_are_not_downloaded_now(
    done, installed, zoo_data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    monkeypatch.setenv("GENZOO_CACHE", str(tmp_path / "cache"))
    zoo_data |= {"name": "in-the-net"}
    zoo_data["weights"] = {
        "uri": "https://127.0.0.1:9/in-the-net.safetensors",
        "sha256": "0" * 64,
        "size": 1,
        "parameters": 1,
    }
    plugin = """
        from pathlib import Path
        import genzoo

        @genzoo.hookimpl
        def genzoo_zoo_configs():
            return [Path(__file__).parent / "net.yaml"]
    """
    files = {"net_zoo.py": plugin, "net.yaml": yaml.safe_dump(zoo_data)}
    installed("genzoo-zoo-net", "1.0", {"net": "net_zoo"}, files)
    assert "not downloaded" in done("verify", "in-the-net").splitlines()[1]
    assert not (tmp_path / "cache").exists()


def test_an_unknown_name(refused) -> None:
    assert "Did you mean 'dcgan-mnist'" in refused("verify", "dcgan-minst")
