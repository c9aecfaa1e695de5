"""Checks of networks, role by role: what they answer, and what they listen to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from genzoo import devices
from genzoo.building import check_roles
from genzoo.objectives.base import Answer, Batch, KnowsRoles
from genzoo.testing.bench import MODES, Bench, Recorded, answered, close, stir
from genzoo.testing.checks import Failed, Skipped, Suite
from genzoo.testing.specimens import Answers, Specimen, rows_of
from genzoo.testing.state import STATE

__all__ = ["NETWORKS"]

_PASSES, _ROWS = 8, 8
"""How often, and with how many images, a gradient is looked for."""


_ANSWERS: Suite[Bench] = Suite()


@_ANSWERS.check(
    "roles",
    "it builds every role that its objective trains",
    mend="Return a dict of roles and modules that has what the objective's `roles` names.",
)
def _roles(bench: Bench) -> None:
    for specimen in bench.specimens:
        check_roles(specimen.config, dict(specimen.networks().items()), specimen.objective)


@_ANSWERS.check(
    "shapes",
    "every role answers float32 tensors of the shape that it promises, in train and eval mode",
    mend="Compare the shape with the role's contract in docs/plugin-api.md; cast to float32.",
    needs=("roles",),
)
def _shapes(bench: Bench) -> None:
    for place, answer in bench.answers():
        found = tuple(answer.value.shape)
        if found != answer.shape:
            raise Failed(f"{place} have shape {found}, promised is {answer.shape}")
        if answer.value.dtype != torch.float32:
            raise Failed(f"{place} are {answer.value.dtype}, promised is torch.float32")


@_ANSWERS.check(
    "finite",
    "what the roles answer holds no NaN and no infinity",
    mend="Look for a division, a logarithm or a root that can meet zero.",
    needs=("shapes",),
)
def _finite(bench: Bench) -> None:
    for place, answer in bench.answers():
        if not bool(answer.value.isfinite().all()):
            raise Failed(f"{place} are not finite")


@_ANSWERS.check(
    "range",
    "what the roles answer lies in the range that they promise, images in [-1, 1]",
    mend="End a network that makes images with tanh, or map what it gives to [-1, 1].",
    needs=("finite",),
)
def _range(bench: Bench) -> None:
    for place, answer in bench.answers():
        _hold(place, answer)
    for specimen in bench.few:
        # Fresh weights are small, and what they give with them: so look at larger ones, too. Of
        # images alone: errors, which are to be about 0, grow with weights by rounding.
        networks, batch = specimen.networks(loud=True), specimen.batch()
        try:
            with torch.no_grad():
                answers = specimen.ask(networks, batch)
        except (RuntimeError, ValueError):
            continue  # such weights may overflow
        for role, answer in _each(answers):
            if answer.shape == tuple(batch.images.shape):
                _hold(f"{role} for {specimen} and large weights: {answer.what}", answer)


def _hold(place: str, answer: Answer) -> None:
    """Raise Failed where an answer leaves its range."""
    if answer.within is None:
        return
    low, high = answer.within
    values = answer.value.nan_to_num(nan=low)  # NaN is for another check
    least, most = values.min().item(), values.max().item()
    if least < low or most > high:
        raise Failed(f"{place} go from {least:.3g} to {most:.3g}, promised is {low} to {high}")


@_ANSWERS.check(
    "batch-of-one",
    "a batch of one works, in train mode but for batch normalization, and in eval mode",
    mend="Squeeze no batch dimension, and take no statistics over the batch in eval mode.",
    needs=("finite",),
)
def _batch_of_one(bench: Bench) -> None:
    for specimen in bench.few:
        for training in MODES:
            networks = specimen.networks(training=training)
            try:
                with torch.no_grad():
                    answers = specimen.ask(networks, specimen.batch([0]))
            except ValueError as error:
                if training and "more than 1 value per channel" in str(error):
                    continue  # PyTorch's batch normalization, which has nothing to normalize by
                raise
            for role, answer in _each(answers):
                if tuple(answer.value.shape) != answer.shape or not answer.value.isfinite().all():
                    mode = "train" if training else "eval"
                    raise Failed(
                        f"{role} for {specimen} in {mode} mode: {answer.what} of one image have "
                        f"shape {tuple(answer.value.shape)} or are not finite"
                    )


@_ANSWERS.check(
    "gradients",
    "a gradient reaches every trainable parameter",
    mend="Use the parameter, take it out, or set requires_grad=False; do not detach what it makes.",
    needs=("finite",),
)
def _gradients(bench: Bench) -> None:
    for specimen in bench.few:
        networks = specimen.networks(training=True, spread=True)
        for name in _without_gradient(specimen, networks):
            role, _, inner = name.partition(".")
            raise Failed(f"{role} for {specimen}: no gradient reaches {inner!r}")


def _without_gradient(specimen: Specimen, networks: nn.ModuleDict) -> list[str]:
    """Return the trainable parameters that no gradient reaches, in several passes.

    One pass may leave out layers by chance (stochastic depth), or what stands for no label.
    """
    parameters = dict(networks.named_parameters())
    left = {name for name, parameter in parameters.items() if parameter.requires_grad}
    for seed in range(_PASSES):
        with torch.random.fork_rng(devices=[]):
            devices.seed(seed)
            for scalar in _scalars(specimen, networks, seed):
                networks.zero_grad()
                if scalar.requires_grad:
                    torch.autograd.backward(scalar)
                left = {name for name in left if not _reached(parameters[name])}
                if not left:
                    return []
    return sorted(left)


def _reached(parameter: nn.Parameter) -> bool:
    """Whether a gradient came to a parameter, or it was frozen meanwhile."""
    if not parameter.requires_grad:
        return True
    return parameter.grad is not None and bool(parameter.grad.any())


@_ANSWERS.check(
    "inputs-unchanged",
    "networks change none of the tensors that they are given",
    mend="Work on a copy: no method that ends in _ and no assignment into images, z or labels.",
    needs=("shapes",),
)
def _inputs_unchanged(bench: Bench) -> None:
    for specimen in bench.few:
        for training in MODES:
            batch = specimen.batch()
            noise = Recorded(batch.noise)
            watched = replace(batch, noise=noise)
            before = [(what, tensor.clone()) for what, tensor in _tensors(watched)]
            with torch.no_grad():
                specimen.ask(specimen.networks(training=training), watched)
            now = [tensor for _, tensor in _tensors(watched)]
            pairs = [*zip(now, before, strict=True), *((t, ("z", b)) for t, b in noise.drawn)]
            for tensor, (what, expected) in pairs:
                if not torch.equal(tensor, expected):
                    raise Failed(f"for {specimen}, a call of the networks changes {what}")


@_ANSWERS.check(
    "deterministic",
    "in eval mode the same inputs give the same answers",
    mend="Draw nothing in eval mode: noise is an input. Dropout must obey train() and eval().",
    needs=("finite",),
)
def _deterministic(bench: Bench) -> None:
    for specimen in bench.few:
        networks = specimen.networks(spread=True)
        stir(0)
        first = answered(specimen, networks, specimen.batch())
        stir(1)
        for role, rows in answered(specimen, networks, specimen.batch()).items():
            if not torch.equal(rows, first[role]):
                raise Failed(f"{role} for {specimen} answers differently when asked again")


@_ANSWERS.check(
    "images-apart",
    "in eval mode the answer for an image does not depend on the others of its batch",
    mend="Share nothing between rows: BatchNorm with running statistics, no mean over dimension 0.",
    needs=("deterministic",),
)
def _images_apart(bench: Bench) -> None:
    for specimen in bench.few:
        networks = specimen.networks(spread=True)
        together = answered(specimen, networks, specimen.batch(range(4)))
        for role, rows in answered(specimen, networks, specimen.batch(range(1, 3))).items():
            if not close(rows, together[role][1:3]):
                raise Failed(
                    f"{role} for {specimen}: an image's answer changes with its neighbours"
                )


@_ANSWERS.check(
    "inputs-matter",
    "other images and other noise give other answers",
    mend="Look for an input that is not used, or multiplied by what is always zero.",
    needs=("deterministic",),
)
def _inputs_matter(bench: Bench) -> None:
    for specimen in bench.few:
        networks = specimen.networks(spread=True)
        first = answered(specimen, networks, specimen.batch())
        other = answered(specimen, networks, specimen.batch(images=1, noise=1))
        for role, rows in other.items():
            if torch.equal(rows, first[role]):
                raise Failed(f"{role} for {specimen} answers the same to other inputs")


@_ANSWERS.check(
    "labels",
    "where classes are declared an image's label changes its answer, and that of no other",
    mend="Give the labels to every network, as an embedding say; where classes is None, use none.",
    needs=("images-apart",),
)
def _labels(bench: Bench) -> None:
    conditional = [s for s in bench.few if s.config.classes is not None and s.config.classes > 1]
    if not conditional:
        raise Skipped("it is for one class, or for none")
    for specimen in conditional:
        networks = specimen.networks(spread=True)
        ones = answered(specimen, networks, specimen.batch(labels=(1, 1)))
        mixed = answered(specimen, networks, specimen.batch(labels=(1, 0)))
        heard = {role: not torch.equal(rows[1], ones[role][1]) for role, rows in mixed.items()}
        if deaf := sorted(role for role, hears in heard.items() if not hears):
            raise Failed(f"{deaf[0]} for {specimen} answers the same to every label")
        for role, rows in mixed.items():
            if not close(rows[0], ones[role][0]):
                raise Failed(f"{role} for {specimen}: the label of one image changes another's")


def _scalars(specimen: Specimen, networks: nn.ModuleDict, seed: int) -> Iterator[Tensor]:
    """Yield what can be differentiated: each role's answers, then the objective's losses."""
    objective = specimen.objective
    batch = specimen.batch(range(_ROWS), images=seed, noise=seed)
    if isinstance(objective, KnowsRoles):
        for rows in rows_of(specimen.ask(networks, batch)).values():
            yield rows.square().mean()
    for phase in objective.phases:
        batch = specimen.batch(range(_ROWS), images=seed, noise=seed)
        yield objective.loss(phase.name, networks, batch, 0)[0]


def _each(answers: Answers) -> Iterator[tuple[str, Answer]]:
    return ((role, answer) for role, each in answers.items() for answer in each)


def _tensors(batch: Batch) -> list[tuple[str, Tensor]]:
    given = [("the images", batch.images)]
    return given if batch.labels is None else [*given, ("the labels", batch.labels)]


NETWORKS: Suite[Bench] = Suite(*_ANSWERS.checks, *STATE.checks)
