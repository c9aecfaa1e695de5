"""What docs/generate.py writes and draws, and what it finds stale, in copies of a checkout."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from genzoo.registry import yamlfile
from genzoo.registry.config import ZooConfig, read_config

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ("charts", "generate", "models", "pictures", "wording")
MODEL, OTHER = "mlp-gan-digits", "dcgan-mnist"  # one whose data ships, and that of the README
FIGURES = {"fid": 1.5, "fid_ratio": 1.25, "coverage": 0.9, "label_agreement": 0.99}
FLOOR = {"fid": 1.2, "coverage": 0.95, "label_agreement": 1.0}
PROTOCOL = {
    "samples": 1500,
    "seed": 0,
    "split": "test",
    "dataset": "digits",
    "reference_images": 297,
    "extractor": "digits",
    "extractor_sha256": "0123456789abcdef",
    "genzoo": "0.1.0",
}


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, Any]]:
    """The modules beside docs/generate.py, by name."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        yield {name: importlib.import_module(name) for name in SCRIPTS}
    finally:
        sys.path.remove(str(ROOT / "docs"))
        for name in SCRIPTS:
            sys.modules.pop(name, None)


class Checkout:
    """A copy of what the documents come from, with all of them as they should be."""

    def __init__(self, root: Path, scripts: dict[str, Any]) -> None:
        self.root, self.scripts = root, scripts
        shutil.copytree(ROOT / "zoo_configs", root / "zoo_configs")
        shutil.copytree(
            ROOT / "docs", root / "docs", ignore=shutil.ignore_patterns("*.py", "*.png")
        )
        shutil.copy(ROOT / "README.md", root)
        self.images = root / "docs" / "images"
        self.images.mkdir(exist_ok=True)
        for name in (MODEL, OTHER):
            self.change(name, evaluated=self.worth(name))
            self.change(name, trained={"fid_ratio_by_step": {"100": 9.0, "200": 2.5}})
        self.mend()

    def yaml(self, name: str) -> Path:
        return self.root / "zoo_configs" / f"{name}.yaml"

    def worth(self, name: str, **figures: float) -> dict[str, Any]:
        """Return an `evaluated` block for the weights that the config names."""
        weights = read_config(self.yaml(name)).weights
        assert weights is not None
        return {
            "figures": FIGURES | figures,
            "floor": FLOOR,
            "by_class": {"label_agreement": [0.98, None]},
            "floor_by_class": {"label_agreement": [1.0, None]},
            "protocol": PROTOCOL,
            "weights_sha256": weights.sha256,
            "date": "2026-11-20",
        }

    def change(self, name: str, **blocks: dict[str, Any]) -> None:
        """Set keys in blocks of a config."""
        path = self.yaml(name)
        data = yamlfile.read(path)
        merged = {key: {**(data.get(key) or {}), **values} for key, values in blocks.items()}
        path.write_text(yamlfile.replace_keys(path.read_text(encoding="utf-8"), merged))

    def mend(self) -> None:
        """Write the texts, and for each picture a dot that says what a picture would."""
        for path, text in self.scripts["generate"].documents(self.root).items():
            path.write_text(text, encoding="utf-8")
        for picture in self.scripts["pictures"].expected(self.configs()):
            facts = PngInfo()
            facts.add_itxt(picture.key, picture.value)
            Image.new("L", (1, 1)).save(self.images / f"{picture.name}.png", pnginfo=facts)

    def configs(self) -> dict[str, ZooConfig]:
        found: dict[str, ZooConfig] = self.scripts["wording"].models(self.root)
        return found

    def stale(self) -> list[str]:
        """Return what is said to be stale, as "FILE: COMMAND"."""
        lines = self.scripts["generate"].stale(self.root)
        return [re.sub(r" is stale: run `(.*)`\.$", r": \1", line) for line in lines]

    def page(self) -> str:
        return str(self.scripts["generate"].documents(self.root)[self.root / "docs" / "models.md"])

    def section(self, name: str) -> str:
        return self.page().split(f"\n## {name}\n")[1].split("\n## ")[0]


@pytest.fixture
def checkout(tmp_path: Path, scripts: dict[str, Any]) -> Checkout:
    return Checkout(tmp_path, scripts)


def test_nothing_is_stale_in_a_fresh_checkout(checkout: Checkout) -> None:
    assert checkout.stale() == []


def _other_weights(checkout: Checkout) -> None:
    checkout.change(OTHER, weights={"sha256": "0" * 64})


def _other_figures(checkout: Checkout) -> None:
    checkout.change(MODEL, evaluated=checkout.worth(MODEL, fid_ratio=1.5))


def _other_curve(checkout: Checkout) -> None:
    checkout.change(MODEL, trained={"fid_ratio_by_step": {"100": 9.0, "200": 2.4}})


def _other_text(checkout: Checkout) -> None:
    page = checkout.root / "docs" / "models.md"
    page.write_text(page.read_text(encoding="utf-8") + "More.\n", encoding="utf-8")


def _no_page(checkout: Checkout) -> None:
    (checkout.root / "docs" / "models.md").unlink()


def _no_picture(checkout: Checkout) -> None:
    (checkout.images / f"{MODEL}.png").unlink()


def _other_picture(checkout: Checkout) -> None:
    shutil.copy(checkout.images / f"{OTHER}.png", checkout.images / f"{MODEL}.png")


def _no_provenance(checkout: Checkout) -> None:
    Image.new("L", (1, 1)).save(checkout.images / "training.png")


def _no_image(checkout: Checkout) -> None:
    (checkout.images / "zoo.png").write_bytes(b"")


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (
            _other_weights,
            {
                "README.md: make docs",  # because figures of other weights are not shown
                "docs/models.md: make docs",
                f"docs/images/{OTHER}.png: make pictures",
                f"docs/images/{OTHER}-evaluation.png: make evaluations",
                "docs/images/zoo.png: make pictures",
            },
        ),
        (
            _other_figures,
            {
                "README.md: make docs",
                "docs/models.md: make docs",
                "docs/images/zoo.png: make pictures",
            },
        ),
        (_other_curve, {"docs/images/training.png: make pictures"}),
        (_other_text, {"docs/models.md: make docs"}),
        (_no_page, {"docs/models.md: make docs"}),
        (_no_picture, {f"docs/images/{MODEL}.png: make pictures"}),
        (_other_picture, {f"docs/images/{MODEL}.png: make pictures"}),
        (_no_provenance, {"docs/images/training.png: make pictures"}),
        (_no_image, {"docs/images/zoo.png: make pictures"}),
    ],
)
def test_what_is_stale_is_named_with_what_mends_it(
    checkout: Checkout, change: Callable[[Checkout], None], stale: set[str]
) -> None:
    change(checkout)
    assert set(checkout.stale()) == stale
    checkout.mend()
    assert checkout.stale() == []


def test_the_check_says_so_without_matplotlib(checkout: Checkout) -> None:
    _other_figures(checkout)
    code = (
        "import runpy, sys; sys.modules['matplotlib'] = None; sys.path.insert(0, sys.argv.pop(1)); "
        "runpy.run_path(sys.path[0] + '/generate.py', run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(ROOT / "docs"), "--check", "--root", checkout.root]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "docs/images/zoo.png is stale: run `make pictures`.\n" in answer.stderr


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("training.pauses", "list of maps"),
        ("training.pauses[].stop", "whole number, >= 1"),
        ("training.resets", "list of maps"),
        ("training.resets[].role", "text"),
        ("training.resets[].every", "whole number, >= 1"),
        ("training.resets[].what", "network, optimizer"),
    ],
)
def test_the_reference_has_the_keys_of_the_maps_that_a_list_holds(
    scripts: dict[str, Any], key: str, allowed: str
) -> None:
    assert f"| `{key}` | {allowed} |" in scripts["generate"].reference()


def test_pictures_are_drawn_where_they_are_stale(checkout: Checkout) -> None:
    for name in (MODEL, "zoo", "training"):
        (checkout.images / f"{name}.png").unlink()
    zoo = checkout.root / "zoo_configs"
    drawn = checkout.scripts["pictures"].draw(checkout.configs(), zoo, checkout.images)
    assert {path.stem for path in drawn} == {MODEL, "zoo", "training"}
    assert checkout.stale() == []
    for path in drawn:
        with Image.open(path) as picture:
            assert min(picture.size) > 100
            picture = picture.convert("RGBA")
            assert picture.getextrema()[3] == (255, 255)  # black text needs its white ground
    again = checkout.scripts["pictures"].draw(checkout.configs(), zoo, checkout.images)
    assert again == []


def test_a_section_has_figures_beside_their_floor_and_the_protocol(checkout: Checkout) -> None:
    section = checkout.section(MODEL)
    assert "| FID | 1.5 | 1.2 |" in section
    assert "| FID / floor | 1.25 | - |" in section
    assert "| label agreement | 99.00% | 100.00% |" in section
    assert "| label agreement by class | 0 | 1 |" in section
    assert "| model | 98.0% | - |\n| floor | 100.0% | - |" in section
    assert (
        "`genzoo evaluate mlp-gan-digits`: 1,500 samples, seed 0, against the 297 images of the "
        "test split of `digits`; extractor `digits`, sha256 `0123456789ab`; genzoo 0.1.0; "
        "2026-11-20." in section
    )
    assert f'genzoo.load("{MODEL}").sample(64)' in section


def test_a_section_says_what_could_not_be_measured(checkout: Checkout) -> None:
    assert "- No " not in checkout.section(MODEL)
    checkout.change(MODEL, evaluated=checkout.worth(MODEL) | {"notes": ["no nll: no idea"]})
    assert "\n- No nll: no idea.\n" in checkout.section(MODEL)


def test_a_likelihood_states_its_importance_samples(checkout: Checkout) -> None:
    worth = checkout.worth(MODEL, nll=83.9, nll_error=0.5)
    worth["protocol"] = PROTOCOL | {
        "likelihood_of": "images given their labels",
        "importance_samples": 1000,
        "likelihood_images": 297,
    }
    for name, config in checkout.configs().items():
        if config.measured is not None and "nll" in config.measured.figures:
            checkout.yaml(name).unlink()
    assert "| NLL |" not in checkout.page()
    checkout.change(MODEL, evaluated=worth)
    assert "| coverage | NLL |" in checkout.page()
    section = checkout.section(MODEL)
    assert "| NLL, nats per image, at most | 83.9 | - |" in section
    assert "--importance-samples 1000 --likelihood-images 297`: 1,500 samples" in section
    assert "NLL of 297 images given their labels by 1,000 importance samples each" in section


def test_what_was_not_measured_on_these_weights_says_so(checkout: Checkout) -> None:
    _other_weights(checkout)
    section = checkout.section(OTHER)
    assert f"Not measured yet: `genzoo evaluate {OTHER} --write-card`." in section
    assert "FID" not in section


def test_models_without_weights_and_charts_without_bars_are_left_out(checkout: Checkout) -> None:
    names = set(checkout.configs())
    assert {MODEL, OTHER} <= names
    for name in names:
        path = checkout.yaml(name)
        data = yamlfile.read(path)
        gone = ("evaluated", "trained") if name == MODEL else ("evaluated", "trained", "weights")
        path.write_text(yamlfile.dump({key: data[key] for key in data if key not in gone}))
    page = checkout.page()
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == [MODEL]
    assert "zoo.png" not in page
    assert "training.png" not in page
    assert [p.name for p in checkout.scripts["pictures"].expected(checkout.configs())] == [MODEL]


def test_the_same_architecture_has_one_colour(checkout: Checkout) -> None:
    charts, configs = checkout.scripts["charts"], checkout.configs()
    styles: dict[str, set[int]] = {}
    for row in [*charts.bars(configs), *charts.curves(configs)]:
        styles.setdefault(row["architecture"], set()).add(row["style"])
    assert all(len(style) == 1 for style in styles.values())
    assert len(set.union(*styles.values())) == len(styles) > 1
