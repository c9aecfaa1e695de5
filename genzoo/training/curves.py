"""The curves of a run: what they show, in a terminal and as a picture. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genzoo.errors import ConfigError, OutputError
from genzoo.files import atomic_file
from genzoo.training.run_folder import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLOURS", "Panel", "draw_picture", "draw_text", "log_ticks", "panels"]

# Okabe and Ito's colours, which people with any kind of colour vision tell apart, less yellow,
# which is too light on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")

_LINES = ("-", "--", ":", "-.")
_INKS = (33, 208, 35, 175)  # the nearest of a terminal's 256 that show on black and on white
_MARKS = ("braille", "x", "o", "+")  # where there is no colour

_OF_PHASES = {
    "loss": "loss",
    "accuracy": "accuracy",
    "grad_norm": "gradient norm",
    "lr": "learning rate",
}
_LOGARITHMIC = frozenset({"gradient norm", "FID"})
_HEIGHT, _WIDEST = 12, 120  # lines and columns of a panel in a terminal
_TICKS = 5  # gaps between those of an axis
_MOST_TICKS, _FEWEST_TICKS = 7, 3  # in a picture
_LARGEST, _SMALLEST = 1e39, 1e-45  # of float32, which all figures are means of
_DPI, _COLUMNS, _PANEL = 150, 2, (5.0, 2.6)  # of a picture; inches


@dataclass(frozen=True)
class Panel:
    """Curves over the steps that share an axis."""

    title: str
    curves: Mapping[str, Sequence[tuple[int, float]]]
    """Steps and values, by name: that of the phase, or none where there is one alone."""

    @property
    def logarithmic(self) -> bool:
        """Whether the axis is; no value is then 0 or less."""
        return self.title in _LOGARITHMIC


def panels(
    metrics: Iterable[Mapping[str, Any]], evaluations: Iterable[Mapping[str, Any]] = ()
) -> list[Panel]:
    """Return what there is to show of the rows of metrics.jsonl and evaluations.jsonl.

    Losses, accuracies, gradient norms and learning rates by phase, images a second, FID.
    """
    found: dict[str, dict[str, list[tuple[int, float]]]] = {
        title: {} for title in (*_OF_PHASES.values(), "images a second", "FID")
    }
    for title, name, step, value in (*_points(metrics), *_points(evaluations)):
        if value > 0 or title not in _LOGARITHMIC:
            found[title].setdefault(name, []).append((step, value))
    return [Panel(title, curves) for title, curves in found.items() if curves]


def _points(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, int, float]]:
    for row in rows:
        for key in row:
            phase, _, figure = key.rpartition("/")
            title = {"images_per_second": "images a second", "fid": "FID"}.get(key)
            if phase:
                title = _OF_PHASES.get(figure)
            if title and (found := _drawable(row, key)) is not None:
                yield title, phase, row["step"], found


def _drawable(row: Mapping[str, Any], key: str) -> float | None:
    """Return a figure that an axis can reach to; None where it is none."""
    value = number(row, key)
    if value is None or abs(value) > _LARGEST:
        return None
    return value if abs(value) >= _SMALLEST else 0.0


def draw_text(shown: Iterable[Panel], width: int, *, colour: bool) -> str:
    """Return panels as text, at most `width` characters wide, with ANSI colours or without."""
    import plotext  # type: ignore[import-untyped]

    parts = []
    for panel in shown:
        plotext.clear_figure()
        plotext.theme("clear")
        plotext.limit_size(False, False)  # to the terminal, which may be another than ours
        plotext.plotsize(min(width, _WIDEST), _HEIGHT)
        legend = []
        for place, (name, points) in enumerate(panel.curves.items()):
            ink = {"color": _INKS[place % len(_INKS)]} if colour else {}
            mark = "braille" if colour else _MARKS[place % len(_MARKS)]
            plotext.plot(*zip(*points, strict=True), marker=mark, **ink)
            sign = plotext.colorize("━━", ink["color"]) if colour else mark.replace("braille", "⠒⠒")
            legend.append(f"{sign} {name}" if name else "")
        if panel.logarithmic:
            plotext.yscale("log")
        ticks = _ticks(panel)
        plotext.xticks(ticks, [f"{tick:,}" for tick in ticks])
        drawn = plotext.build().rstrip("\n")
        text = drawn if colour else plotext.uncolorize(drawn)
        parts.append("  ".join([panel.title, *legend]).rstrip() + f"\n{text}")
    return "\n\n".join(parts)


def _ticks(panel: Panel) -> list[int]:
    """Return round numbers of steps, some five of them."""
    steps = [step for points in panel.curves.values() for step, _ in points]
    first, last = min(steps), max(steps)
    gap = round(_gap(max(1, (last - first) / _TICKS)))
    return list(range(-(-first // gap) * gap, last + 1, gap)) or [first]


def _gap(least: float) -> float:
    """Return the first of 1, 2 or 5 times a power of ten that is so large."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)


def log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers for a logarithmic axis: at any height, some three to seven of them."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for digits in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [d * 10.0**p for p in decades for d in digits if low <= d * 10.0**p <= high]
        if len(ticks) <= _MOST_TICKS:
            break
    if len(ticks) >= _FEWEST_TICKS:
        return ticks[:: -(-len(ticks) // _MOST_TICKS)]
    gap = _gap((high - low) / _TICKS)  # so short an axis is all but linear
    return [place * gap for place in range(math.ceil(low / gap), math.floor(high / gap) + 1)]


def draw_picture(shown: Sequence[Panel], path: Path, caption: str) -> None:
    """Draw panels as a PNG, two in a row.

    Raises ConfigError where the extra genzoo[plots] is not installed, OutputError where there is
    nothing to draw or the file cannot be written.
    """
    if not shown:
        raise OutputError(
            f"{caption} has no figures to draw yet.",
            hint="They come every training.log_every steps.",
        )
    try:  # an extra, so imported where it is asked for
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(
            "matplotlib is not installed.", hint="pip install 'genzoo[plots]'"
        ) from None
    rows = -(-len(shown) // _COLUMNS)
    figure = Figure(
        figsize=(_COLUMNS * _PANEL[0], rows * _PANEL[1] + 0.4),
        dpi=_DPI,
        facecolor="white",
        layout="constrained",
    )
    figure.suptitle(caption, x=0.01, ha="left", fontweight="bold")
    places = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
    for axes, panel in zip(places, shown, strict=False):
        _draw(axes, panel)
    for axes in places[len(shown) :]:
        axes.set_axis_off()
    with atomic_file(path) as beside:
        # Without the version of matplotlib, which would make another file of the same picture.
        figure.savefig(beside, format="png", metadata={"Software": None})


def _draw(axes: Axes, panel: Panel) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter

    for place, (name, points) in enumerate(panel.curves.items()):
        axes.plot(
            *zip(*points, strict=True),
            color=COLOURS[place % len(COLOURS)],
            linestyle=_LINES[place % len(_LINES)],
            marker="o" if len(points) <= 20 else "",
            markersize=3,
            linewidth=1.3,
            label=name,
        )
    if panel.logarithmic:
        axes.set_yscale("log")
        axes.set_yticks(log_ticks(*axes.get_ylim()))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    elif panel.title == "accuracy":
        axes.set_ylim(-0.02, 1.02)
        axes.axhline(0.5, color="0.5", linewidth=0.8, zorder=1)  # what a guess gets
    else:
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0), max(high, 0))
    axes.set_title(panel.title, loc="left", fontsize=10)
    axes.set_xlabel("step", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(_MOST_TICKS, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(color="0.88", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if any(panel.curves):
        axes.legend(frameon=False, fontsize=8, loc="best")
