import subprocess
import sys

import pytest
from pydantic import ValidationError

from genzoo.objectives.configs import (
    AdversarialConfig,
    AugmentationConfig,
    PenaltiesConfig,
    VariationalConfig,
)
from genzoo.objectives.losses import losses
from genzoo.registry.schema import Config


def test_configs_are_read_without_torch_or_numpy() -> None:
    code = (
        "import sys, genzoo.objectives.configs;"
        "print(sorted({'torch', 'numpy', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(losses))
def test_every_loss_can_be_configured(name: str) -> None:
    assert AdversarialConfig.model_validate({"loss": name}).loss == name


def test_penalties_are_off_and_the_elbo_is_plain_unless_asked_for() -> None:
    penalties = AdversarialConfig().penalties
    assert (penalties.r1, penalties.r2, penalties.wgan_gp) == (0, 0, 0)
    variational = VariationalConfig()
    assert (variational.beta, variational.warmup_steps, variational.free_bits) == (1, 0, 0)


@pytest.mark.parametrize(
    ("config", "values"),
    [
        (AdversarialConfig, {"loss": "cross-entropy"}),
        (AdversarialConfig, {"discriminator_steps": 0}),
        (AdversarialConfig, {"discriminators": 0}),
        (AdversarialConfig, {"discriminator_focus": -1.0}),
        (AdversarialConfig, {"discriminator_focus": 1e300}),
        (AdversarialConfig, {"spectral_norm": "generator"}),
        (AdversarialConfig, {"label_smoothing": -0.1}),
        (AdversarialConfig, {"instance_noise": -0.1}),
        (AdversarialConfig, {"instance_noise": 10.5}),
        (AdversarialConfig, {"instance_noise_steps": -1}),
        (AugmentationConfig, {"colour": 1.5}),
        (AdversarialConfig, {"penalties": {"r3": 1.0}}),
        (PenaltiesConfig, {"r1": -0.1}),
        (PenaltiesConfig, {"r1": 1e300}),
        (PenaltiesConfig, {"r2": float("nan")}),
        (PenaltiesConfig, {"wgan_gp": -1.0}),
        (PenaltiesConfig, {"every": 0}),
        (PenaltiesConfig, {"anneal_to": 0.0}),
        (PenaltiesConfig, {"anneal_to": 1.5}),
        (PenaltiesConfig, {"anneal_steps": -1}),
        (PenaltiesConfig, {"wgan_gp": 1.1e6}),
        (AugmentationConfig, {"padding": "reflect"}),
        (VariationalConfig, {"beta": -1.0}),
        (VariationalConfig, {"beta": 1e300}),
        (VariationalConfig, {"warmup_steps": -1}),
        (VariationalConfig, {"free_bits": -0.5}),
    ],
)
def test_impossible_values_are_refused(config: type[Config], values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        config.model_validate(values)


@pytest.mark.parametrize(
    "config", [AdversarialConfig, AugmentationConfig, PenaltiesConfig, VariationalConfig]
)
def test_every_field_has_a_help_text(
    config: type[Config],
) -> None:
    assert all(field.description for field in config.model_fields.values())
