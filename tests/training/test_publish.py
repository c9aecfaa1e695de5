"""A finished run becomes a model of the zoo, or nothing is touched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import genzoo
from genzoo.errors import ConfigError, OutputError
from genzoo.registry.config import ZooConfig, read_config
from genzoo.training.publish import publish

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]


@pytest.fixture
def run(tmp_path: Path, recipe: Recipe, train: Train) -> Path:
    train(recipe(training__steps=2), tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def card(run: Path, tmp_path: Path) -> Path:
    card = tmp_path / "card.yaml"
    card.write_text("# why it is so\n" + (run / "config.yaml").read_text())
    return card


def test_the_file_is_kept_and_filled_in(run: Path, card: Path) -> None:
    text = card.read_text()
    assert publish(run, card) == [card.with_name("tiny-mlp-gan.safetensors"), card]
    assert card.read_text().startswith(text.rstrip())
    config = read_config(card)
    assert config.weights is not None
    assert config.trained is not None
    assert config.weights.size == card.with_name("tiny-mlp-gan.safetensors").stat().st_size
    assert config.trained.steps == 2
    assert (genzoo.load(card).sample(4, seed=0) == genzoo.load(run).sample(4, seed=0)).all()


def test_a_curve_of_fid_can_be_read_again(run: Path, card: Path) -> None:
    record = run / "trained.json"
    trained = json.loads(record.read_text()) | {"fid_ratio_by_step": {"1": 9.5, "2": 2.25}}
    record.write_text(json.dumps(trained))
    publish(run, card)
    config = read_config(card)
    assert config.trained is not None
    assert config.trained.fid_ratio_by_step == {1: 9.5, 2: 2.25}


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("card.yaml", "end.* in .safetensors|cannot be called"),
        ("notes.txt", "cannot be called notes.txt"),
        ("s3://bucket/x.safetensors", "cannot write to s3://"),
        ("https://example.org/x.safetensors", "cannot write to https://"),
        ("pkg://no_such_package/x.safetensors", "is not installed"),
    ],
)
def test_a_place_that_cannot_be_is_refused_and_nothing_is_touched(
    run: Path, card: Path, uri: str, message: str
) -> None:
    before = {path: path.read_bytes() for path in card.parent.glob("*.*")}
    with pytest.raises(ConfigError, match=message):
        publish(run, card, uri)
    assert {path: path.read_bytes() for path in card.parent.glob("*.*")} == before


def test_a_file_that_cannot_be_edited_keeps_its_weights(run: Path, card: Path) -> None:
    data = card.read_text()
    card.write_text(f"{{{', '.join(_flow(data))}}}\n")
    with pytest.raises(ConfigError):
        publish(run, card)
    assert not card.with_name("tiny-mlp-gan.safetensors").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_card_that_may_not_be_written_keeps_its_weights(
    run: Path, card: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    home = tmp_path / "weights.safetensors"
    home.write_bytes(b"those of before")
    (tmp_path / "shut").mkdir()
    shut = card.rename(tmp_path / "shut" / card.name)
    shut.parent.chmod(0o500)
    request.addfinalizer(lambda: shut.parent.chmod(0o700))
    with pytest.raises(OutputError, match="may not be written to"):
        publish(run, shut, home.as_uri())
    assert home.read_bytes() == b"those of before"


def test_another_recipe_names_the_setting_that_differs(run: Path, card: Path) -> None:
    card.write_text(card.read_text().replace("batch_size: 8", "batch_size: 16"))
    with pytest.raises(ConfigError, match=r"training\.batch_size is 8 in the run, 16 there"):
        publish(run, card)


def test_weights_of_another_run_are_refused(
    run: Path, card: Path, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    train(recipe(training__steps=2, classes=None), tmp_path / "other")
    shutil.copy(tmp_path / "other" / "weights.safetensors", run)
    with pytest.raises(ConfigError, match="classes is 10 in the run, null there"):
        publish(run, card)


def _flow(text: str) -> list[str]:
    import json

    import yaml

    return [f"{key}: {json.dumps(value)}" for key, value in yaml.safe_load(text).items()]
