"""The loop: batches, steps, callbacks, checkpoints."""

from __future__ import annotations

import sys
from pathlib import Path

from torch import Tensor

from genzoo.data.batches import Batches, raise_if_a_worker_is_gone
from genzoo.data.fitting import ImageDataset
from genzoo.errors import DataError, TrainingError
from genzoo.model import Model
from genzoo.registry.config import ZooConfig
from genzoo.training import checkpoint
from genzoo.training.callbacks import Run
from genzoo.training.engine import Engine
from genzoo.training.evaluations import best_step
from genzoo.training.figures import Figures
from genzoo.training.interrupt import Interrupted, StopRequest, stop_requests
from genzoo.training.learning import Learner
from genzoo.training.watching import IndispensableError, Watchers

__all__ = ["Trainer"]


class Trainer:
    """Trains the networks of one zoo config, which must go together with its objective.

    `evaluate_every` says after which steps a watcher evaluates, None for none: the best checkpoint
    is kept.
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
        self.checkpoints = folder / "checkpoints"
        self.watchers = watchers if watchers and self.engine.is_main else Watchers()
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

        Damaged ones that are newer are set aside, with a warning. Raises TrainingError where no
        checkpoint is whole, or it is of other networks, or beyond the last step.
        """
        found, damaged = checkpoint.newest_whole(self.checkpoints)
        self.engine.all.wait()  # until every process has seen them
        if found is None and damaged:
            raise next(iter(damaged.values()))
        if self.engine.is_main:
            for folder, error in damaged.items():
                aside = checkpoint.set_aside(folder)
                print(f"genzoo: {error.message} It is {aside.name} now.", file=sys.stderr)
        if found is None:
            return False
        done, steps = found.position.step, self.state.steps
        if damaged and self.engine.is_main:
            print(f"genzoo: going on from {found.folder}, after step {done}.", file=sys.stderr)
        if done > steps:
            raise TrainingError(
                f"{self.state.folder} has done {done} steps, training.steps is {steps}.",
                hint=f"Set training.steps to {done} or more, or start another run.",
            )
        had, has = found.position.images, len(self.batches.dataset)
        if had not in (None, has):
            raise TrainingError(
                f"{self.state.folder} was trained on {had:,} images, there are {has:,} now.",
                hint="Put the dataset back as it was, or start another run.",
            )
        try:
            self.learner.load(found.tensors)
        except (RuntimeError, LookupError) as error:
            raise TrainingError(
                f"the checkpoint {found.folder} is of other networks: {error}",
                hint="Resume with the version of the plugin that the run was started with.",
            ) from None
        self.state.step = self._saved = done
        self.state.seconds = found.position.seconds
        self.state.best = best_step(self.state.folder, done)
        earlier = found.position.machines
        self.machines = (*earlier, *(m for m in self.machines if m not in earlier))
        return True

    def run(self) -> Model:
        """Train to the last step and return the model that samples.

        Raises TrainingError where a loss or a weight is not finite, DataError where an image cannot
        be read, and Interrupted on SIGINT or SIGTERM; of the last two the state is saved.
        """
        try:
            self._call("on_start")
            with stop_requests() as stop, self.engine.exactness():
                try:
                    self._loop(stop)
                except (IndispensableError, DataError):
                    self._save_and_leave()  # they come between steps: nothing is lost
                    raise
                except RuntimeError as error:
                    raise_if_a_worker_is_gone(error)  # perhaps within a step: nothing to save
                    raise
                self._save()
        finally:
            self._call("on_end")
        if self.state.step < self.state.steps:
            raise Interrupted(self.state.step, self.state.folder, stop.number)
        return self.state.model.eval()

    def _loop(self, stop: StopRequest) -> None:
        state, settings = self.state, self.config.training
        figures = Figures(self.engine, state)
        for images, labels in self.batches.iterate(state.step, settings.steps):
            figures.add(self.train_step(state.step, images, labels))
            state.step += 1
            if state.step % settings.log_every == 0 or state.step == settings.steps:
                self._check_losses()
                self._call("on_figures", figures.take())
            self._call("on_step")
            if state.step % settings.checkpoint_every == 0 or self._is_best():
                self._save()
            if self.engine.may_ask(state.step) and self.engine.anywhere(stop.made):
                return

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
        if not self.engine.anywhere(not finite):
            return
        last = checkpoint.newest(self.checkpoints)
        kept = f"The last good checkpoint is {last}." if last else "No checkpoint was saved."
        raise TrainingError(
            f"{what} is not finite.",
            hint=f"{kept} To resume would end here again: start another run with a lower learning "
            "rate, training.clip_norm or larger penalties.",
        )

    def _is_best(self) -> bool:
        """Return, in every process alike, whether an evaluation was the best one just now."""
        step, every = self.state.step, self._evaluate_every
        if every is None or not (step % every == 0 or step == self.state.steps):
            return False
        return self.engine.anywhere(self.state.best == step)

    def _save(self) -> None:
        if self.state.step == self._saved:
            return
        self._check_losses()
        # A gradient that is not finite spoils the state, and only the next loss would show it.
        finite = self.learner.state_is_finite
        self._demand(finite, f"the training state after step {self.state.step}")
        self._write()
        self.engine.all.wait()

    def _save_and_leave(self) -> None:
        """Save where this process ends by itself: it cannot ask the others, nor wait for them."""
        good = self.learner.losses_are_finite and self.learner.state_is_finite
        if good and self.state.step != self._saved:
            self._write()

    def _write(self) -> None:
        state = self.state
        if self.engine.is_main:
            position = checkpoint.Position(
                state.step, state.seconds, self.machines, len(self.batches.dataset)
            )
            folder = checkpoint.save(
                self.checkpoints, position, self.learner.tensors(), state.model
            )
            checkpoint.prune(self.checkpoints, self.config.training.keep, state.best)
            self._call("on_checkpoint", folder)
        self._saved = state.step

    def _lend(self) -> None:
        # Without an average the model shares its networks with the training, in train mode. Not
        # at each event, because to switch many modules takes longer than a small step does.
        if self.learner.drawn.training:
            self.learner.drawn.eval()

    def _call(self, event: str, *arguments: object) -> None:
        self.watchers.call(event, self.state, *arguments)
