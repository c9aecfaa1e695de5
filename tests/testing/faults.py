"""Plugins with one planted fault each, and the check that is to find it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from genzoo.files import file_sha256
from genzoo.scaffolding import Kind


@dataclass(frozen=True)
class Fault:
    """A change of one file of what `genzoo new` writes, and which check says what is wrong."""

    what: str
    check: str
    file: str = ""
    old: str = ""
    new: str = ""
    kind: Kind = "architecture"
    also: frozenset[str] = frozenset()
    """Checks of other subjects, the networks that an objective trains say, that must fail then."""
    spoil: Callable[[Path, Path], None] | None = None
    """What is done to a model that is trained and published: to its YAML file and its weights."""

    def __str__(self) -> str:
        return self.what


PLUGIN, CONFIG, NETWORKS = "plugin.py", "config.py", "networks.py"
ZOO = "zoo/faulty-digits.yaml"
OBJECTIVE, DATASET, CALLBACK = "objective.py", "dataset.py", "callback.py"
PYPROJECT = "pyproject.toml"

_PROJECT = "        self.project = nn.Linear(inputs, math.prod(self.base))\n"
_FORWARD = '        """Return images (B, C, H, W) in [-1, 1]."""\n'
_CONFIG_LINE = '            config="genzoo_faulty.config:FaultyConfig",\n'


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def _wrong_hash(config: Path, weights: Path) -> None:
    _change(config, file_sha256(weights), "0" * 64)


def _cut_short(config: Path, weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-1])


def _missing(config: Path, weights: Path) -> None:
    weights.unlink()


def _of_nobodys_package(config: Path, weights: Path) -> None:
    _change(config, f"uri: {weights.name}", f"uri: pkg://genzoo_nobody/{weights.name}")


def _of_other_networks(config: Path, weights: Path) -> None:
    _change(config, "latent_dim: 32", "latent_dim: 16")


def _not_finite(config: Path, weights: Path) -> None:
    before = file_sha256(weights)
    with safe_open(weights, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: torch.full_like(file.get_tensor(name), torch.nan) for name in file.keys()}  # noqa: SIM118 - no mapping
    save_file(tensors, weights, metadata=metadata)
    _change(config, before, file_sha256(weights))


FAULTS = (
    # Of the distribution.
    Fault("raises at import", "import", PLUGIN, "import genzoo\n", "import genzoo\n\n1 / 0\n"),
    Fault(
        *("SystemExit at import", "import", PLUGIN),
        *("import genzoo\n", "import genzoo\n\nraise SystemExit\n"),
    ),
    Fault(
        *("a hook that returns no list", "hooks", PLUGIN),
        *('[Path(__file__).parent / "zoo"]', 'Path(__file__).parent / "zoo"'),
    ),
    Fault("a misspelt hook", "hooks", PLUGIN, "genzoo_zoo_configs", "genzoo_zoo_config"),
    Fault("no hook is marked as one", "hooks", PLUGIN, "@genzoo.hookimpl\n", ""),
    Fault(
        *("an old api_version", "api-version", PLUGIN),
        *(_CONFIG_LINE, f"{_CONFIG_LINE}            api_version=0,\n"),
    ),
    Fault("two owners of one name", "names", PLUGIN, 'name="faulty"', 'name="dcgan"'),
    Fault(
        "torch at import", "torch-free", PLUGIN, "import genzoo\n", "import torch\nimport genzoo\n"
    ),
    Fault(
        *("NumPy in the config", "torch-free", CONFIG),
        *("from pydantic", "import numpy\nfrom pydantic"),
    ),
    Fault("no licence of the code", "licence", PYPROJECT, 'license = "Apache-2.0"\n', ""),
    Fault(
        *("a licence that is unknown", "licence", PYPROJECT),
        *('license = "Apache-2.0"', 'license = "UNKNOWN"'),
    ),
    Fault(
        *("no requirement of genzoo", "requires-genzoo", PYPROJECT),
        *('"genzoo>=0.1,<0.2", ', ""),
    ),
    Fault("an unknown key in a zoo config", "zoo-configs", ZOO, "classes: 10", "klasses: 10"),
    Fault("a model's name that is taken", "zoo-configs", ZOO, "faulty-digits", "dcgan-mnist"),
    # Of the architecture.
    Fault(
        "no summary", "described", PLUGIN, "A small convolutional generator and discriminator.", ""
    ),
    Fault(
        *("a reference to nothing", "references", PLUGIN),
        *("genzoo_faulty.networks:build", "genzoo_faulty.networks:built"),
    ),
    Fault(
        *("a setting without a description", "config", CONFIG),
        *('    """Length Z of the latent."""\n', ""),
    ),
    Fault(
        *("a config of another kind", "config", CONFIG),
        *("FaultyConfig(Config)", "FaultyConfig(__import__('pydantic').BaseModel)"),
    ),
    Fault(
        *("a size that ends in a traceback", "sizes", NETWORKS),
        *("raise UnsupportedError(", "raise IndexError("),
    ),
    Fault(
        *("a refusal that names no size", "sizes", NETWORKS),
        *("{image.height}x{image.width} images", "such images"),
    ),
    Fault(
        *("no discriminator for the adversarial objective", "roles", NETWORKS),
        *(', "discriminator": Discriminator(image, config)}', "}"),
    ),
    Fault(
        "a wrong shape",
        "shapes",
        NETWORKS,
        "        return images\n",
        "        return images[..., 1:]\n",
    ),
    Fault(
        "a wrong type",
        "shapes",
        NETWORKS,
        "        return logits\n",
        "        return logits.double()\n",
    ),
    Fault(
        "NaN", "finite", NETWORKS, "        return images\n", "        return images + torch.nan\n"
    ),
    Fault(
        "a wrong range", "range", NETWORKS, "        return images\n", "        return images + 1\n"
    ),
    Fault("no tanh at the end", "range", NETWORKS, "            nn.Tanh(),\n", ""),
    Fault(
        *("a batch of one loses its dimension", "batch-of-one", NETWORKS),
        *("self.head(features).squeeze(1)", "self.head(features).squeeze()"),
    ),
    Fault(
        *("a parameter without a gradient", "gradients", NETWORKS),
        *(_PROJECT, f"{_PROJECT}        self.spare = nn.Linear(3, 3)\n"),
    ),
    Fault(
        *("a network whose output is detached", "gradients", NETWORKS),
        *("        return logits\n", "        return logits.detach()\n"),
    ),
    Fault(
        *("an in-place change of its input", "inputs-unchanged", NETWORKS),
        *(_FORWARD, f"{_FORWARD}        z.mul_(0.5)\n"),
    ),
    Fault(
        *("a non-deterministic eval", "deterministic", NETWORKS),
        *(_FORWARD, f"{_FORWARD}        z = z + torch.randn_like(z)\n"),
    ),
    Fault(
        *("a counter that runs in eval mode", "eval-changes-nothing", NETWORKS),
        _PROJECT,
        f"{_PROJECT}        self.register_buffer('calls', torch.zeros(()))\n"
        "        self.register_forward_pre_hook(lambda m, _: (m.calls.add_(1), None)[1])\n",
    ),
    Fault(
        *("state shared between images", "images-apart", NETWORKS),
        *("nn.GroupNorm(8, outputs)", "nn.BatchNorm2d(outputs, track_running_stats=False)"),
    ),
    Fault(
        *("a latent that is ignored", "inputs-matter", NETWORKS),
        *(_FORWARD, f"{_FORWARD}        z = torch.ones_like(z)\n"),
    ),
    Fault(
        *("labels ignored where classes are declared", "labels", NETWORKS),
        *("self.embedding(labels)], dim=1", "self.embedding(torch.zeros_like(labels))], dim=1"),
    ),
    Fault(
        *("weights by another generator than torch's", "reproducible", NETWORKS),
        *(_PROJECT, f"{_PROJECT}        self.project.bias.data += __import__('random').random()\n"),
    ),
    Fault(
        *("an unregistered buffer", "registered", NETWORKS),
        *(_PROJECT, f"{_PROJECT}        self.scale = torch.ones(1)\n"),
    ),
    Fault(
        *("a tensor tied to another", "untied", NETWORKS),
        *(_PROJECT, f"{_PROJECT}        self.twin = self.project\n"),
    ),
    Fault(
        *("a network that nothing trains", "training", NETWORKS),
        _PROJECT,
        f"{_PROJECT}        self.register_forward_pre_hook("
        "lambda m, _: (m.requires_grad_(False), None)[1])\n",
    ),
    Fault(
        *("state that a checkpoint does not hold", "resume", NETWORKS),
        *(
            _FORWARD,
            f"{_FORWARD}        self.calls = getattr(self, 'calls', 0) + int(self.training)\n"
            "        z = z * (1 + 0.1 * self.calls)\n",
        ),
    ),
    # Of the model.
    Fault("no licence of the weights", "licence", ZOO, "licence: Apache-2.0", "licence: ''"),
    Fault("another licence of the images", "licence", ZOO, "CC-BY-4.0", "MIT"),
    Fault("requirements that leave it out", "requires", ZOO, "[genzoo-faulty]", "[]"),
    Fault(
        *("a setting out of bounds", "config", ZOO, "latent_dim: 32", "latent_dim: 0"),
    ),
    Fault("a wrong hash", "weights", spoil=_wrong_hash),
    Fault("weights cut short", "weights", spoil=_cut_short),
    Fault("weights left out of the wheel", "weights", spoil=_missing),
    Fault("weights in nobody's package", "weights", spoil=_of_nobodys_package),
    Fault("weights of other networks", "weights", spoil=_of_other_networks),
    Fault("weights that are NaN", "weights", spoil=_not_finite),
    # Of an objective.
    Fault(
        *("a phase of a role that is nobody's", "phases", OBJECTIVE),
        *('trains=frozenset({"generator"})', 'trains=frozenset({"generater"})', "objective"),
        frozenset({"training"}),
    ),
    Fault(
        *("a loss for each image", "losses", OBJECTIVE),
        *(".sum() / len(fake) ** 2", ".sum(1) / len(fake)", "objective"),
        frozenset({"training"}),
    ),
    Fault(
        *("a figure that is not detached", "losses", OBJECTIVE),
        *('{"loss": loss.detach()}', '{"loss": loss}', "objective"),
    ),
    Fault(
        *("a loss that draws by itself", "noise", OBJECTIVE),
        *("        return loss, {", "        loss = loss * torch.rand(())\n        return loss, {"),
        "objective",
    ),
    Fault(
        *("samples of a wrong shape", "samples", OBJECTIVE),
        *("        return self._draw(networks, noise, labels)\n",),
        *("        return self._draw(networks, noise, labels)[0]\n", "objective"),
    ),
    Fault(
        *("samples that leave the range", "samples", OBJECTIVE),
        *("        return self._draw(networks, noise, labels)\n",),
        *("        return 1 + self._draw(networks, noise, labels)\n", "objective"),
    ),
    Fault(
        *("samples that the seed does not decide", "seeds", OBJECTIVE),
        *("        return self._draw(networks, noise, labels)\n",),
        "        images = self._draw(networks, noise, labels)\n"
        "        return (images + 0.1 * torch.randn_like(images)).clamp(-1, 1)\n",
        "objective",
    ),
    Fault(
        *("images of no range", "range", NETWORKS, "            nn.Tanh(),\n", "", "objective"),
    ),
    # Of other parts.
    Fault(
        *("images that are no bytes", "images", DATASET),
        *("mul(255).to(torch.uint8)", "float()", "dataset"),
    ),
    Fault(
        *("labels beyond the classes", "images", DATASET),
        *("pictures, labels, _NAMES", "pictures, labels + 3, _NAMES", "dataset"),
    ),
    Fault(
        *("other images each time", "images", DATASET),
        *('manual_seed(0 if split == "train" else 1)', "manual_seed(torch.seed())", "dataset"),
    ),
    Fault(
        *("no licence of the images", "licence", PLUGIN),
        *('licence="Apache-2.0"', 'licence=""', "dataset"),
    ),
    Fault(
        *("an error while it watches", "run", CALLBACK),
        *("        if self.warned or", "        if self.warmed or", "callback"),
    ),
    Fault(
        *(
            "an error at an evaluation",
            "run",
            CALLBACK,
            "    def on_step(self, run: Run) -> None:\n",
        ),
        "    def on_evaluation(self, run: Run, figures: dict) -> None:\n        1 / 0\n\n"
        "    def on_step(self, run: Run) -> None:\n",
        "callback",
    ),
    Fault(
        *("a callback that changes what it watches", "run", CALLBACK, "        if self.warned or"),
        "        for parameter in run.model.parameters():\n            parameter.data.mul_(0.5)\n"
        "        if self.warned or",
        "callback",
    ),
)


@dataclass(frozen=True)
class Unusual:
    """Changes of one file of what `genzoo new` writes, after which it is as correct as before."""

    what: str
    changes: tuple[tuple[str, str], ...]
    file: str = NETWORKS
    kind: Kind = "architecture"
    skipped: frozenset[str] = frozenset()
    """Checks that have nothing to look at then."""

    def __str__(self) -> str:
        return self.what


_LAYERS = "self.layers(self.project(z).view(-1, *self.base))"
_HEAD = "        self.head = nn.Linear(features, 1)\n"
UNUSUAL = (
    Unusual(
        "dropout in the generator",
        (("            nn.Tanh(),\n", "            nn.Dropout(0.5),\n            nn.Tanh(),\n"),),
    ),
    Unusual(
        "stochastic depth",
        (
            (_PROJECT, f"{_PROJECT}        self.skipped = nn.Linear(inputs, inputs)\n"),
            (
                f"        images: Tensor = {_LAYERS}\n",
                "        if not self.training or torch.rand(()) < 0.5:\n"
                "            z = z + self.skipped(z)\n"
                f"        images: Tensor = {_LAYERS}\n",
            ),
        ),
    ),
    Unusual(
        "weight normalization of the old kind",
        ((_HEAD, "        self.head = nn.utils.weight_norm(nn.Linear(features, 1))\n"),),
    ),
    Unusual(
        "spectral normalization of the old kind",
        ((_HEAD, "        self.head = nn.utils.spectral_norm(nn.Linear(features, 1))\n"),),
    ),
    Unusual(
        "batch normalization of latents",
        (
            (_PROJECT, f"{_PROJECT}        self.norm = nn.BatchNorm1d(inputs)\n"),
            (_LAYERS, _LAYERS.replace("self.project(z)", "self.project(self.norm(z))")),
        ),
    ),
    Unusual(
        "buffers cut from one tensor",
        (
            (
                _PROJECT,
                f"{_PROJECT}        left, right = torch.ones(2, 3).unbind()\n"
                "        self.register_buffer('left', left)\n"
                "        self.register_buffer('right', right)\n",
            ),
        ),
    ),
    Unusual(
        "a frozen part",
        ((_PROJECT, f"{_PROJECT}        self.project.requires_grad_(False)\n"),),
    ),
    Unusual(
        "only for images without classes",
        (
            (
                "    return {",
                "    if image.classes and image.height != 8:\n"  # but its model, which has 8
                "        raise UnsupportedError('it knows no classes.', hint='Use none.')\n"
                "    return {",
            ),
        ),
        skipped=frozenset({"labels"}),
    ),
    Unusual(
        "only for images in colour",
        (
            (
                "    return {",
                "    if image.channels != 3 and image.height != 8:\n"  # but its model, which has 8
                "        raise UnsupportedError('it is for colour.', hint='Use 3 channels.')\n"
                "    return {",
            ),
        ),
    ),
)
"""Plugins that are correct, of kinds that a check might take for broken."""
