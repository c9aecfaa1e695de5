"""Warnings of a run that goes wrong: what is seen, for how long, and what people do about it."""

from __future__ import annotations

import math
import sys
from bisect import insort
from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from statistics import fmean, median

import torch
from torch import Tensor

from genzoo.data.fitting import ImageDataset
from genzoo.data.folder import FolderImages
from genzoo.training.callbacks import Callback, Lines, Run
from genzoo.training.run_folder import ALARMS, METRICS, VARIETY, number, read_lines

__all__ = ["FIGURES", "PICTURES", "STEPS", "Alarms", "Gradients", "Window", "ranking", "spread"]

FIGURES, STEPS = 20, 1000
"""A window has so many lines of figures and spans so many steps at the least."""
PICTURES = 3
"""Of samples it has so many previews, and spans as many steps.

How samples vary and a discriminator ranks is looked at after the first `STEPS`: until then it wins
in many a run that becomes a good one, and networks draw what they were built with.
"""

# What raises an alarm, and what ends it: between the two it stays as it is.
_WINS, _WINS_NO_MORE = 0.995, 0.99  # of all pairs ranked rightly; a guess gets 0.5
_LOSES, _LOSES_NO_MORE = 0.45, 0.48  # networks in equilibrium stay above 0.5
_TIE = 1e-3  # from 0.5 in every line, where chance would not be so exact: all logits are alike
_ALIKE, _ALIKE_NO_MORE = 0.5, 0.6  # of the distance between real images
_VANISH, _VANISH_NO_MORE = 1 / 1000, 1 / 300  # of the median norm before the window
_EXPLODE, _EXPLODE_NO_MORE = 100, 30
_NOTHING = 1e-8  # a norm that Adam's eps outweighs

_OF_A_CLASS, _FEWEST = 32, 8  # real images that a class is judged by
_LOOKED_AT, _MOST_LOOKED_AT = 1000, 20_000  # for so many of a class, and for so few

_REMEDIES = {
    "discriminator-wins": (
        "Lower training.optimizers.discriminator.lr, or .generator.lr if its samples leap about; "
        "raise objective.config.penalties.r1; or set objective.config.augmentation, "
        ".instance_noise or .label_smoothing."
    ),
    "discriminator-loses": (
        "Raise training.optimizers.discriminator.lr (lower it if its losses leap) or "
        "objective.config.discriminator_steps, or set objective.config.discriminators to 2 or more."
    ),
    "gradients-vanish": (
        "Lower training.optimizers.{phase}.lr, which may have driven a network where it is flat, "
        "or choose another objective.config.loss or architecture."
    ),
    "gradients-explode": (
        "Lower training.optimizers.{phase}.lr, or set training.clip_norm or training.clip_value."
    ),
}
_MORE_VARIETY = {
    "adversarial": (
        "Lower training.optimizers.generator.lr, set objective.config.loss to relativistic with "
        "penalties.r1 and .r2, or objective.config.discriminators to 2 or more."
    ),
    "variational": "Lower objective.config.beta, or raise .free_bits or .warmup_steps.",
}
_ANY_VARIETY = "Lower training.optimizer.lr, raise training.batch_size, or start with another seed."


class Window:
    """The last values of something: so many, over so many steps, at the least."""

    def __init__(self, count: int, steps: int, start: int = 0) -> None:
        self._count, self._steps, self._gap = count, steps, max(1, steps // count)
        self._before = self._last = start
        self._held: deque[tuple[int, float]] = deque()
        """Each value, and the step before those that it tells of."""

    def add(self, step: int, value: float) -> list[float]:
        """Take in a value; return those that are no longer of the window."""
        self._held.append((self._last, value))
        self._before, self._last, gone = self._last, step, []
        while len(self._held) > self._count and step - self._held[1][0] >= self._steps:
            gone.append(self._held.popleft()[1])
        return gone

    @property
    def span(self) -> int:
        """Steps."""
        return self._last - self._held[0][0] if self._held else 0

    @property
    def values(self) -> list[float]:
        """What is in it; nothing before it is full, nor where too little is new to look again."""
        full = len(self._held) >= self._count and self.span >= self._steps
        due = self._last // self._gap > self._before // self._gap
        return [value for _, value in self._held] if full and due else []


def ranking(window: Window, active: Collection[str]) -> dict[str, str]:
    """Return what is wrong with the accuracies in a window, by alarm, "" where nothing is.

    `active` are the alarms that have been raised: they take more to end than not to begin.
    """
    if not (values := window.values):
        return {}
    share, span = fmean(values), f"over the last {window.span:,} steps"
    winning = _WINS_NO_MORE if "discriminator-wins" in active else _WINS
    losing = _LOSES_NO_MORE if "discriminator-loses" in active else _LOSES
    wins = f"the discriminator wins: {span} it ranked {100 * share:.1f}% of all pairs rightly."
    loses = f"the discriminator loses: {span} it ranked {100 * share:.1f}% of all pairs rightly."
    if alike := all(abs(value - 0.5) < _TIE for value in values):
        loses = f"the discriminator loses: {span} it told nothing from anything."
    return {
        "discriminator-wins": wins if share >= winning else "",
        "discriminator-loses": loses if share <= losing or alike else "",
    }


class Gradients:
    """The gradient norms of a phase, beside what they have been up to then."""

    def __init__(self, phase: str) -> None:
        self._phase = phase
        self._window = Window(FIGURES, STEPS)
        self._earlier: list[float] = []
        """Sorted, and without those of a time that an alarm was on."""

    def judge(self, step: int, norm: float, active: Collection[str]) -> dict[str, str]:
        """Return what is wrong, by alarm, "" where nothing is."""
        vanish, explode = (f"gradients-{what}/{self._phase}" for what in ("vanish", "explode"))
        gone = self._window.add(step, norm)
        if not {vanish, explode} & set(active):
            for value in gone:
                insort(self._earlier, value)
        if not (values := self._window.values):
            return {}
        norm = median(values)
        known = len(self._earlier) >= FIGURES
        usual = self._earlier[len(self._earlier) // 2] if known else norm
        low = _VANISH_NO_MORE if vanish in active else _VANISH
        high = _EXPLODE_NO_MORE if explode in active else _EXPLODE
        text = (
            f"the gradients of the phase {self._phase} {{}}: over the last {self._window.span:,} "
            f"steps their norm was {norm:.2g}{f', before that {usual:.2g}' if known else ''}."
        )
        return {
            vanish: text.format("vanish") if norm <= max(low * usual, _NOTHING) else "",
            explode: text.format("explode") if norm >= high * usual > 0 else "",
        }


def spread(images: Tensor, labels: list[int]) -> dict[int, float]:
    """Return the mean distance between two images of a class, by class with two or more.

    Images are (N, C, H, W) of any range; the distance is Euclidean, over pixels.
    """
    flat = images.detach().flatten(1).float()
    of_class = defaultdict(list)
    for row, label in enumerate(labels):
        of_class[label].append(row)
    return {
        label: float(torch.nn.functional.pdist(flat[rows]).mean())
        for label, rows in of_class.items()
        if len(rows) > 1
    }


def _real_spread(dataset: ImageDataset, classes: int) -> dict[int, float]:
    """Return the same of real images in [0, 1], for those of the first classes that have enough."""
    found: dict[int, list[Tensor]] = {label: [] for label in range(classes)}
    for looked_at, index in enumerate(_order(dataset, classes)[:_MOST_LOOKED_AT]):
        wanted = _OF_A_CLASS if looked_at < _LOOKED_AT else _FEWEST
        if all(len(kept) >= wanted for kept in found.values()):
            break
        image, label = dataset[index]
        kept = found.get(label or 0)
        if kept is not None and len(kept) < _OF_A_CLASS:
            kept.append(image)
    enough = {label: kept for label, kept in found.items() if len(kept) >= _FEWEST}
    if not enough:
        return {}
    labels = [label for label, kept in enough.items() for _ in kept]
    return spread(torch.stack([i for kept in enough.values() for i in kept]) / 255, labels)


def _order(dataset: ImageDataset, classes: int) -> list[int]:
    """Return images in the order of one shuffle, those of other classes left out where it can be.

    That is where files have labels before they are decoded, which takes by far the longest.
    """
    # A generator of its own: what training draws stays as it is.
    generator = torch.Generator().manual_seed(0)
    order: list[int] = torch.randperm(len(dataset), generator=generator).tolist()
    labels = dataset.labels if isinstance(dataset, FolderImages) else None
    return order if labels is None else [index for index in order if labels[index] < classes]


class Alarms(Callback):
    """Warns, on standard error and in `alarms.jsonl`, of what has long gone wrong.

    Once each, until it is over: a discriminator that wins or loses outright, samples that differ
    less than real images do, gradients that vanish or explode.
    """

    def __init__(self) -> None:
        self._active: set[str] = set()
        self._accuracy = Window(FIGURES, STEPS, start=STEPS)
        self._gradients: dict[str, Gradients] = {}
        self._real: dict[int, float] | None = None

    def on_start(self, run: Run) -> None:
        """Go on from the figures and alarms that a resumed run has had."""
        self._lines, self._ratios = Lines(run.folder / ALARMS), Lines(run.folder / VARIETY)
        for lines in (self._lines, self._ratios):
            if lines.path.is_file():
                lines.start(run)
        for row in read_lines(run.folder / METRICS):
            numbers = {key: value for key in row if (value := number(row, key)) is not None}
            self._change(self._judge(row["step"], numbers))
        before = read_lines(self._ratios.path)
        self._variety = Window(PICTURES, STEPS, start=STEPS if before else max(run.step, STEPS))
        for row in before:
            if (ratio := number(row, "ratio")) is not None:
                self._variety.add(row["step"], ratio)
        told = {str(row.get("alarm")): row.get("state") for row in read_lines(self._lines.path)}
        self._active = {alarm for alarm, state in told.items() if state == "raised"}

    def on_figures(self, run: Run, figures: Mapping[str, float]) -> None:
        """Look at how the discriminator ranks, and at gradients."""
        self._tell(run, self._judge(run.step, figures))

    def on_step(self, run: Run) -> None:
        """Look at the samples of a preview."""
        if run.preview_is_due and run.step >= STEPS and run.dataset is not None:
            columns = run.preview_columns if run.model.classes else 1
            if self._real is None:
                self._real = _real_spread(run.dataset, columns)
            images = run.preview()
            drawn = spread(images, [i % columns for i in range(len(images))])
            ratios = {label: drawn[label] / real for label, real in self._real.items() if real}
            if ratios:
                label = min(ratios, key=lambda label: ratios[label])
                whose = None if run.model.classes is None else label
                self._ratios.append(run, {"class": whose, "ratio": ratios[label]})
                self._tell(run, self._judge_variety(run, ratios[label], label))

    def _judge(self, step: int, figures: Mapping[str, float]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in figures.items():
            phase, _, figure = name.rpartition("/")
            if not math.isfinite(value):
                continue  # as the norm of half-precision gradients that overflow is, now and then
            if name == "discriminator/accuracy" and step > STEPS:
                self._accuracy.add(step, value)
                found |= ranking(self._accuracy, self._active)
            elif figure == "grad_norm":
                watched = self._gradients.setdefault(phase, Gradients(phase))
                found |= watched.judge(step, value, self._active)
        return found

    def _judge_variety(self, run: Run, ratio: float, label: int) -> dict[str, str]:
        self._variety.add(run.step, ratio)
        if not (values := self._variety.values):
            return {}
        whose = "samples" if run.model.classes is None else f"samples of the class {label}"
        text = (
            f"{whose} are alike: over the last {self._variety.span:,} steps they differed "
            f"{values[-1]:.2g} times as much as real images do."
        )
        limit = _ALIKE_NO_MORE if "samples-alike" in self._active else _ALIKE
        return {"samples-alike": text if max(values) <= limit else ""}

    def _tell(self, run: Run, judged: Mapping[str, str]) -> None:
        for alarm in self._change(judged):
            state, message = "over", ""
            if wrong := judged[alarm]:
                state, message = "raised", f"{wrong}\n{_remedy(alarm, run)}"
                print(f"genzoo: step {run.step:,}: {message}", file=sys.stderr)
            self._lines.append(run, {"alarm": alarm, "state": state, "message": message or None})

    def _change(self, judged: Mapping[str, str]) -> list[str]:
        """Take note of what began and what ended; return it."""
        changed = [
            alarm for alarm, wrong in judged.items() if bool(wrong) != (alarm in self._active)
        ]
        self._active ^= set(changed)
        return changed


def _remedy(alarm: str, run: Run) -> str:
    kind, _, phase = alarm.partition("/")
    if kind == "samples-alike":
        return _MORE_VARIETY.get(run.config.objective.name, _ANY_VARIETY)
    return _REMEDIES[kind].format(phase=phase)
