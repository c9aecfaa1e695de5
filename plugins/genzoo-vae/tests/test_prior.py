from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import genzoo
from genzoo import ImageSpec, LabelError, UnsupportedError
from genzoo.errors import ConfigError
from genzoo_vae.config import VAEConfig
from genzoo_vae.networks import build
from genzoo_vae.prior import Prior
from genzoo_vae.spatial_prior import Autoregression

CLASSES = 3
BASE = (2, 3)  # height and width of the spatial latent
SHAPES = [(2, 0), (3, 0), (5, 0), (8, 0), (3, 3)]  # of the latent: its size, spatial channels


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def new_prior(size: int, layers: int, classes: int | None, spatial: int = 0) -> Prior:
    fields = {"channels": 16, "prior_width": 16, "spatial_channels": spatial}
    config = VAEConfig(latent_dim=size, prior_layers=layers, **fields)
    return Prior(classes, config, BASE)


def make_prior(
    size: int = 5, layers: int = 4, classes: int | None = CLASSES, spatial: int = 0
) -> Prior:
    """Return a prior that is far from the identity, as after a training."""
    prior = new_prior(size, layers, classes, spatial)
    for parameter in prior.parameters():
        torch.nn.init.normal_(parameter, std=min(0.25, parameter[0].numel() ** -0.5))
    return prior


def draw(prior: Prior, rows: int = 4, **options: Any) -> Tensor:
    return torch.randn(rows, prior.latent_dim, **options)


def labels_for(z: Tensor) -> Tensor:
    return torch.arange(len(z)) % CLASSES


def test_without_layers_there_is_no_prior() -> None:
    assert set(build(ImageSpec(1, 28, 28), VAEConfig())) == {"encoder", "decoder"}
    networks = build(ImageSpec(1, 28, 28), VAEConfig(latent_dim=6, prior_layers=2))
    assert isinstance(networks["prior"], Prior)
    assert networks["prior"].latent_dim == 6


@pytest.mark.parametrize("classes", [None, CLASSES])
@pytest.mark.parametrize("spatial", [0, 2])
def test_it_starts_as_the_identity(classes: int | None, spatial: int) -> None:
    prior = new_prior(5, 6, classes, spatial)
    z = draw(prior)
    base, log_det = prior(z, labels_for(z))
    assert torch.equal(base, z)
    assert torch.equal(log_det, torch.zeros(4))


@pytest.mark.parametrize(("size", "spatial"), SHAPES)
@pytest.mark.parametrize("classes", [None, CLASSES])
@torch.no_grad()
def test_the_inverse_leads_back(size: int, spatial: int, classes: int | None) -> None:
    prior = make_prior(size, layers=6, classes=classes, spatial=spatial).double()
    z = 2 * draw(prior, rows=50, dtype=torch.float64)
    base, _ = prior(z, labels_for(z))
    assert (base - z).abs().max() > 0.1
    torch.testing.assert_close(prior.inverse(base, labels_for(z)), z)
    again, _ = prior(prior.inverse(z, labels_for(z)), labels_for(z))
    torch.testing.assert_close(again, z)


@pytest.mark.parametrize("size", [2, 3, 5, 8])
@torch.no_grad()
def test_the_inverse_of_couplings_leads_back_in_float32(size: int) -> None:
    prior = make_prior(size, layers=6)
    z = 2 * draw(prior, rows=50)
    base, _ = prior(z, labels_for(z))
    torch.testing.assert_close(prior.inverse(base, labels_for(z)), z, atol=1e-4, rtol=1e-4)
    again, _ = prior(prior.inverse(z, labels_for(z)), labels_for(z))
    torch.testing.assert_close(again, z, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("size", "spatial"), SHAPES)
def test_the_log_determinant_is_that_of_the_jacobian(size: int, spatial: int) -> None:
    prior = make_prior(size, spatial=spatial).double()
    z = draw(prior, rows=3, dtype=torch.float64)
    _, log_det = prior(z, labels_for(z))
    for row, label, found in zip(z, labels_for(z), log_det, strict=True):

        def one(z: Tensor, label: Tensor = label) -> Tensor:
            base: Tensor = prior(z[None], label[None])[0][0]
            return base

        jacobian = torch.autograd.functional.jacobian(one, row)
        torch.testing.assert_close(found, torch.linalg.slogdet(jacobian).logabsdet)


@pytest.mark.parametrize("label", range(CLASSES))
@torch.no_grad()
def test_the_density_integrates_to_one_for_each_class(label: int) -> None:
    prior = make_prior(2).double()
    axis = torch.linspace(-20, 20, 801, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    base, log_det = prior(z, torch.full((len(z),), label))
    log_density = torch.distributions.Normal(0.0, 1.0).log_prob(base).sum(1) + log_det
    assert log_density.exp().sum().item() * 0.05**2 == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("size", "spatial"), SHAPES)
@torch.no_grad()
def test_two_layers_move_every_dimension(size: int, spatial: int) -> None:
    prior = make_prior(size, layers=2, spatial=spatial)
    z = draw(prior, rows=1)
    assert (prior(z, labels_for(z))[0] != z).all()


@torch.no_grad()
def test_the_spatial_latent_depends_on_the_whole_image_and_on_all_its_places() -> None:
    prior = make_prior(3, spatial=2)
    z = draw(prior, rows=1)

    def change(index: int) -> Tensor:
        other = z.clone()
        other[:, index] += 1
        base, moved = (prior(each, labels_for(z))[0][0, 3:] for each in (z, other))
        return (base != moved).view(2, *BASE).any(0)

    assert change(0).all()
    assert change(3).all()  # the first place
    assert change(8).all()  # the last


@pytest.mark.parametrize("backwards", [False, True])
@torch.no_grad()
def test_a_place_depends_on_those_before_it(backwards: bool) -> None:
    height, width = 7, 5  # higher than the networks see back
    transform = Autoregression(2, context=3, width=8, backwards=backwards)
    for parameter in transform.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    z, context = torch.randn(1, 2, height, width), torch.randn(1, 3, height, width)
    expected = transform(z, context)[0]
    for place in range(height * width):
        other = z.clone()
        other.flatten(2)[:, :, place] += 1
        changed = (transform(other, context)[0] != expected).flatten(2).any(1)[0]
        first, last = (0, place) if backwards else (place, height * width - 1)
        assert changed[place]
        assert not changed[:first].any()
        assert not changed[last + 1 :].any()
        if first < place < last:
            assert changed[place + (-1 if backwards else 1)] or place % width in (0, width - 1)
    torch.testing.assert_close(transform.inverse(expected, context), z, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_draw_far_out_does_not_grow_from_place_to_place() -> None:
    transform = Autoregression(1, context=1, width=16, backwards=False)
    for parameter in transform.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    base = torch.full((1, 1, 20, 6), 5.0)
    maps = transform.inverse(base, torch.zeros_like(base))
    assert maps.abs().max() < 1e5  # 2e11 where each place hears of the others without bound


@torch.no_grad()
def test_no_row_depends_on_the_others() -> None:
    prior = make_prior(spatial=2)
    z = draw(prior, rows=7)
    (base, log_det), labels = prior(z, labels_for(z)), labels_for(z)
    for i in range(7):
        one, change = prior(z[i : i + 1], labels[i : i + 1])
        torch.testing.assert_close(one, base[i : i + 1])
        torch.testing.assert_close(change, log_det[i : i + 1])


@torch.no_grad()
def test_the_class_reaches_the_prior_and_is_required() -> None:
    prior = make_prior(spatial=2)
    z = draw(prior, rows=1)
    first, second = (prior.inverse(z, torch.tensor([label])) for label in (0, 1))
    assert (first - second)[:, :5].abs().max() > 1e-3
    assert (first - second)[:, 5:].abs().max() > 1e-3
    for way in (prior, prior.inverse):
        with pytest.raises(LabelError):
            way(z, None)


@torch.no_grad()
def test_it_stays_float32_under_autocast() -> None:
    prior = make_prior(spatial=2)
    z = draw(prior)
    expected, labels = prior(z, labels_for(z)), labels_for(z)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, back = prior(z, labels), prior.inverse(z, labels)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    assert torch.equal(back, prior.inverse(z, labels))


@torch.no_grad()
def test_wild_latents_stay_finite() -> None:
    prior = make_prior(layers=8, spatial=2)
    z = 1e4 * draw(prior, rows=20)
    base, log_det = prior(z, labels_for(z))
    assert base.isfinite().all()
    assert log_det.isfinite().all()
    assert prior.inverse(z, labels_for(z)).isfinite().all()


def test_a_latent_of_one_dimension_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="one dimension") as caught:
        build(ImageSpec(1, 28, 28), VAEConfig(latent_dim=1, prior_layers=2))
    assert "latent_dim" in caught.value.hint


def recipe(tmp_path: Path, layers: int, spatial: int) -> Path:
    path = tmp_path / "prior.yaml"
    path.write_text(f"""
name: prior
image: {{channels: 1, height: 8, width: 8}}
classes: 10
architecture:
  name: vae
  config:
    {{latent_dim: 4, spatial_channels: {spatial}, channels: 16, prior_layers: {layers},
      prior_width: 16}}
objective: {{name: variational, config: {{prior: learned}}}}
dataset: {{name: digits}}
training:
  {{steps: 4, batch_size: 8, optimizer: {{name: adam, lr: 0.01}}, ema: {{decay: 0.5}}}}
card: {{summary: a test, licence: none, dataset_licence: none, intended_use: tests}}
""")
    return path


def trained(tmp_path: Path, layers: int = 4, spatial: int = 0) -> genzoo.Model:
    config, folder = recipe(tmp_path, layers, spatial), tmp_path / "run"
    return genzoo.train(config, folder, device="cpu", progress=False)


@pytest.mark.parametrize("spatial", [0, 2])
def test_a_trained_prior_is_saved_and_samples_the_same(tmp_path: Path, spatial: int) -> None:
    model = trained(tmp_path, spatial=spatial)
    assert any(p.abs().sum() > 0 for p in model.networks["prior"].couplings[0].output.parameters())
    loaded = genzoo.load(tmp_path / "run", device="cpu")
    assert set(loaded.networks) == {"encoder", "decoder", "prior"}
    images = model.sample(7, seed=3)
    assert torch.equal(loaded.sample(7, seed=3), images)
    for arguments in ({"batch_size": 1}, {"batch_size": 3}):
        torch.testing.assert_close(loaded.sample(7, seed=3, **arguments), images)
    torch.testing.assert_close(loaded.sample(9, seed=3)[:7], images)


@pytest.mark.parametrize("spatial", [0, 2])
def test_codes_decode_to_reconstructions(tmp_path: Path, spatial: int) -> None:
    model = trained(tmp_path, spatial=spatial)
    images, labels = torch.rand(5, 1, 8, 8), torch.arange(5)
    codes: Any = model.encode(images, labels)
    objective: Any = model.objective
    with torch.no_grad():
        decoded = objective.decode(model.networks, codes, labels) / 2 + 0.5
    torch.testing.assert_close(model.reconstruct(images, labels), decoded, atol=1e-5, rtol=1e-5)
    assert model.log_likelihood(images, labels, samples=2).isfinite().all()


def test_a_learned_prior_needs_layers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs the role 'prior'"):
        trained(tmp_path, layers=0)
