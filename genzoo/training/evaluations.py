"""FID while a model trains: whether it still gets better, and when it stopped."""

from __future__ import annotations

from pathlib import Path

from genzoo.errors import TrainingError, UnknownNameError
from genzoo.evaluation.features import find_extractor
from genzoo.evaluation.metrics import prdc
from genzoo.evaluation.protocol import CURVE_SAMPLES
from genzoo.evaluation.ruler import Ruler, open_splits
from genzoo.registry.config import ZooConfig
from genzoo.training.callbacks import Callback, Lines, Run
from genzoo.training.run_folder import EVALUATIONS, best, number, read_evaluations, read_lines

__all__ = ["Evaluations", "best_step", "fid_ratio_by_step"]


class Evaluations(Callback):
    """`evaluations.jsonl`: FID, its ratio to the floor and coverage, every `every` steps.

    On `CURVE_SAMPLES`, so that the figures are those of no card: a floor falls as samples rise.
    Raises TrainingError for an `every` under 1 or a dataset that no extractor is made for, and what
    `open_splits` raises.
    """

    def __init__(
        self, folder: Path, config: ZooConfig, every: int, data: Path | None = None
    ) -> None:
        if every < 1:
            raise TrainingError(f"cannot evaluate every {every} steps.", hint="Use 1 or more.")
        try:  # now, before a run begins that could not be evaluated
            find_extractor(config.dataset.name)
        except UnknownNameError as error:
            raise TrainingError(
                f"cannot evaluate while training: {error.message}",
                hint="Leave --evaluate-every out, or install a plugin that brings one.",
            ) from None
        self._splits = open_splits(config, None, "test", data)
        self._lines = Lines(folder / EVALUATIONS)
        self._every = every
        self._ruler: Ruler | None = None

    def on_start(self, run: Run) -> None:
        """Look at the real images, and start the file or go on with it."""
        self._ruler = Ruler(run.model, samples=CURVE_SAMPLES, at_most=True, splits=self._splits)
        self._lines.start(run)
        run.best = best_step(run.folder, run.step)

    def on_step(self, run: Run) -> None:
        """Evaluate where it is due, and after the last step."""
        if self._ruler and (run.step % self._every == 0 or run.step == run.steps):
            sight = self._ruler.look_at(run.model)
            fid = self._ruler.fid(sight)
            coverage = prdc(self._ruler.reference.features, sight.features)["coverage"]
            figures = {
                "samples": self._ruler.samples,
                "fid": fid,
                "fid_ratio": self._ruler.ratio(fid),
                "coverage": coverage,
            }
            self._lines.append(run, figures)
            run.best = best_step(run.folder, run.step)
            run.announce("on_evaluation", figures)


def fid_ratio_by_step(folder: Path) -> dict[int, float]:
    """Return the ratios that a run's evaluations found, to four digits; empty without any."""
    return {
        row["step"]: float(f"{ratio:.4g}")
        for row in read_lines(folder / EVALUATIONS)
        if (ratio := number(row, "fid_ratio")) is not None
    }


def best_step(folder: Path, done: int) -> int | None:
    """Return the step of the lowest FID that a run found up to `done` steps, None without any."""
    found = best(read_evaluations(folder, done))
    return found.step if found else None
