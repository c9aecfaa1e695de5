"""docs/models.md: every model of the zoo, from the zoo configs alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import charts
from wording import compact, duration, figure, short, table

from genzoo.evaluation.features import made_for
from genzoo.evaluation.protocol import CURVE_SAMPLES
from genzoo.registry.config import EvaluatedConfig, TrainedConfig, ZooConfig

__all__ = ["models_page"]

_HEAD = """\
<!-- written by `make docs` from the zoo configs: change those, or docs/models.py -->
# The models

Every model with weights, best first within its dataset. The figures are what `genzoo evaluate`
measures, each beside its floor: the same for as many real training images.
[evaluation.md](evaluation.md) says what they tell and what they do not; compare only models of the
same dataset. The pictures are drawn from the weights that ship, with seed 0."""
_BARS = """\
![FID over floor of each model](images/zoo.png)

Bars start at 1, where real training images are."""
_CURVES = """\
![FID over floor of each model while it was trained](images/training.png)

What each step of training brought, for the models that were trained with `--evaluate-every` and
from the step where that began. These figures and their floors are of {samples:,} samples, or of as
many as a small dataset has training images, so they are not those of the cards."""
_TITLES = {
    "fid": "FID",
    "fid_ratio": "FID / floor",
    "kid": "KID",
    "nll": "NLL, nats per image, at most",
    "nll_error": "standard error of the NLL",
    "bits_per_dim": "bits per dimension, at most",
    "nearest_train": "distance to the nearest training image",
    "copied": "copies of training images",
}


def models_page(configs: Mapping[str, ZooConfig]) -> str:
    """Return the whole page."""
    ranked = sorted(configs.values(), key=_rank)
    parts = [_HEAD, _overview(ranked)]
    parts += [_BARS] if charts.bars(configs) else []
    parts += [_CURVES.format(samples=CURVE_SAMPLES)] if charts.curves(configs) else []
    parts += [part for config in ranked for part in _section(config)]
    return "\n\n".join(parts) + "\n"


def _rank(config: ZooConfig) -> tuple[str, float, str]:
    ratio = config.measured.figures.get("fid_ratio") if config.measured else None
    return config.dataset.name, float("inf") if ratio is None else ratio, config.name


def _overview(configs: list[ZooConfig]) -> str:
    shown = {
        "FID": "fid",
        "FID / floor": "fid_ratio",
        "label agreement": "label_agreement",
        "coverage": "coverage",
    }
    if any(config.measured and "nll" in config.measured.figures for config in configs):
        shown["NLL"] = "nll"
    rows = []
    for config in configs:
        figures = config.measured.figures if config.measured else {}
        rows.append(
            [
                f"[{config.name}](#{config.name})",
                f"`{config.dataset.name}`",
                *(figure(key, figures) for key in shown.values()),
                f"{config.weights.parameters:,}" if config.weights else "-",
                duration(config.trained.seconds) if config.trained else "-",
            ]
        )
    return table(["model", "data", *shown, "parameters", "training time"], rows)


def _section(config: ZooConfig) -> Iterator[str]:
    yield f"## {config.name}"
    yield f"![samples of {config.name}](images/{config.name}.png)"
    yield config.card.summary
    yield f'```python\nimport genzoo\n\nimages = genzoo.load("{config.name}").sample(64)\n```'
    if config.measured:
        yield from _worth(config, config.measured)
    else:
        yield f"Not measured yet: `genzoo evaluate {config.name} --write-card`."
    yield table(["", ""], _facts(config))


def _worth(config: ZooConfig, measured: EvaluatedConfig) -> Iterator[str]:
    rows = [
        [
            _TITLES.get(key, key.replace("_", " ")),
            figure(key, measured.figures),
            figure(key, measured.floor),
        ]
        for key in measured.figures
    ]
    yield table(["figure", "model", "floor"], rows)
    yield _protocol(config.name, measured)
    if measured.notes:
        yield "\n".join(f"- {note[:1].upper()}{note[1:]}." for note in measured.notes)
    for name, values in measured.by_class.items():
        title = f"{name.replace('_', ' ')} by class"
        rows = {"model": values, "floor": measured.floor_by_class.get(name, [])}
        shares = [
            [row, *("-" if value is None else f"{100 * value:.1f}%" for value in each)]
            for row, each in rows.items()
            if each
        ]
        yield table([title, *map(str, range(len(values)))], shares)


def _protocol(name: str, measured: EvaluatedConfig) -> str:
    """Return how it was measured, in one line, beginning with the command that does it again."""
    facts = measured.protocol
    command, parts = f"genzoo evaluate {name}", []
    if facts["extractor"] != made_for(str(facts["dataset"])):
        command += f" --extractor {facts['extractor']}"
    if "likelihood_images" in facts:
        k, images = facts.get("importance_samples"), facts["likelihood_images"]
        command += f" --importance-samples {k}" if k else ""
        command += f" --likelihood-images {images}"
        how = f"by {_number(k)} importance samples each" if k else "exactly"
        parts = [f"NLL of {_number(images)} {facts['likelihood_of']} {how}"]
    parts = [
        f"{_number(facts['samples'])} samples, seed {facts['seed']}, "
        f"against the {_number(facts['reference_images'])} images of the {facts['split']} split "
        f"of `{facts['dataset']}`",
        f"extractor `{facts['extractor']}`, sha256 {short(facts['extractor_sha256'])}",
        *parts,
        f"genzoo {facts['genzoo']}",
        measured.date,
    ]
    return f"`{command}`: {'; '.join(parts)}."


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _facts(config: ZooConfig) -> Iterator[list[str]]:
    card, training = config.card, config.training
    image = f"{config.image.channels}x{config.image.height}x{config.image.width}"
    classes = f"{config.classes} classes" if config.classes else "unconditional"
    yield ["images", f"{image}, {classes}"]
    yield ["architecture", _part(config.architecture.name, config.architecture.config)]
    yield ["objective", _part(config.objective.name, config.objective.config)]
    optimizers = {"": training.optimizer, **training.optimizers}
    for phase, optimizer in optimizers.items():
        values = optimizer.model_dump(exclude_unset=True, exclude={"name"})
        yield [f"optimizer {phase}".strip(), _part(optimizer.name, values)]
    average = f"EMA {training.ema.decay:g}" if training.ema else "no EMA"
    yield [
        "training",
        f"{training.steps:,} steps of {training.batch_size} images, "
        f"{training.schedule.name} schedule, {average}",
    ]
    if config.trained:
        yield ["took", _took(config.trained)]
    if config.weights:
        size = f"{config.weights.size / 1e6:.1f} MB"
        yield ["weights", f"{size}, sha256 {short(config.weights.sha256)}"]
    yield ["recipe", f"[{config.name}.yaml](../zoo_configs/{config.name}.yaml)"]
    if card.paper:
        yield ["paper", _paper(card.paper)]
    yield ["licence", card.licence]
    yield ["dataset licence", f"{card.dataset_licence} (`{config.dataset.name}`)"]
    yield ["intended use", card.intended_use]
    if card.limitations:
        yield ["limitations", card.limitations]


def _part(name: str, values: Mapping[str, Any]) -> str:
    return f"`{name}`: {compact(values)}" if values else f"`{name}`"


def _took(trained: TrainedConfig) -> str:
    processes = f" in {trained.processes} processes" if trained.processes > 1 else ""
    return f"{duration(trained.seconds)} on {trained.machine}{processes}, {trained.date}"


def _paper(paper: str) -> str:
    kind, _, number = paper.partition(":")
    return f"[{paper}](https://arxiv.org/abs/{number})" if kind == "arXiv" else paper
