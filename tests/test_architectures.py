"""What every architecture promises, checked for each one installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import genzoo
from genzoo import ImageSpec, UnsupportedError
from genzoo.registry.discovery import registry
from genzoo.registry.specs import resolve

BATCH = 2
SIZES = [(1, 28, 28), (3, 32, 32), (1, 64, 64), (3, 64, 64)]
SPECS = [ImageSpec(*size, classes) for size in SIZES for classes in (None, 10)]
# What does not depend on the number of pixels is checked at one size, to keep the suite quick.
SMALL = [ImageSpec(1, 28, 28), ImageSpec(3, 32, 32, 10)]

architectures = pytest.mark.parametrize("name", genzoo.list_architectures())
all_specs = pytest.mark.parametrize("spec", SPECS, ids=str)
small_specs = pytest.mark.parametrize("spec", SMALL, ids=str)

Call = Callable[[nn.Module, Tensor, Tensor, "Tensor | None"], Tensor]


def build(name: str, spec: ImageSpec) -> dict[str, nn.Module]:
    """Return the networks of `name` with its default config, the same ones at every call."""
    architecture = registry().architecture(name)
    torch.manual_seed(0)
    networks: dict[str, nn.Module] = resolve(architecture.networks)(
        spec, resolve(architecture.config)()
    )
    return networks


# One call a role, as the contract has it. Each takes the network, latents (B, Z), images
# (B, C, H, W) and labels (B,) or None, checks shapes and ranges, and returns what came out as
# (B, values).


def call_generator(network: nn.Module, z: Tensor, images: Tensor, labels: Tensor | None) -> Tensor:
    made: Tensor = network(z, labels)
    assert made.shape == images.shape
    assert made.dtype == torch.float32
    assert made.abs().max() <= 1
    return made.flatten(1)


def call_discriminator(
    network: nn.Module, z: Tensor, images: Tensor, labels: Tensor | None
) -> Tensor:
    logits: Tensor = network(images, labels)
    assert logits.shape == images.shape[:1]
    return logits[:, None]


def call_encoder(network: nn.Module, z: Tensor, images: Tensor, labels: Tensor | None) -> Tensor:
    latents = network(images, labels)
    assert latents.mean.shape == latents.rsample().shape == z.shape
    density = latents.log_prob(z)
    assert density.shape == z.shape[:1]
    return torch.cat([latents.mean, density[:, None]], dim=1)


def call_decoder(network: nn.Module, z: Tensor, images: Tensor, labels: Tensor | None) -> Tensor:
    pixels = network(z, labels)
    assert pixels.mean.shape == images.shape
    assert pixels.mean.abs().max() <= 1
    density = pixels.log_prob(images)
    assert density.shape == images.shape[:1]
    return torch.cat([pixels.mean.flatten(1), density[:, None]], dim=1)


CALLS: Mapping[str, Call] = {
    "generator": call_generator,
    "discriminator": call_discriminator,
    "encoder": call_encoder,
    "decoder": call_decoder,
}


def latent_dim(networks: Mapping[str, nn.Module]) -> int:
    (found,) = {n.latent_dim for role, n in networks.items() if role in ("generator", "decoder")}
    assert isinstance(found, int)
    return found


def inputs(
    networks: Mapping[str, nn.Module], spec: ImageSpec, batch: int = BATCH
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return latents, images on the 256 levels that pixels have, and labels."""
    random = torch.Generator().manual_seed(1)
    z = torch.randn(batch, latent_dim(networks), generator=random)
    shape = (batch, spec.channels, spec.height, spec.width)
    images = torch.randint(256, shape, generator=random) / 127.5 - 1
    labels = None
    if spec.classes is not None:
        labels = torch.arange(batch) % spec.classes
    return z, images, labels


def run(
    networks: Mapping[str, nn.Module], z: Tensor, images: Tensor, labels: Tensor | None
) -> dict[str, Tensor]:
    return {role: CALLS[role](network, z, images, labels) for role, network in networks.items()}


def set_mode(networks: Mapping[str, nn.Module], training: bool) -> None:
    for network in networks.values():
        network.train(training)


@architectures
def test_every_role_is_one_that_the_contract_names(name: str) -> None:
    networks = build(name, SMALL[0])
    assert networks
    assert set(networks) <= set(CALLS)


@architectures
@all_specs
@torch.no_grad()
def test_every_role_answers_with_the_shapes_and_ranges_of_its_contract(
    name: str, spec: ImageSpec
) -> None:
    networks = build(name, spec)
    for values in run(networks, *inputs(networks, spec)).values():
        assert values.isfinite().all()


@architectures
@small_specs
def test_a_gradient_reaches_every_parameter(name: str, spec: ImageSpec) -> None:
    networks = build(name, spec)
    # Away from the initial values: some, a gate of zero say, hold gradients back on purpose.
    with torch.no_grad():
        for network in networks.values():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    for role, values in run(networks, *inputs(networks, spec)).items():
        torch.autograd.backward(values.square().mean())
        unreached = [
            key
            for key, parameter in networks[role].named_parameters()
            if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
        ]
        assert unreached == [], role


@architectures
@small_specs
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@torch.no_grad()
def test_a_batch_of_one_works(name: str, spec: ImageSpec, training: bool) -> None:
    networks = build(name, spec)
    set_mode(networks, training)
    for values in run(networks, *inputs(networks, spec, batch=1)).values():
        assert values.isfinite().all()


@architectures
@small_specs
@torch.no_grad()
def test_an_image_does_not_depend_on_the_others_of_its_batch(name: str, spec: ImageSpec) -> None:
    networks = build(name, spec)
    set_mode(networks, training=False)
    z, images, labels = inputs(networks, spec, batch=4)
    together = run(networks, z, images, labels)
    rows = slice(1, 3)
    apart = run(networks, z[rows], images[rows], None if labels is None else labels[rows])
    for role, values in apart.items():
        torch.testing.assert_close(values, together[role][rows], rtol=1e-5, atol=1e-5)


@architectures
@small_specs
@torch.no_grad()
def test_latents_and_images_change_what_comes_out(name: str, spec: ImageSpec) -> None:
    networks = build(name, spec)
    set_mode(networks, training=False)
    z, images, labels = inputs(networks, spec)
    first = run(networks, z, images, labels)
    second = run(networks, -z, -images, labels)
    for role, values in first.items():
        assert not torch.allclose(values, second[role]), role


@architectures
@all_specs
@torch.no_grad()
def test_networks_built_on_meta_take_weights_and_give_the_same_bits(
    name: str, spec: ImageSpec
) -> None:
    source = build(name, spec)
    with torch.device("meta"):
        target = build(name, spec)
    for role, network in target.items():
        network.load_state_dict(source[role].state_dict(), strict=True, assign=True)
        tensors = [*network.named_parameters(), *network.named_buffers()]
        assert [key for key, tensor in tensors if tensor.is_meta] == []
    set_mode(source, training=False)
    set_mode(target, training=False)
    expected = run(source, *inputs(source, spec))
    for role, values in run(target, *inputs(target, spec)).items():
        assert torch.equal(values, expected[role]), role


@architectures
@torch.no_grad()
def test_labels_change_what_comes_out(name: str) -> None:
    spec = ImageSpec(1, 28, 28, 10)
    networks = build(name, spec)
    set_mode(networks, training=False)
    z, images, _ = inputs(networks, spec)
    ones = run(networks, z, images, torch.tensor([1, 1]))
    mixed = run(networks, z, images, torch.tensor([1, 2]))
    for role, values in mixed.items():
        torch.testing.assert_close(values[0], ones[role][0])
        assert not torch.allclose(values[1], ones[role][1]), role


@architectures
def test_labels_are_required_where_classes_are_declared(name: str) -> None:
    spec = ImageSpec(1, 28, 28, 10)
    networks = build(name, spec)
    z, images, _ = inputs(networks, spec)
    for role, network in networks.items():
        with pytest.raises(genzoo.GenzooError, match="labels"):
            CALLS[role](network, z, images, None)


@architectures
@torch.no_grad()
def test_labels_are_ignored_without_classes(name: str) -> None:
    spec = ImageSpec(1, 28, 28)
    networks = build(name, spec)
    set_mode(networks, training=False)
    z, images, _ = inputs(networks, spec)
    without = run(networks, z, images, None)
    for role, values in run(networks, z, images, torch.tensor([1, 2])).items():
        assert torch.equal(values, without[role]), role


def refusal(name: str, spec: ImageSpec) -> UnsupportedError | None:
    try:
        build(name, spec)
    except UnsupportedError as error:
        return error
    return None


@architectures
@pytest.mark.parametrize("size", [(1, 1, 1), (1, 29, 31), (3, 20, 28)], ids=str)
@torch.no_grad()
def test_an_odd_size_works_or_is_refused_with_a_hint(name: str, size: tuple[int, int, int]) -> None:
    spec = ImageSpec(*size)
    error = refusal(name, spec)
    if error is None:
        networks = build(name, spec)
        run(networks, *inputs(networks, spec))
    else:
        assert name in error.message
        assert f"{spec.height}x{spec.width}" in error.message
        assert error.hint


@architectures
def test_the_default_objective_finds_its_roles(name: str) -> None:
    architecture = registry().architecture(name)
    objective = registry().objective(architecture.objective)
    built: Any = resolve(objective.factory)(resolve(objective.config)())
    assert built.roles <= set(build(name, SMALL[0]))


@architectures
def test_its_paper_and_its_config_are_described(name: str) -> None:
    architecture = registry().architecture(name)
    assert architecture.summary
    assert architecture.paper
    fields = resolve(architecture.config).model_fields
    assert [key for key, field in fields.items() if not field.description] == []
