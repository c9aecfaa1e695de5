"""One step of training: phases, gradients, optimizers, averages. It knows nothing about GANs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from genzoo.building import build_networks, build_objective
from genzoo.noise import StepNoise
from genzoo.objectives.base import Batch, Phase
from genzoo.registry.config import ZooConfig
from genzoo.training import checkpoint
from genzoo.training.ema import averaged
from genzoo.training.engine import Engine
from genzoo.training.optimization import (
    build_optimizer,
    clip,
    is_due,
    learning_rate_factor,
    set_learning_rate,
)

__all__ = ["Learner"]

_ODD = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: neighbouring seeds land far apart
_MAX_PROCESSES = 2**16


class Learner:
    """The networks of a zoo config and all that moves them. Step k depends on (seed, k) alone."""

    def __init__(self, config: ZooConfig, engine: Engine) -> None:
        settings = config.training
        self.config, self.engine = config, engine
        engine.seed(settings.seed)
        self.objective = build_objective(config).to(engine.device)
        self.networks = engine.place(nn.ModuleDict(build_networks(config, self.objective)).train())
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
        self._scalers = {phase.name: engine.scaler() for phase in self.objective.phases}
        self.sampling = nn.ModuleDict(
            {role: self.networks[role] for role in sorted(self.objective.sampling_roles)}
        )
        """The networks that sample, as they are trained."""
        self.average = averaged(self.sampling, settings.ema) if settings.ema else None
        if settings.compile:
            engine.compile(self.networks, self.objective.twice_differentiated)
        self._finite: bool | Tensor = True

    @property
    def drawn(self) -> nn.ModuleDict:
        """The networks that images are drawn by: the averaged ones, where there are any."""
        return cast(nn.ModuleDict, self.sampling if self.average is None else self.average.module)

    @property
    def losses_are_finite(self) -> bool:
        """Whether every loss of this process was, so far; to ask is to wait for the device."""
        return bool(self._finite)

    @property
    def state_is_finite(self) -> bool:
        """Whether all weights are, and all that the optimizers keep."""
        # Not the buffers, which may hold infinities on purpose, as an attention mask does.
        states = (state for o in self.optimizers.values() for state in o.state.values())
        kept = (value for state in states for value in state.values() if torch.is_tensor(value))
        return all(bool(t.isfinite().all()) for t in (*self.networks.parameters(), *kept))

    def step(
        self, step: int, images: Tensor, labels: Tensor | None, check: Callable[[str], None]
    ) -> dict[str, Tensor]:
        """Run every phase that is due at `step` on this process's rows; return its figures.

        They are called `phase/name`. `check` is told what loss there is to look at.
        """
        settings = self.config.training
        # For what draws from the global generator, as dropout does: a resumed run draws the same.
        mixed = settings.seed * _ODD + step * _MAX_PROCESSES
        if step and settings.resets:
            self.engine.seed((mixed - 1) % 2**63)  # in all processes, and no rank's of this step
            self._reset(step)
        self.engine.seed((mixed + self.engine.all.rank) % 2**63)
        images = self.engine.lay_out(images)
        figures: dict[str, Tensor] = {}
        for phase in self.objective.phases:
            if is_due(settings, phase, step):
                scalars = self._backward(phase, step, images, labels)
                check(f"the loss of the phase {phase.name!r} at step {step + 1}")
                scalars |= self._update(phase, step)
                figures |= {f"{phase.name}/{name}": value for name, value in scalars.items()}
        if self.average is not None:
            self.average.update_parameters(self.sampling)
        return figures

    def _backward(
        self, phase: Phase, step: int, images: Tensor, labels: Tensor | None
    ) -> dict[str, Tensor]:
        """Fill the gradients of a phase's parameters; return what its loss reports."""
        # Gradients of the other networks would be computed for nothing.
        for role, owned in self._trainable.items():
            for parameter in owned:
                parameter.requires_grad_(role in phase.trains)
        optimizer, scaler = self.optimizers[phase.name], self._scalers[phase.name]
        reports = []
        for place in range(len(self.engine.parts)):
            loss, scalars = self._loss(phase, step, images, labels, place)
            if place == 0:
                # Not before the loss: memory that is freed and asked for again at once is cheap.
                optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(scaler.scale(loss))
            reports.append(scalars)
        if len(reports) == 1:
            return reports[0]
        return {name: torch.stack([r[name] for r in reports]).mean(0) for name in reports[0]}

    def _loss(
        self, phase: Phase, step: int, images: Tensor, labels: Tensor | None, place: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a part of this process's rows, weighed by its share, and scalars."""
        settings, device = self.config.training, self.engine.device
        parts, rows = settings.accumulate, self.engine.parts[place]
        if parts > 1:
            size = rows.stop - rows.start
            own = slice(place * size, (place + 1) * size)
            images, labels = images[own], None if labels is None else labels[own]
        noise = StepNoise(
            settings.seed,
            step,
            stream=phase.name,
            batch_size=settings.batch_size,
            rows=rows,
            device=device,
        )
        with self.engine.autocast():
            batch = Batch(images, labels, noise)
            loss, scalars = self.objective.loss(phase.name, self.networks, batch, step)
        value = loss.detach()
        # On the CPU to ask is cheaper than an operation; elsewhere it is to wait for the device.
        self._finite &= math.isfinite(value) if device.type == "cpu" else value.isfinite()
        return loss / parts if parts > 1 else loss, scalars

    def _update(self, phase: Phase, step: int) -> dict[str, Tensor]:
        """Let a phase's optimizer take its step; return its figures, where they are to be told."""
        settings, optimizer = self.config.training, self.optimizers[phase.name]
        parameters, scaler = self._parameters[phase.name], self._scalers[phase.name]
        self.engine.average_gradients(parameters)
        scaler.unscale_(optimizer)
        factor = learning_rate_factor(settings.schedule, step, settings.steps)
        set_learning_rate(optimizer, factor)
        figures: dict[str, Tensor] = {}
        if self._is_told(phase, step):
            gradients = [p.grad for p in parameters if p.grad is not None]
            rate = optimizer.param_groups[0]["lr"]
            norm = nn.utils.get_total_norm(gradients)
            figures = {"grad_norm": norm, "lr": torch.full_like(norm, rate)}
        clip(settings, parameters)
        scaler.step(optimizer)
        scaler.update()
        return figures

    def _is_told(self, phase: Phase, step: int) -> bool:
        """Return whether this is the phase's last step before figures are told."""
        settings = self.config.training
        told = min((step // settings.log_every + 1) * settings.log_every, settings.steps)
        return not any(is_due(settings, phase, later) for later in range(step + 1, told))

    def _reset(self, step: int) -> None:
        """Let start anew what is to at `step`."""
        due = [r for r in self.config.training.resets if step % r.every == 0]
        anew = (
            build_networks(self.config, self.objective)
            if any(r.what == "network" for r in due)
            else {}
        )
        for reset in due:
            network = self.networks[reset.role]
            if reset.what == "network":
                network.load_state_dict(anew[reset.role].state_dict())
            for optimizer in self.optimizers.values():
                for parameter in network.parameters():
                    # Zero is where all of them start. To drop the state of some parameters is more
                    # than the fused SGD can take.
                    for value in optimizer.state.get(parameter, {}).values():
                        if torch.is_tensor(value):
                            value.zero_()

    def tensors(self) -> dict[str, Tensor]:
        """Return all that decides how training goes on."""
        tensors = {
            f"{prefix}{name}": tensor
            for prefix, module in self._modules().items()
            for name, tensor in module.state_dict().items()
        }
        for name, optimizer in self.optimizers.items():
            tensors |= checkpoint.optimizer_tensors(optimizer, f"optimizer.{name}")
            for key, value in self._scalers[name].state_dict().items():  # empty but for fp16
                tensors[f"scaler.{name}.{key}"] = torch.tensor(value, dtype=torch.float64)
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Put what `tensors` gave; RuntimeError where it is of other networks."""
        for prefix, module in self._modules().items():
            part = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            module.load_state_dict(part)
        for name, optimizer in self.optimizers.items():
            checkpoint.load_optimizer(optimizer, tensors, f"optimizer.{name}")
            if state := self._scalers[name].state_dict():
                kept = {key: tensors[f"scaler.{name}.{key}"].item() for key in state}
                whole = {k: type(state[k])(v) for k, v in kept.items()}
                self._scalers[name].load_state_dict(whole)

    def _modules(self) -> dict[str, nn.Module]:
        modules: dict[str, nn.Module] = {"networks.": self.networks, "objective.": self.objective}
        if self.average is not None:
            modules["average."] = self.average
        return modules
