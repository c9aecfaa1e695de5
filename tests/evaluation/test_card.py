"""Figures go onto the card of the weights that they belong to, measured as all cards are."""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from genzoo.data.fitting import TensorImages
from genzoo.errors import (
    ConfigError,
    GenzooError,
    OutputError,
    UnknownNameError,
    UnsupportedError,
)
from genzoo.evaluation.card import card_of, check_protocol, write_card
from genzoo.evaluation.evaluate import Evaluation, evaluate
from genzoo.evaluation.protocol import CARD_IMPORTANCE_SAMPLES
from genzoo.files import check_writable
from genzoo.registry.catalog import find
from genzoo.registry.config import read_config

NAME = "mlp-gan-digits"
OTHER = "0" * 64


def uncarded() -> str:
    """Return the zoo config of a model that ships, without what was measured already."""
    text = find(NAME).path.read_text(encoding="utf-8")
    return re.sub(r"^evaluated:\n(?:[ \n].*\n?)*", "", text, flags=re.MULTILINE).rstrip() + "\n"


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "card.yaml"
    path.write_text(f"{uncarded()}# the last word\n", encoding="utf-8")
    assert read_config(path).evaluated is None
    return path


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """An evaluation as all cards have it."""
    return evaluate(NAME, device="cpu")


def test_the_card_has_the_figures_and_how_they_were_measured(
    card: Path, evaluation: Evaluation, training: TensorImages
) -> None:
    write_card(evaluation, card)
    config = read_config(card)
    found = config.measured
    assert found is not None
    assert found.figures == pytest.approx(dict(evaluation.figures), rel=1e-5)
    assert found.floor == pytest.approx(dict(evaluation.floor), rel=1e-5)
    assert list(found.figures) == list(evaluation.figures)
    assert found.by_class["label_agreement"] == pytest.approx(
        evaluation.by_class["label_agreement"], rel=1e-5
    )
    assert config.weights is not None
    assert found.weights_sha256 == config.weights.sha256
    expected = {k: v for k, v in evaluation.protocol.items() if k != "weights_sha256"}
    assert found.protocol == expected
    assert found.protocol["samples"] == len(training)
    today = datetime.date.today()
    assert found.date in (today.isoformat(), (today - datetime.timedelta(days=1)).isoformat())


def test_the_card_that_ships_has_what_is_measured(evaluation: Evaluation) -> None:
    """Figures on a card are those of the weights and of this code, whoever wrote them there."""
    shipped = read_config(find(NAME).path).measured
    assert shipped is not None
    for name in ("fid", "fid_ratio", "kid", "nearest_train", "density"):
        assert shipped.figures[name] == pytest.approx(evaluation.figures[name], rel=1e-3)
    # A share moves by one image of 297 where another processor rounds one grey level otherwise.
    assert shipped.figures == pytest.approx(dict(evaluation.figures), abs=0.01, rel=1e-3)
    assert shipped.floor == pytest.approx(dict(evaluation.floor), abs=0.01, rel=1e-3)
    where = {"genzoo", "torch", "device", "weights_sha256"}
    assert {k: v for k, v in shipped.protocol.items() if k not in where} == {
        k: v for k, v in evaluation.protocol.items() if k not in where
    }


def test_what_could_not_be_measured_is_on_the_card(card: Path, evaluation: Evaluation) -> None:
    notes = ("no nll: it is no probability", "another")
    write_card(dataclasses.replace(evaluation, notes=notes), card)
    found = read_config(card).evaluated
    assert found is not None
    assert found.notes == notes


def test_every_line_and_comment_is_kept(card: Path, evaluation: Evaluation) -> None:
    before = card.read_text(encoding="utf-8")
    write_card(evaluation, card)
    after = card.read_text(encoding="utf-8")
    assert after.startswith(before)
    assert after[len(before) :].lstrip().startswith("evaluated:\n")

    # Written again, the block is replaced where it stands.
    write_card(evaluation, card)
    assert card.read_text(encoding="utf-8") == after


def test_figures_have_six_digits_at_most(card: Path, evaluation: Evaluation) -> None:
    write_card(evaluation, card)
    block = yaml.safe_load(card.read_text(encoding="utf-8"))["evaluated"]
    figures = [*block["figures"].values(), *block["floor"].values()]
    figures += [value for values in block["by_class"].values() for value in values]
    digits = [str(value).partition("e")[0].replace(".", "").strip("-0") for value in figures]
    assert max(map(len, digits)) == 6


def test_no_figure_of_a_class_is_no_figure_on_the_card(card: Path, evaluation: Evaluation) -> None:
    by_class = {"label_agreement": [None, 1 / 3]}
    write_card(dataclasses.replace(evaluation, by_class=by_class), card)
    found = read_config(card).evaluated
    assert found is not None
    assert found.by_class == {"label_agreement": [None, 0.333333]}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("samples", 500),
        ("seed", 1),
        ("split", "train"),
        ("dataset", "mnist"),
        ("extractor", "mnist"),
        ("importance_samples", 100),
        ("likelihood_images", 5),
    ],
)
def test_another_protocol_is_refused(
    key: str, value: Any, card: Path, evaluation: Evaluation
) -> None:
    before = card.read_bytes()
    other = dataclasses.replace(evaluation, protocol={**evaluation.protocol, key: value})
    with pytest.raises(UnsupportedError, match=f"with {key.replace('_', ' ')} {value}") as raised:
        write_card(other, card)
    assert raised.value.hint
    assert card.read_bytes() == before


def test_where_no_extractor_is_made_for_the_set_any_will_do() -> None:
    config = read_config(find("mlp-gan-mnist").path)
    dataset = config.dataset.model_copy(update={"name": "cifar10"})
    other = config.model_copy(update={"dataset": dataset})
    check_protocol(other, {"extractor": "inception", "dataset": "cifar10"})
    with pytest.raises(UnsupportedError, match="with extractor inception"):
        check_protocol(config, {"extractor": "inception"})


def test_a_card_s_likelihood_is_of_the_whole_split(card: Path, evaluation: Evaluation) -> None:
    counts = {
        "importance_samples": CARD_IMPORTANCE_SAMPLES,
        "likelihood_images": evaluation.protocol["reference_images"],
    }
    protocol = {**evaluation.protocol, **counts}
    write_card(dataclasses.replace(evaluation, protocol=protocol), card)
    found = read_config(card).evaluated
    assert found is not None
    assert counts.items() <= found.protocol.items()


@pytest.mark.parametrize("sha256", [OTHER, None])
def test_figures_of_other_weights_are_refused(
    sha256: str | None, card: Path, evaluation: Evaluation
) -> None:
    before = card.read_bytes()
    protocol = {**evaluation.protocol, "weights_sha256": sha256}
    with pytest.raises(ConfigError, match="do not belong to the weights"):
        write_card(dataclasses.replace(evaluation, protocol=protocol), card)
    assert card.read_bytes() == before


def test_a_card_without_weights_is_refused(card: Path, evaluation: Evaluation) -> None:
    text = re.sub(r"^weights:\n(?: .*\n)*", "", card.read_text(), flags=re.MULTILINE)
    card.write_text(text)
    assert read_config(card).weights is None
    with pytest.raises(ConfigError, match="do not belong to the weights"):
        write_card(evaluation, card)
    assert card.read_text() == text


def test_what_was_measured_on_other_weights_is_not_the_model_s(
    card: Path, evaluation: Evaluation
) -> None:
    write_card(evaluation, card)
    config = read_config(card)
    assert config.weights is not None
    assert config.measured is config.evaluated is not None
    card.write_text(card.read_text().replace(f"  sha256: {config.weights.sha256}", "  sha256: X"))
    card.write_text(card.read_text().replace("  sha256: X", f"  sha256: {'a' * 64}"))
    other = read_config(card)
    assert other.evaluated == config.evaluated
    assert other.measured is None


def test_measured_figures_are_no_part_of_the_recipe(card: Path, evaluation: Evaluation) -> None:
    before = read_config(card).recipe()
    write_card(evaluation, card)
    assert read_config(card).recipe() == before


def test_the_card_of_a_name_and_of_a_file(card: Path) -> None:
    assert card_of(NAME) == find(NAME).path
    assert card_of(card) == card


@pytest.mark.parametrize("name", ["runs/digits", "digits.safetensors"])
def test_what_has_no_card(name: str) -> None:
    with pytest.raises(ConfigError, match="has no card") as raised:
        card_of(name)
    assert raised.value.hint


def test_a_card_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        card_of(tmp_path / "folder.yaml")


def test_figures_of_a_model_in_another_precision_are_on_no_card(
    card: Path, evaluation: Evaluation
) -> None:
    protocol = {**evaluation.protocol, "dtype": "bfloat16"}
    with pytest.raises(UnsupportedError, match="not measured with dtype bfloat16"):
        write_card(dataclasses.replace(evaluation, protocol=protocol), card)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_card_in_a_folder_that_may_not_be_written_to(
    card: Path, request: pytest.FixtureRequest
) -> None:
    card.parent.chmod(0o500)
    request.addfinalizer(lambda: card.parent.chmod(0o700))
    with pytest.raises(GenzooError):
        check_writable(card)
    with pytest.raises(OutputError, match="may not be written to"):
        card_of(card)


def test_a_mistyped_name_is_answered_with_the_one_meant() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'mlp-gan-digits'"):
        card_of("mlp-gan-digit")
