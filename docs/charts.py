"""The charts of the zoo: what they show, from the zoo configs, and how they are drawn.

Only drawing needs matplotlib.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genzoo.evaluation.protocol import CURVE_SAMPLES
from genzoo.files import atomic_file
from genzoo.registry.config import ZooConfig
from genzoo.training.curves import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["bars", "curves", "digest", "draw_bars", "draw_curves"]

Rows = list[dict[str, Any]]

_MARKERS = "osD^vPX"  # they say once more what the colours say
_LINES = ("-", "--", ":", "-.")
_DPI = 150


def bars(configs: Mapping[str, ZooConfig]) -> Rows:
    """Return a bar for each measured model, by dataset, best first."""
    rows = [
        {**_identity(config, configs), "fid_ratio": config.measured.figures["fid_ratio"]}
        for config in configs.values()
        if config.measured and "fid_ratio" in config.measured.figures
    ]
    return sorted(rows, key=lambda row: (row["dataset"], row["fid_ratio"], row["name"]))


def curves(configs: Mapping[str, ZooConfig]) -> Rows:
    """Return a curve for each model that was evaluated while it was trained, by dataset."""
    rows = []
    for config in configs.values():
        if config.trained and (ratios := config.trained.fid_ratio_by_step):
            steps = sorted(ratios)
            points = {
                "images": [step * config.training.batch_size for step in steps],
                "fid_ratio": [ratios[step] for step in steps],
                "samples": CURVE_SAMPLES,
            }
            rows.append({**_identity(config, configs), **points})
    return sorted(rows, key=lambda row: (row["dataset"], row["name"]))


def _identity(config: ZooConfig, configs: Mapping[str, ZooConfig]) -> dict[str, Any]:
    """Return what a model is; `style`, its architecture's place in the zoo, decides its colour."""
    architectures = sorted({other.architecture.name for other in configs.values()})
    return {
        "name": config.name,
        "architecture": config.architecture.name,
        "dataset": config.dataset.name,
        "style": architectures.index(config.architecture.name),
    }


def digest(rows: Rows) -> str:
    """Return a sha256 of what a chart shows."""
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def draw_bars(rows: Rows, path: Path) -> None:
    """Draw FID over floor, a bar for each model, as a PNG."""
    from matplotlib.patches import Patch

    groups = [(name, list(each)) for name, each in groupby(rows, lambda row: row["dataset"])]
    figure = _figure(8, 1.4 + 0.32 * len(rows) + 0.45 * len(groups))
    axes = figure.subplots()
    place, names = 0.0, {}
    for dataset, members in groups:
        names[place] = dataset
        for row in members:
            place += 1
            names[place] = row["name"]
            ratio = row["fid_ratio"]
            axes.barh(place, ratio - 1, left=1, color=_colour(row), height=0.7)
            axes.text(max(ratio, 1) * 1.03, place, f"{ratio:.3g}", va="center")
        place += 1.3
    axes.set_yticks(list(names), list(names.values()))
    for tick in axes.get_yticklabels():
        tick.set_fontweight("bold" if tick.get_text() in dict(groups) else "normal")
    axes.set_ylim(place - 0.8, -0.6)
    ratios = [row["fid_ratio"] for row in rows]
    axes.set_xlim(0.85 * min(1, *ratios), 1.4 * max(2, *ratios))
    _ratio_axis(axes, "x")
    axes.axvline(1, color="black", linewidth=1)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("FID / floor (log scale; 1 = real images)")
    kinds = {
        row["architecture"]: Patch(color=_colour(row), label=row["architecture"]) for row in rows
    }
    figure.legend(
        handles=[kinds[name] for name in sorted(kinds)],
        loc="outside upper center",
        ncols=len(kinds),
        frameon=False,
    )
    _save(figure, path, rows)


def draw_curves(rows: Rows, path: Path) -> None:
    """Draw FID over floor while models were trained, a panel for each dataset, as a PNG."""
    groups = [(name, list(each)) for name, each in groupby(rows, lambda row: row["dataset"])]
    figure = _figure(max(6.0, 4.2 * len(groups)), 5.0)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axes, (dataset, members) in zip(panels, groups, strict=True):
        drawn: list[int] = []
        for row in members:
            style = row["style"]
            axes.plot(
                [images / 1000 for images in row["images"]],
                row["fid_ratio"],
                color=_colour(row),
                marker=_MARKERS[style % len(_MARKERS)],
                markersize=4,
                linestyle=_LINES[drawn.count(style) % len(_LINES)],
                label=row["name"],
            )
            drawn.append(style)
        axes.axhline(1, color="black", linewidth=1)
        axes.set_title(dataset)
        axes.set_xlabel("images seen, thousands")
        axes.set_xlim(0, 1.05 * max(max(row["images"]) for row in members) / 1000)
        # Below: a curve that rises again would run through it anywhere above.
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)
    lowest = min(min(row["fid_ratio"]) for row in rows)
    panels[0].set_ylim(bottom=0.85 * min(1, lowest))
    for axes in panels:
        _ratio_axis(axes, "y")
    panels[0].set_ylabel(
        f"FID / floor on {rows[0]['samples']:,} samples\n(log scale; 1 = real images)"
    )
    _save(figure, path, rows)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    # White itself, not transparent: black text on a dark page would be lost.
    return Figure(figsize=(width, height), dpi=_DPI, facecolor="white", layout="constrained")


def _colour(row: Mapping[str, Any]) -> str:
    return COLOURS[row["style"] % len(COLOURS)]


def _ratio_axis(axes: Axes, which: str) -> None:
    """Make an axis logarithmic, with 1, 2, 5, 10, ... written out."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
    axis.grid(color="0.88")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _save(figure: Figure, path: Path, rows: Rows) -> None:
    with atomic_file(path) as beside:
        # Without the version of matplotlib, which would make another file of the same picture.
        facts = {"Software": None, "data_sha256": digest(rows)}
        figure.savefig(beside, format="png", metadata=facts)
