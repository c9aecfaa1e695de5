"""The loop: phases, gradients, averages, callbacks. It knows nothing about GANs or VAEs."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from genzoo.building import build_networks, build_objective
from genzoo.data.batches import Batches
from genzoo.data.fitting import ImageDataset
from genzoo.errors import TrainingError
from genzoo.model import Model
from genzoo.noise import StepNoise
from genzoo.objectives.base import Batch, Phase
from genzoo.registry.config import ZooConfig
from genzoo.training import checkpoint
from genzoo.training.callbacks import Run
from genzoo.training.ema import averaged
from genzoo.training.engine import Engine
from genzoo.training.figures import Figures
from genzoo.training.interrupt import Interrupted, StopRequest, stop_requests
from genzoo.training.optimization import (
    build_optimizer,
    learning_rate_factor,
    set_learning_rate,
)
from genzoo.training.watching import IndispensableError, Watchers

__all__ = ["Trainer"]

_ODD = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: neighbouring seeds land far apart
_MAX_PROCESSES = 2**16


class Trainer:
    """Trains the networks of one zoo config, which must go together with its objective.

    Step k depends on (seed, k) alone.
    """

    def __init__(
        self,
        config: ZooConfig,
        dataset: ImageDataset,
        folder: Path,
        *,
        device: str | None = None,
        watchers: Watchers | None = None,
    ) -> None:
        settings = config.training
        self.config = config
        self.engine = Engine(device, settings.precision, settings.batch_size)
        self.checkpoints = folder / "checkpoints"
        self.watchers = watchers if watchers and self.engine.is_main else Watchers()

        self.engine.seed(settings.seed)
        self.objective = build_objective(config).to(self.engine.device)
        self.networks = self.engine.convert_batch_norm(
            nn.ModuleDict(build_networks(config)).to(self.engine.device).train()
        )
        self._trainable = {
            role: [p for p in network.parameters() if p.requires_grad]
            for role, network in self.networks.items()
        }
        self._parameters = {
            phase.name: [p for role in sorted(phase.trains) for p in self._trainable[role]]
            for phase in self.objective.phases
        }
        self.optimizers = {
            phase.name: build_optimizer(settings, phase, self._parameters[phase.name])
            for phase in self.objective.phases
        }
        self._sampling = nn.ModuleDict(
            {role: self.networks[role] for role in sorted(self.objective.sampling_roles)}
        )
        self.average = averaged(self._sampling, settings.ema) if settings.ema else None
        self.batches = Batches(
            dataset,
            batch_size=settings.batch_size,
            seed=settings.seed,
            rows=self.engine.rows,
            device=self.engine.device,
            workers=settings.workers,
        )
        drawn = self._sampling if self.average is None else self.average.module
        self.state = Run(config, folder, Model(config, cast(nn.ModuleDict, drawn), self.objective))
        self.state.announce = self._call
        self.machines: tuple[str, ...] = (self.engine.machine(),)
        """What the run ran on, session by session, each named once."""
        self._finite = torch.ones((), dtype=torch.bool, device=self.engine.device)
        self._saved = -1

    def resume(self) -> bool:
        """Go on from the newest checkpoint, and say whether there was one.

        Raises TrainingError where it is damaged, of other networks, or beyond the last step.
        """
        found = checkpoint.newest(self.checkpoints)
        if found is None:
            return False
        done, steps = found.position.step, self.state.steps
        if done > steps:
            raise TrainingError(
                f"{self.state.folder} has done {done} steps, training.steps is {steps}.",
                hint=f"Set training.steps to {done} or more, or start another run.",
            )
        tensors = found.tensors()
        for prefix, module in self._modules().items():
            part = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            try:
                module.load_state_dict(part)
            except RuntimeError as error:
                raise TrainingError(
                    f"the checkpoint {found.folder} is of other networks: {error}",
                    hint="Resume with the version of the plugin that the run was started with.",
                ) from None
        for name, optimizer in self.optimizers.items():
            checkpoint.load_optimizer(optimizer, tensors, f"optimizer.{name}")
        self.state.step = self._saved = done
        self.state.seconds = found.position.seconds
        earlier = found.position.machines
        self.machines = (*earlier, *(m for m in self.machines if m not in earlier))
        return True

    def run(self) -> Model:
        """Train to the last step and return the model that samples.

        Raises TrainingError where a loss or a weight is not finite, and Interrupted on SIGINT or
        SIGTERM, once the state is saved.
        """
        try:
            self._call("on_start")
            with stop_requests() as stop:
                try:
                    self._loop(stop)
                except IndispensableError:
                    self._save()  # callbacks are called between steps: nothing is lost
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
            if state.step % settings.checkpoint_every == 0:
                self._save()
            if self.engine.may_ask(state.step) and self.engine.anywhere(stop.made):
                return

    def train_step(self, step: int, images: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """Run every phase that is due at `step` on a batch; return its figures as `phase/name`."""
        settings = self.config.training
        # For what draws from the global generator, as dropout does: a resumed run draws the same.
        mixed = settings.seed * _ODD + step * _MAX_PROCESSES + self.engine.rank
        self.engine.seed(mixed % 2**63)
        factor = learning_rate_factor(settings.schedule, step, settings.steps)
        figures: dict[str, Tensor] = {}
        for phase in self.objective.phases:
            if (step + 1) % phase.every == 0:
                scalars = self._train_phase(phase, step, factor, images, labels)
                figures |= {f"{phase.name}/{name}": value for name, value in scalars.items()}
        if self.average is not None:
            self.average.update_parameters(self._sampling)
        return figures

    def _train_phase(
        self, phase: Phase, step: int, factor: float, images: Tensor, labels: Tensor | None
    ) -> dict[str, Tensor]:
        settings, optimizer = self.config.training, self.optimizers[phase.name]
        parameters = self._parameters[phase.name]
        # Gradients of the other networks would be computed for nothing.
        for role, owned in self._trainable.items():
            for parameter in owned:
                parameter.requires_grad_(role in phase.trains)
        noise = StepNoise(
            settings.seed,
            step,
            stream=phase.name,
            batch_size=settings.batch_size,
            rows=self.engine.rows,
            device=self.engine.device,
        )
        with self.engine.autocast():
            batch = Batch(images, labels, noise)
            loss, scalars = self.objective.loss(phase.name, self.networks, batch, step)
        self._finite &= loss.detach().isfinite()
        if self.engine.device.type == "cpu":  # elsewhere, to ask is to wait for the device
            self._check_losses(f"the loss of the phase {phase.name!r} at step {step + 1}")
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.engine.average_gradients(parameters)
        if settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
        set_learning_rate(optimizer, factor)
        optimizer.step()
        return scalars

    def _check_losses(self, what: str = "") -> None:
        self._demand(bool(self._finite), what or f"a loss up to step {self.state.step}")

    def _demand(self, finite: bool, what: str) -> None:
        """Raise TrainingError, in every process, where `finite` is false in any."""
        if not self.engine.anywhere(not finite):
            return
        last = checkpoint.newest(self.checkpoints)
        kept = f"The last good checkpoint is {last.folder}." if last else "No checkpoint was saved."
        raise TrainingError(
            f"{what} is not finite.",
            hint=f"{kept} To resume would end here again: start another run with a lower learning "
            "rate, training.clip_norm or larger penalties.",
        )

    def _save(self) -> None:
        state = self.state
        if state.step == self._saved:
            return
        self._check_losses()
        # A gradient that is not finite spoils the state, and only the next loss would show it.
        self._demand(self._state_is_finite(), f"the training state after step {state.step}")
        if self.engine.is_main:
            position = checkpoint.Position(state.step, state.seconds, self.machines)
            keep = self.config.training.keep
            folder = checkpoint.save(self.checkpoints, position, self._tensors(), state.model, keep)
            self._call("on_checkpoint", folder)
        self._saved = state.step
        self.engine.wait()

    def _state_is_finite(self) -> bool:
        # Not the buffers, which may hold infinities on purpose, as an attention mask does.
        states = (state for o in self.optimizers.values() for state in o.state.values())
        kept = (value for state in states for value in state.values() if torch.is_tensor(value))
        return all(bool(t.isfinite().all()) for t in (*self.networks.parameters(), *kept))

    def _tensors(self) -> dict[str, Tensor]:
        """Return all that decides how the run goes on."""
        tensors = {
            f"{prefix}{name}": tensor
            for prefix, module in self._modules().items()
            for name, tensor in module.state_dict().items()
        }
        for name, optimizer in self.optimizers.items():
            tensors |= checkpoint.optimizer_tensors(optimizer, f"optimizer.{name}")
        return tensors

    def _modules(self) -> dict[str, nn.Module]:
        modules: dict[str, nn.Module] = {"networks.": self.networks, "objective.": self.objective}
        if self.average is not None:
            modules["average."] = self.average
        return modules

    def _call(self, event: str, *arguments: object) -> None:
        # Without an average the model shares its networks with the training, in train mode.
        # One callback's announcement comes while another event is told: the outer call turns back.
        shared = self.average is None and bool(self.watchers) and self._sampling.training
        if shared:
            self._sampling.eval()
        self.watchers.call(event, self.state, *arguments)
        if shared:
            self._sampling.train()
