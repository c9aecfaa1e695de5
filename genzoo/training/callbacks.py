"""What watches a run: progress bar, previews, metrics file, TensorBoard, and what plugins add."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor

from genzoo.data.fitting import ImageDataset
from genzoo.errors import ConfigError, OutputError
from genzoo.files import write_text
from genzoo.images import grid, save_frames, save_image
from genzoo.model import Model
from genzoo.registry.config import ZooConfig
from genzoo.training import run_folder

__all__ = ["Callback", "Lines", "MetricsFile", "Previews", "ProgressBar", "Run", "TensorBoard"]


@dataclass
class Run:
    """A training run as callbacks see it."""

    config: ZooConfig
    folder: Path
    _model: Model
    step: int = 0
    """Steps done."""
    best: int | None = None
    """The step of the lowest FID so far; None without evaluations."""
    seconds: float = 0.0
    """Seconds spent training, over all sessions."""
    speed: float = 0.0
    """Images a second, since the last figures."""

    announce: Callable[..., None] = field(default=lambda event, *arguments: None, repr=False)
    """Tells every callback of the run that an event, by its method's name, has come."""

    dataset: ImageDataset | None = field(default=None, repr=False)
    """What it trains on."""

    lend: Callable[[], None] = field(default=lambda: None, repr=False)
    """Called before the model is handed out, which may share its networks with the training."""

    _preview: tuple[int, Tensor] | None = field(default=None, init=False, repr=False)

    @property
    def model(self) -> Model:
        """The networks that sample, averaged where the config says so; in eval mode."""
        self.lend()
        return self._model

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.config.training.steps

    @property
    def preview_is_due(self) -> bool:
        """Whether this is a step that shows a preview: every `preview_every`, and the last."""
        return self.step % self.config.training.preview_every == 0 or self.step == self.steps

    @property
    def preview_columns(self) -> int:
        """How many images of a preview stand in a row: one for each class, ten at most."""
        return 8 if self.model.classes is None else min(self.model.classes, 10)

    def preview(self) -> Tensor:
        """Return the images (N, C, H, W) in [0, 1] of fixed noise, eight rows of them.

        They are drawn once a step, however many callbacks ask.
        """
        if self._preview is None or self._preview[0] != self.step:
            columns = self.preview_columns
            labels = None if self.model.classes is None else range(columns)
            images = self.model.sample(8 * columns, seed=Previews.seed, labels=labels)
            self._preview = self.step, images
        return self._preview[1]


class Callback:
    """Base class: override what you need. Only the main process calls it.

    Of one step, figures come first, then the step, an evaluation, a checkpoint.
    """

    def on_start(self, run: Run) -> None:
        """Before the first step; `run.step` is not 0 where the run was resumed."""

    def on_step(self, run: Run) -> None:
        """After every step."""

    def on_figures(self, run: Run, figures: Mapping[str, float]) -> None:
        """After every `log_every` steps: each figure's mean over them."""

    def on_checkpoint(self, run: Run, folder: Path) -> None:
        """After a checkpoint was written."""

    def on_evaluation(self, run: Run, figures: Mapping[str, float | None]) -> None:
        """After an evaluation by `--evaluate-every`: `fid`, `fid_ratio`, `coverage`, `samples`."""

    def on_end(self, run: Run) -> None:
        """After the last step, or when the run stops before it, `on_start` or not."""


class ProgressBar(Callback):
    """A bar with losses, images a second and time left; plain lines where there is no terminal."""

    seconds_between_lines = 10.0

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._live: Live | None = None
        self._printed = -math.inf

    def on_start(self, run: Run) -> None:
        """Show the bar."""
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TextColumn("{task.completed}/{task.total}"),
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
                expand=True,
            )
            self._task = self._bar.add_task(
                run.config.name, total=run.steps, completed=run.step, speed=""
            )
            # The losses have a line of their own: an objective may have any number of phases.
            self._live = Live(Group(self._bar, Text()), console=self.console)
            self._live.start()

    def on_step(self, run: Run) -> None:
        """Move the bar."""
        if self._live:
            self._bar.update(self._task, completed=run.step)

    def on_figures(self, run: Run, figures: Mapping[str, float]) -> None:
        """Show losses and speed."""
        losses = [f"{name} {value:.3f}" for name, value in figures.items() if name.endswith("loss")]
        speed = f"{run.speed:.0f} images/s"
        now = time.monotonic()
        if self._live:
            self._bar.update(self._task, speed=speed)
            self._live.update(Group(self._bar, Text("  ".join(losses))))
        elif now - self._printed >= self.seconds_between_lines or run.step == run.steps:
            self._printed = now
            left = (run.steps - run.step) * run.config.training.batch_size / max(run.speed, 1e-9)
            text = " ".join([*losses, speed, f"{left:.0f} s left"])
            line = f"{run.config.name} {run.step}/{run.steps} {text}"
            self.console.print(line, soft_wrap=True, markup=False)

    def on_end(self, run: Run) -> None:
        """Leave the bar as it is."""
        if self._live:
            self._live.stop()


class Lines:
    """A file of JSON lines, each with its `step`, that a resumed run goes on with."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, run: Run) -> None:
        """Start the file, or drop the lines that a resumed run is about to write again."""
        text = self.path.read_text("utf-8", "replace") if self.path.is_file() else ""
        lines = [
            line
            for line in text.splitlines()
            if (row := run_folder.parse_row(line)) is not None and row["step"] <= run.step
        ]
        write_text(self.path, "".join(f"{line}\n" for line in lines))

    def append(self, run: Run, figures: Mapping[str, float | str | None]) -> None:
        """Append a line; raises OutputError where it cannot be written."""
        row = {
            "step": run.step,
            "seconds": round(run.seconds, 3),
            # JSON has no NaN.
            **{name: _finite(value) for name, value in figures.items()},
        }
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise OutputError(
                f"cannot write {self.path}: {error.strerror}.",
                hint="Make room, then go on with --resume.",
            ) from error


class MetricsFile(Callback):
    """`metrics.jsonl`: one line of figures every `log_every` steps."""

    def on_start(self, run: Run) -> None:
        """Start the file, or go on with it."""
        self._lines = Lines(run.folder / run_folder.METRICS)
        self._lines.start(run)

    def on_figures(self, run: Run, figures: Mapping[str, float]) -> None:
        """Append a line."""
        self._lines.append(run, {"images_per_second": round(run.speed, 1), **figures})


class Previews(Callback):
    """The same noise and labels drawn again and again, as `previews/step-….png`.

    When the run ends or stops, `previews.gif` shows them one after the other.
    """

    seed = 0

    def on_start(self, run: Run) -> None:
        """Draw what the untrained networks make."""
        if run.step == 0:
            self._draw(run)

    def on_step(self, run: Run) -> None:
        """Draw every `preview_every` steps, and after the last."""
        if run.preview_is_due:
            self._draw(run)

    def on_end(self, run: Run) -> None:
        """Write the animation, where there are two previews or more."""
        frames = run_folder.previews(run.folder)
        if len(frames) > 1:
            save_frames(frames, run.folder / run_folder.ANIMATION)

    def _draw(self, run: Run) -> None:
        name = f"{run_folder.step_name(run.step)}.png"
        path = run.folder / run_folder.PREVIEWS / name
        provenance = {"model": run.config.name, "step": str(run.step), "seed": str(self.seed)}
        save_image(run.preview(), path, run.preview_columns, provenance)


class TensorBoard(Callback):
    """Figures and previews for TensorBoard, in `tensorboard/`.

    Raises ConfigError where the extra genzoo[tensorboard] is not installed.
    """

    def __init__(self) -> None:
        try:  # an extra, so imported where it is asked for
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ConfigError(
                "TensorBoard is not installed.", hint="pip install 'genzoo[tensorboard]'"
            ) from None

        # Called at the start, because it writes a file, and of several processes one alone may.
        self._open: Callable[..., SummaryWriter] = SummaryWriter
        self._writer: SummaryWriter | None = None

    def on_start(self, run: Run) -> None:
        """Hide what a resumed run is about to write again."""
        self._writer = self._open(run.folder / run_folder.TENSORBOARD, purge_step=run.step + 1)

    def on_step(self, run: Run) -> None:
        """Write the preview grid."""
        if self._writer and run.preview_is_due:
            self._writer.add_image("preview", grid(run.preview(), run.preview_columns), run.step)

    def on_figures(self, run: Run, figures: Mapping[str, float]) -> None:
        """Write the figures."""
        if self._writer:
            for name, value in {**figures, "images_per_second": run.speed}.items():
                self._writer.add_scalar(name, value, run.step)

    def on_evaluation(self, run: Run, figures: Mapping[str, float | None]) -> None:
        """Write FID, its ratio to the floor and coverage."""
        if self._writer:
            for name, value in figures.items():
                if value is not None:
                    self._writer.add_scalar(f"evaluation/{name}", value, run.step)

    def on_end(self, run: Run) -> None:
        """Write what is left."""
        if self._writer:
            self._writer.close()


def _finite(value: float | str | None) -> float | str | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value
