"""An extractor that a third party brings by the hook, and the dataset that it is made for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from genzoo.cli.main import app
from genzoo.errors import PluginError
from genzoo.evaluation.evaluate import evaluate
from genzoo.evaluation.features import find_extractor
from genzoo.model import Model
from genzoo.registry.discovery import registry

PLUGIN = """
    import genzoo
    from genzoo.registry.specs import Extractor

    @genzoo.hookimpl
    def genzoo_datasets():
        return [
            genzoo.Dataset(
                name="dots",
                summary="a bright pixel in one of four places",
                config="genzoo.data.configs:DigitsConfig",
                factory="dots_parts:dots",
                image=genzoo.ImageSpec(1, 2, 2, 4),
                licence="CC0-1.0",
            )
        ]

    @genzoo.hookimpl
    def genzoo_extractors():
        return [
            Extractor(
                name="brightest",
                summary="the pixels themselves; the class is the brightest one",
                factory="dots_parts:Brightest",
                datasets=("dots",),
                image=genzoo.ImageSpec(1, 2, 2, 4),
                licence="CC0-1.0",
            )
        ]
"""
PARTS = """
    import torch
    from genzoo.data.fitting import fit_tensors
    from genzoo.evaluation.features import FeatureExtractor

    class Brightest(FeatureExtractor):
        num_features = 4

        def __init__(self, spec):
            super().__init__()
            self.sha256 = spec.name

        def forward(self, images):
            assert images.dtype == torch.uint8
            pixels = images.flatten(1).float()
            return pixels, pixels

    def dots(config, image, split, root):
        generator = torch.Generator().manual_seed(len(split))
        count = 120 if split == "train" else 40
        labels = torch.arange(count) % 4
        pixels = torch.randint(0, 99, (count, 4), dtype=torch.uint8, generator=generator)
        pixels[torch.arange(count), labels] += 120
        return fit_tensors("dots", pixels.view(-1, 1, 2, 2), labels, tuple("abcd"), image)
"""


@pytest.fixture
def dots(installed: Callable[..., Path]) -> None:
    files = {"dots_plugin.py": PLUGIN, "dots_parts.py": PARTS}
    installed("genzoo-dots", "1.0", {"dots": "dots_plugin"}, files)


@pytest.mark.usefixtures("dots")
def test_it_is_found_by_name_and_by_its_dataset() -> None:
    assert find_extractor("dots").name == "brightest"
    assert find_extractor("mnist", "brightest").name == "brightest"
    assert registry().owner("extractors", "brightest").distribution == "genzoo-dots"


@pytest.mark.usefixtures("dots")
def test_it_is_listed() -> None:
    listed = CliRunner().invoke(app, ["list", "--extractors", "--json"])
    row = next(r for r in json.loads(listed.stdout) if r["name"] == "brightest")
    assert (row["datasets"], row["image"], row["accuracy"]) == ("dots", [1, 2, 2], None)
    assert (row["distribution"], row["version"]) == ("genzoo-dots", "1.0")


@pytest.mark.usefixtures("dots")
def test_it_measures_though_it_has_no_parameters(planted: Callable[..., Model]) -> None:
    def draw(indices: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None
        return 200.0 * torch.nn.functional.one_hot(labels, 4).view(-1, 1, 2, 2)

    worth = evaluate(planted(draw, 4, (1, 2, 2), "dots"))
    assert worth.figures["label_agreement"] == 1
    assert worth.figures["recall"] == 0  # a class is one image to this model, four points in all
    assert worth.by_class["label_agreement"] == [1.0] * 4
    assert (worth.protocol["samples"], worth.protocol["reference_images"]) == (120, 40)
    assert worth.protocol["extractor_sha256"] == "brightest"


@pytest.mark.usefixtures("dots")
def test_it_measures_other_datasets_in_its_own_size_and_knows_no_classes_of_theirs(
    drawing: Callable[[Tensor], Model],
) -> None:
    images = torch.zeros(30, 1, 8, 8, dtype=torch.uint8)
    worth = evaluate(drawing(images), samples=30, extractor="brightest")
    assert worth.protocol["features"] == 4
    assert worth.figures["fid"] > worth.floor["fid"]
    assert not {"class_balance", "label_agreement"} & worth.figures.keys()


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("num_features = 4", "widths = 4", "does not say how many features it has"),
        ("num_features = 4", "num_features = 5", "features of shape (40, 4)"),
        ("return pixels, pixels", "return pixels[:, :, None, None], None", "(40, 4, 1, 1)"),
        ("return pixels, pixels", "return pixels / 0, None", "not all of them finite"),
        ("return pixels, pixels", "return pixels, pixels[:1]", "logits of shape (1, 4)"),
    ],
)
def test_an_extractor_that_breaks_its_promise_is_named(
    installed: Callable[..., Path],
    drawing: Callable[[Tensor], Model],
    right: str,
    wrong: str,
    says: str,
) -> None:
    files = {"dots_plugin.py": PLUGIN, "dots_parts.py": PARTS.replace(right, wrong)}
    installed("genzoo-dots", "1.0", {"dots": "dots_plugin"}, files)
    model = drawing(torch.zeros(30, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(PluginError, match="'brightest'") as raised:
        evaluate(model, dataset="dots", samples=30)
    assert says in raised.value.message
    assert raised.value.hint


def test_a_plugin_does_not_replace_the_extractor_of_the_zoos_own_datasets(
    installed: Callable[..., Path],
) -> None:
    plugin = PLUGIN.replace('name="brightest"', 'name="a-first"').replace(
        'datasets=("dots",)', 'datasets=("digits",)'
    )
    installed("genzoo-dots", "1.0", {"dots": "dots_plugin"}, {"dots_plugin.py": plugin})
    assert find_extractor("digits").name == "digits"
    assert find_extractor("digits", "a-first").name == "a-first"
