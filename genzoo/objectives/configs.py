"""The configs of the core's own objectives, torch-free."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from genzoo.registry.schema import Config

__all__ = ["AdversarialConfig", "AugmentationConfig", "PenaltiesConfig", "VariationalConfig"]

Weight = Annotated[float, Field(ge=0, le=1_000_000)]  # much beyond, float32 has no room
Steps = Annotated[int, Field(ge=0)]

_WITH_TARGETS = ("non-saturating", "minimax", "least-squares")


class PenaltiesConfig(Config):
    """Gradient penalties on the discriminator. A weight of 0 leaves a penalty out."""

    r1: Weight = 0.0
    """Weight gamma of gamma/2 E||grad D||^2 on real images (R1, Mescheder et al. 2018)."""
    r2: Weight = 0.0
    """Weight gamma of gamma/2 E||grad D||^2 on generated images (R2, Mescheder et al. 2018)."""
    wgan_gp: Weight = 0.0
    """Weight lambda of lambda E(||grad D|| - 1)^2 between real and generated images (Gulrajani et
    al. 2017, who use 10)."""
    every: Annotated[int, Field(ge=1)] = 1
    """Add the penalties on every k-th discriminator step only, times k (lazy regularization, Karras
    et al. 2020)."""
    anneal_to: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The factor that the weights end at, after `anneal_steps`."""
    anneal_steps: Steps = 0
    """Steps of the cosine anneal of the weights to `anneal_to` times their value; 0 for none."""


class AugmentationConfig(Config):
    """What is done to all images before the discriminator sees them. 0 leaves one out."""

    colour: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Strength of random changes of brightness, saturation and contrast; DiffAugment has 1 (Zhao et
    al. 2020)."""
    translation: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest shift, as a share of the side; DiffAugment has 0.125 (Zhao et al. 2020)."""
    padding: Literal["border", "zeros"] = "border"
    """What a shift uncovers: more of the pixels at the border, or 0, mid-grey, as DiffAugment has
    it."""
    cutout: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Sides of the rectangle that is cut out, as a share of the image's; DiffAugment has 0.5."""


class AdversarialConfig(Config):
    """How a generator and a discriminator are trained against each other."""

    loss: Literal[
        "non-saturating", "minimax", "least-squares", "hinge", "wasserstein", "relativistic"
    ] = "non-saturating"
    """The loss of both networks. `wasserstein` is meant to be used with `wgan_gp`, `relativistic`
    with `r1` and `r2`."""
    label_smoothing: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """What the target of real images lies below 1, for losses with targets: `non-saturating`,
    `minimax` and `least-squares` (one-sided label smoothing, Salimans et al. 2016, who use 0.1)."""
    discriminator_steps: Annotated[int, Field(ge=1)] = 1
    """Discriminator steps for each generator step."""
    discriminators: Annotated[int, Field(ge=1, le=64)] = 1
    """How many discriminators there are, each with weights and a loss of its own (GMAN, Durugkar et
    al. 2017)."""
    discriminator_focus: Weight = 0.0
    """Lambda of GMAN's softmax over several discriminators: 0 trains the generator against their
    mean, a large one against the harshest."""
    spectral_norm: Literal["none", "discriminator", "both"] = "none"
    """The networks whose layers are divided by their largest singular value: the discriminator
    (Miyato et al. 2018), or the generator too (Zhang et al. 2019)."""
    penalties: PenaltiesConfig = PenaltiesConfig()
    """Gradient penalties on the discriminator."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """What the discriminator sees, real and generated alike: against overfitting."""
    instance_noise: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Standard deviation of Gaussian noise on all that the discriminator sees, whose pixels go from
    -1 to 1 (Sønderby et al. 2017)."""
    instance_noise_steps: Steps = 0
    """Steps of the linear anneal of `instance_noise` to 0; 0 for none."""

    @model_validator(mode="after")
    def _smoothed_labels_are_targets(self) -> Self:
        if self.label_smoothing and self.loss not in _WITH_TARGETS:
            raise ValueError(
                f"label_smoothing needs a loss with targets, {', '.join(_WITH_TARGETS)}: "
                f"{self.loss} has none"
            )
        return self


class VariationalConfig(Config):
    """How an encoder and a decoder are trained as a variational autoencoder."""

    DRAWING: ClassVar[frozenset[str]] = frozenset({"samples"})

    beta: Weight = 1.0
    """Weight of the KL term; 1 trains the evidence lower bound itself (Higgins et al. 2017)."""
    warmup_steps: Steps = 0
    """Steps over which the weight of the KL term rises linearly from 0 to `beta`; 0 for none."""
    free_bits: Weight = 0.0
    """Nats per latent dimension below which the batch-mean KL is not reduced further (Kingma et al.
    2016); with a learned prior, on average over the dimensions."""
    prior: Literal["normal", "learned"] = "normal"
    """The prior over latents: N(0, I), or the architecture's own network `prior`, a normalizing
    flow that is trained with the rest (Chen et al. 2017). `vae` builds it for `prior_layers` above
    0."""
    samples: Literal["expected", "drawn"] = "expected"
    """What sampling gives: each pixel's expectation, or a draw of it, which is noise to the eye but
    for images that are black and white."""
