"""The loop: batches, steps, callbacks, checkpoints."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from genzoo.data.batches import Batches, raise_if_a_worker_is_gone
from genzoo.data.fitting import ImageDataset, fingerprint
from genzoo.errors import DataError, GenzooError, OutputError, TrainingError
from genzoo.model import Model
from genzoo.registry.config import ZooConfig
from genzoo.training import checkpoint
from genzoo.training.callbacks import Run
from genzoo.training.engine import Engine
from genzoo.training.evaluations import best_step
from genzoo.training.figures import Figures
from genzoo.training.interrupt import Interrupted, StopRequest, stop_requests
from genzoo.training.learning import Learner
from genzoo.training.run_folder import CHECKPOINTS
from genzoo.training.watching import Watchers

__all__ = ["Trainer"]


class Trainer:
    """Trains the networks of one zoo config, which must go together with its objective.

    `watchers` are the main process's. `evaluate_every` says after which steps one of them
    evaluates, None for none: the best checkpoint is kept.
    """

    def __init__(
        self,
        config: ZooConfig,
        dataset: ImageDataset,
        folder: Path,
        *,
        device: str | None = None,
        watchers: Watchers | None = None,
        evaluate_every: int | None = None,
    ) -> None:
        settings = config.training
        self.config = config
        self.engine = Engine(device, settings)
        self.checkpoints = folder / CHECKPOINTS
        self.watchers = watchers or Watchers()
        self.learner = Learner(config, self.engine)
        self.batches = Batches(
            dataset,
            batch_size=settings.batch_size,
            seed=settings.seed,
            rows=self.engine.rows,
            device=self.engine.device,
            workers=settings.workers,
        )
        model = Model(config, self.learner.drawn, self.learner.objective)
        self.state = Run(config, folder, model, dataset=dataset)
        self.state.announce = self._call
        self.state.lend = self._lend
        self.machines: tuple[str, ...] = (self.engine.machine(),)
        """What the run ran on, session by session, each named once."""
        self._evaluate_every = evaluate_every
        self._saved = -1

    def resume(self) -> bool:
        """Go on from the newest whole checkpoint, and say whether there was one.

        The main process reads it, and the others get it from there: they may be on other machines.
        Damaged ones that are newer are set aside, with a warning. Raises TrainingError where no
        checkpoint is whole, or it is of other networks or images, or beyond the last step.
        """
        with self.engine.all.together():
            found = self._newest() if self.engine.is_main else None
        found = self.engine.all.from_main(found)
        if found is None:
            return False
        with self.engine.all.together():
            self._go_on_from(found)
        return True

    def _newest(self) -> checkpoint.Checkpoint | None:
        found, damaged = checkpoint.newest_whole(self.checkpoints)
        if found is None and damaged:
            raise next(iter(damaged.values()))
        for folder, error in damaged.items():
            aside = checkpoint.set_aside(folder)
            print(f"genzoo: {error.message} It is {aside.name} now.", file=sys.stderr)
        if found and damaged:
            step = found.position.step
            print(f"genzoo: going on from {found.folder}, after step {step}.", file=sys.stderr)
        return found

    def _go_on_from(self, found: checkpoint.Checkpoint) -> None:
        position, steps = found.position, self.state.steps
        if position.step > steps:
            raise TrainingError(
                f"{self.state.folder} has done {position.step} steps, training.steps is {steps}.",
                hint=f"Set training.steps to {position.step} or more, or start another run.",
            )
        if position.dataset not in (None, self._fingerprint):
            raise TrainingError(
                f"{self.state.folder} was trained on {position.dataset}, the dataset now has "
                f"{self._fingerprint}.",
                hint="Put it back as it was, no image added, taken out, renamed or changed; or "
                "start another run.",
            )
        try:
            self.learner.load(found.tensors)
        except (RuntimeError, LookupError) as error:
            raise TrainingError(
                f"the checkpoint {found.folder} is of other networks: {error}",
                hint="Resume with the version of the plugin that the run was started with.",
            ) from None
        self.state.step = self._saved = position.step
        self.state.seconds = position.seconds
        self.state.best = best_step(self.state.folder, position.step)
        earlier = position.machines
        self.machines = (*earlier, *(m for m in self.machines if m not in earlier))

    @functools.cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self.batches.dataset)

    def run(self) -> Model:
        """Train to the last step and return the model that samples.

        Raises TrainingError where a loss or a weight is not finite, DataError where an image cannot
        be read, and Interrupted on SIGINT or SIGTERM; of the last two the state is saved.
        """
        self._demand_one_dataset()
        try:
            with self.engine.all.together():
                self._call("on_start")
            with stop_requests() as stop, self.engine.exactness():
                try:
                    self._loop(stop)
                except RuntimeError as error:
                    raise_if_a_worker_is_gone(error)  # perhaps within a step: nothing to save
                    raise
                self._save()
        finally:
            self._call("on_end")
        if self.state.step < self.state.steps:
            raise Interrupted(self.state.step, self.state.folder, stop.number)
        return self.state.model.eval()

    def _demand_one_dataset(self) -> None:
        if self.engine.all.count > 1 and len({*self.engine.all.gather(self._fingerprint)}) > 1:
            self.engine.all.agree(
                TrainingError(
                    "the processes do not read the same images.",
                    hint="Give the machines one shared folder, or copies of it.",
                )
            )

    def _loop(self, stop: StopRequest) -> None:
        state, settings = self.state, self.config.training
        figures = Figures(self.engine, state)
        for images, labels in self._batches():
            figures.add(self.train_step(state.step, images, labels))
            state.step += 1
            told = None
            if state.step % settings.log_every == 0 or state.step == settings.steps:
                self._check_losses()
                told = figures.take()
            failed = self._tell(told)
            if state.step % settings.checkpoint_every == 0 or self._is_best():
                self._save()
            if self.engine.all.anywhere(stop.made or failed is not None):
                self._save()
                self.engine.all.agree(failed)
                return

    def _batches(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield this process's rows of each step that is left, as all processes can."""
        start, stop = self.state.step, self.state.steps
        batches = self.batches.iterate(start, stop)
        if self.batches.in_memory:  # where nothing fails
            yield from batches
            return
        for _ in range(start, stop):
            try:
                with self.engine.all.together():
                    rows = next(batches)
            except DataError:
                self._save()  # it comes between steps: nothing is lost
                raise
            yield rows

    def _tell(self, figures: Mapping[str, float] | None) -> GenzooError | None:
        """Tell the callbacks that a step is done; return what ends the run, for that they may."""
        try:
            if figures is not None:
                self._call("on_figures", figures)
            self._call("on_step")
        except GenzooError as error:
            return error
        return None

    def train_step(self, step: int, images: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """Run every phase that is due at `step` on a batch; return its figures as `phase/name`."""
        if not self.learner.sampling.training:  # lent to a callback
            self.learner.sampling.train()
        return self.learner.step(step, images, labels, self._check_loss)

    def _check_loss(self, what: str) -> None:
        if self.engine.device.type == "cpu":  # elsewhere, to ask is to wait for the device
            self._demand(self.learner.losses_are_finite, what)

    def _check_losses(self) -> None:
        self._demand(self.learner.losses_are_finite, f"a loss up to step {self.state.step}")

    def _demand(self, finite: bool, what: str) -> None:
        """Raise TrainingError, in every process, where `finite` is false in any."""
        if not self.engine.all.anywhere(not finite):
            return
        last = checkpoint.newest(self.checkpoints)
        kept = f"The last good checkpoint is {last}." if last else "No checkpoint was saved."
        self.engine.all.agree(
            TrainingError(
                f"{what} is not finite.",
                hint=f"{kept} To resume would end here again: start another run with a lower "
                "learning rate, training.clip_norm or larger penalties.",
            )
        )

    def _is_best(self) -> bool:
        """Return, in every process alike, whether an evaluation was the best one just now."""
        step, every = self.state.step, self._evaluate_every
        if every is None or not (step % every == 0 or step == self.state.steps):
            return False
        return self.engine.all.anywhere(self.state.best == step)

    def _save(self) -> None:
        if self.state.step == self._saved:
            return
        self._check_losses()
        # A gradient that is not finite spoils the state, and only the next loss would show it.
        finite = self.learner.state_is_finite
        self._demand(finite, f"the training state after step {self.state.step}")
        with self.engine.all.together():
            if self.engine.is_main:
                self._write()
        self._saved = self.state.step

    def _write(self) -> None:
        state = self.state
        position = checkpoint.Position(state.step, state.seconds, self.machines, self._fingerprint)
        try:
            folder = checkpoint.save(
                self.checkpoints, position, self.learner.tensors(), state.model
            )
            checkpoint.prune(self.checkpoints, self.config.training.keep, state.best)
        except OSError as error:
            raise OutputError(
                getattr(error, "message", f"{error.filename}: {error.strerror}."),
                hint="Make room, or let it be written to, then go on with --resume.",
            ) from error
        self._call("on_checkpoint", folder)

    def _lend(self) -> None:
        # Without an average the model shares its networks with the training, in train mode. Not
        # at each event, because to switch many modules takes longer than a small step does.
        if self.learner.drawn.training:
            self.learner.drawn.eval()

    def _call(self, event: str, *arguments: object) -> None:
        self.watchers.call(event, self.state, *arguments)
