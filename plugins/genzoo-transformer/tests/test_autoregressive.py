"""The objective `autoregressive`: exact likelihoods, and images drawn by them."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

import genzoo
from genzoo import GenzooError, UnsupportedError
from genzoo.noise import Noise
from genzoo.objectives.base import Batch
from genzoo_transformer.autoregressive import Autoregressive
from genzoo_transformer.autoregressor import NO_LABEL
from genzoo_transformer.config import AutoregressiveConfig

LEVELS = 3
SMALL = {"width": 16, "depth": 1, "heads": 2, "reach": 1, "levels": LEVELS, "patch_size": 2}


@pytest.fixture
def model() -> genzoo.Model:
    return made()


def made(classes: int | None = 4, image: tuple[int, int, int] = (1, 2, 4), **config: Any) -> Any:
    """Return a model of 3 levels whose weights are far from their start."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = genzoo.create("pixel-transformer", image, classes, **{**SMALL, **config})
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def told(model: genzoo.Model, **settings: Any) -> genzoo.Model:
    """Return the model with another way of drawing."""
    objective = Autoregressive(AutoregressiveConfig(**settings))
    return genzoo.Model(model.config, model.networks, objective).eval()


def every_image(pixels: int = 8) -> Tensor:
    """Return all images (3^8, 1, 2, 4) in [0, 1] of three levels."""
    each = torch.tensor(list(product((0.0, 0.5, 1.0), repeat=pixels)))
    return each.view(-1, 1, 2, pixels // 2)


@pytest.mark.parametrize("label", range(2))
def test_probabilities_of_all_images_sum_to_one(model: genzoo.Model, label: int) -> None:
    images = every_image()
    total = model.log_likelihood(images, label, batch_size=3**8).double().exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-4)
    assert model.is_probability(images[:100], label)


def test_a_grey_between_the_levels_has_no_probability(model: genzoo.Model) -> None:
    assert not model.is_probability(torch.full((1, 1, 2, 4), 0.4), 0)


def test_images_are_drawn_as_often_as_they_are_likely() -> None:
    model = made(None, (1, 2, 2))
    images = torch.tensor(list(product((0.0, 0.5, 1.0), repeat=4))).view(-1, 1, 2, 2)
    expected = model.log_likelihood(images).double().exp()
    count = 20_000
    drawn = model.sample(count, seed=0, batch_size=count)
    which = (drawn.flatten(1).mul(2).round() * torch.tensor([27.0, 9, 3, 1])).sum(1).long()
    found = which.bincount(minlength=81).double()
    # Pearson's statistic of 81 kinds has mean 80 and a standard deviation of about 13.
    statistic = ((found - count * expected).square() / (count * expected)).sum().item()
    assert statistic < 80 + 5 * 13


def test_an_image_depends_on_its_seed_and_label_alone(model: genzoo.Model) -> None:
    together = model.sample(12, seed=3, labels=range(4))
    torch.testing.assert_close(model.sample(12, seed=3, labels=range(4), batch_size=5), together)
    torch.testing.assert_close(model.sample(5, seed=3, labels=range(4)), together[:5])
    assert not torch.equal(model.sample(12, seed=4, labels=range(4)), together)


@pytest.mark.parametrize(("height", "rows"), [(4, 2), (2, 1)])
def test_a_completion_keeps_its_rows_and_is_drawn_as_the_rest_is_likely(
    height: int, rows: int
) -> None:
    """Of a patch beneath another, and of one that is cut."""
    model = made(None, (1, height, 2))
    kept = torch.tensor([[0.0, 1.0], [0.5, 0.5]])[:rows]
    count, pixels = 20_000, 2 * (height - rows)
    images = kept.new_zeros(count, 1, height, 2)
    images[:, 0, :rows] = kept
    done = model.complete(images, rows, seed=0, batch_size=count)
    assert torch.equal(done[:, :, :rows], images[:, :, :rows])
    rests = torch.tensor(list(product((0.0, 0.5, 1.0), repeat=pixels))).view(
        -1, 1, height - rows, 2
    )
    kinds = len(rests)
    whole = torch.cat([kept.expand(kinds, 1, rows, 2), rests], dim=2)
    expected = model.log_likelihood(whole).double().softmax(0)
    digits = 3.0 ** torch.arange(pixels - 1, -1, -1)
    which = (done[:, :, rows:].flatten(1).mul(2).round() * digits).sum(1).long()
    found = which.bincount(minlength=kinds).double()
    # Pearson's statistic has mean kinds - 1 and variance 2 (kinds - 1).
    statistic = ((found - count * expected).square() / (count * expected)).sum().item()
    assert statistic < kinds - 1 + 5 * (2 * (kinds - 1)) ** 0.5


def test_rows_that_cut_patches_are_kept_all_along_them() -> None:
    model = made(4, (3, 6, 8), levels=256)
    images = torch.rand(5, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    for rows, given in ((3, images), (1, images), (5, (images * 255).byte())):
        done = model.complete(given, rows, 1, seed=0)
        expected = given[:, :, :rows] / (255 if given.dtype == torch.uint8 else 1)
        assert torch.equal(done[:, :, :rows], expected)
        assert not torch.equal(
            done[:, :, rows:], model.complete(given, rows, 1, seed=1)[:, :, rows:]
        )


def test_what_is_kept_is_seen() -> None:
    """By 2,000 draws of what follows a black row, and of what follows a white one."""
    model = made(None, (1, 3, 4), patch_size=1)
    means = [
        model.complete(torch.full((2000, 1, 3, 4), grey), 1, seed=0)[:, :, 1:].mean(0)
        for grey in (0.0, 1.0)
    ]
    assert (means[0] - means[1]).abs().max() > 0.1


def test_a_completion_depends_on_its_image_seed_and_place_alone() -> None:
    model = made(4, (1, 4, 4))
    images = model.sample(7, seed=0, labels=range(4))
    labels = [i % 4 for i in range(7)]
    together = model.complete(images, 2, labels, seed=5)
    torch.testing.assert_close(model.complete(images, 2, labels, seed=5, batch_size=2), together)
    assert torch.equal(model.complete(images, 4, labels, seed=5), images)
    assert not torch.equal(model.complete(images, 2, labels, seed=6), together)


def test_nothing_kept_is_a_sample_of_another_stream() -> None:
    model = made(4, (1, 4, 4))
    images = torch.zeros(200, 1, 4, 4)
    done = model.complete(images, 0, 1, seed=0)
    drawn = model.sample(200, seed=0, labels=1)
    assert not torch.equal(done, drawn)
    assert done.mean().item() == pytest.approx(drawn.mean().item(), abs=0.1)


def test_rows_that_cannot_be_kept_are_refused(model: genzoo.Model) -> None:
    images = torch.zeros(2, 1, 2, 4)
    for rows in (-1, 3, 1.5, "1", None):
        with pytest.raises(UnsupportedError, match="keep_rows is"):
            model.complete(images, rows, 0)  # type: ignore[arg-type]


def test_the_loss_is_what_log_likelihood_says(model: genzoo.Model) -> None:
    images = every_image()[:50]
    labels = torch.arange(50) % 4
    objective = Autoregressive(AutoregressiveConfig(label_dropout=0))
    batch = Batch(images * 2 - 1, labels, Noise(0, range(50)))
    loss, logs = objective.loss("likelihood", model.networks, batch, 0)
    nats = -model.log_likelihood(images, labels).mean()
    torch.testing.assert_close(logs["nll"], nats)
    torch.testing.assert_close(loss, nats / 8)
    torch.testing.assert_close(logs["bits_per_dim"], nats / 8 / torch.tensor(2.0).log())


def test_labels_are_dropped_as_often_as_asked(model: genzoo.Model) -> None:
    seen: list[Tensor] = []
    network = model.networks["autoregressor"]
    hook = network.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    images = torch.zeros(1000, 1, 2, 4)
    for share in (0.0, 0.25, 1.0):
        objective = Autoregressive(AutoregressiveConfig(label_dropout=share))
        objective.loss(
            "likelihood",
            model.networks,
            Batch(images, torch.ones(1000, dtype=torch.int64), Noise(0, range(1000))),
            0,
        )
    hook.remove()
    dropped = [(labels == NO_LABEL).float().mean().item() for labels in seen]
    assert dropped == pytest.approx([0, 0.25, 1], abs=0.05)


def test_guidance_goes_beyond_the_label(model: genzoo.Model) -> None:
    def mean(weight: float) -> Tensor:
        return told(model, guidance=weight).sample(500, seed=0, labels=2).mean()

    with_label, without = mean(1), mean(0)
    network = model.networks["autoregressor"]
    with torch.no_grad():
        first = network.reader(1, torch.tensor([2])).logits()
        none = network.reader(1, torch.tensor([NO_LABEL])).logits()
    assert not torch.equal(first, none)
    assert with_label != without
    # Extrapolated: what is drawn first is by none + 3 (label - none).
    logits = none + 3 * (first - none)
    images = told(model, guidance=3).sample(2000, seed=0, labels=2)
    found = images[:, 0, 0, 0].mul(2).round().long().bincount(minlength=LEVELS) / 2000
    torch.testing.assert_close(found.double(), logits.softmax(1)[0], rtol=0, atol=0.04)


def test_guidance_of_nothing_does_without_the_label(model: genzoo.Model) -> None:
    blind = told(model, guidance=0)
    for verb in (
        lambda label: blind.sample(20, seed=0, labels=label),
        lambda label: blind.complete(torch.zeros(5, 1, 2, 4), 1, label, seed=0),
        lambda label: blind.attention(torch.zeros(5, 1, 2, 4), [(0, 3)], label),
    ):
        assert torch.equal(verb(1), verb(2))


def test_guidance_completes_the_same_at_any_batch_size() -> None:
    model = told(made(4, (1, 4, 4)), guidance=2.5)
    images = model.sample(6, seed=0, labels=range(4))
    labels = [i % 4 for i in range(6)]
    whole = model.complete(images, 2, labels, seed=1)
    assert torch.equal(model.complete(images, 2, labels, seed=1, batch_size=1), whole)
    other = told(model, guidance=1).complete(images, 2, labels, seed=1)
    assert not torch.equal(other, whole)


def test_compiled_it_draws_the_same_and_is_translated_once(
    model: genzoo.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By dynamo itself, whose graphs are run as they are: no compiler is waited for."""
    graphs = []

    def backend(module: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        graphs.append(module)
        return module.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend, fullgraph=True))
    torch._dynamo.reset()
    compiled = told(model, compile=True).sample(12, seed=0, labels=1, batch_size=4)
    assert torch.equal(compiled, model.sample(12, seed=0, labels=1))
    assert len(graphs) == 2  # of a token and of a symbol, for all three batches


def test_guidance_that_was_not_learned_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs label_dropout above 0"):
        AutoregressiveConfig(guidance=2, label_dropout=0)


def test_another_network_is_told_what_it_lacks() -> None:
    networks = nn.ModuleDict({"autoregressor": nn.Linear(1, 1)})
    objective = Autoregressive(AutoregressiveConfig())
    with pytest.raises(GenzooError, match="a Linear, lacks"):
        objective.sample(networks, Noise(0, range(2)), None)
