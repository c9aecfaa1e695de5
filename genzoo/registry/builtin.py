"""The core's own objectives, datasets and zoo configs, by the same hooks as anybody's."""

from __future__ import annotations

from pathlib import Path

from genzoo.registry.hookspecs import hookimpl
from genzoo.registry.specs import Callback, Dataset, Extractor, ImageSpec, Objective


@hookimpl
def genzoo_objectives() -> list[Objective]:
    """Return the objectives that the core brings."""
    return [
        Objective(
            name="adversarial",
            summary="a generator and a discriminator play against each other",
            config="genzoo.objectives.configs:AdversarialConfig",
            factory="genzoo.objectives.adversarial:Adversarial",
            paper="arXiv:1406.2661",
        ),
        Objective(
            name="variational",
            summary="an encoder and a decoder maximize a lower bound on the likelihood",
            config="genzoo.objectives.configs:VariationalConfig",
            factory="genzoo.objectives.variational:Variational",
            paper="arXiv:1312.6114",
        ),
    ]


@hookimpl
def genzoo_datasets() -> list[Dataset]:
    """Return the datasets that the core brings."""
    return [
        Dataset(
            name="mnist",
            summary="60,000 + 10,000 handwritten digits, 28x28, grey",
            config="genzoo.data.configs:TorchvisionConfig",
            factory="genzoo.data.datasets:mnist",
            image=ImageSpec(1, 28, 28, 10),
            licence="CC-BY-SA-3.0",
            homepage="http://yann.lecun.com/exdb/mnist/",
        ),
        Dataset(
            name="binarized-mnist",
            summary="MNIST in black and white, drawn at random by its grey values; for likelihoods",
            config="genzoo.data.configs:TorchvisionConfig",
            factory="genzoo.data.datasets:binarized_mnist",
            image=ImageSpec(1, 28, 28, 10),
            licence="CC-BY-SA-3.0",
            homepage="https://arxiv.org/abs/1509.00519",
        ),
        Dataset(
            name="fashion-mnist",
            summary="60,000 + 10,000 articles of clothing, 28x28, grey",
            config="genzoo.data.configs:TorchvisionConfig",
            factory="genzoo.data.datasets:fashion_mnist",
            image=ImageSpec(1, 28, 28, 10),
            licence="MIT",
            homepage="https://github.com/zalandoresearch/fashion-mnist",
        ),
        Dataset(
            name="cifar10",
            summary="50,000 + 10,000 photographs of ten kinds of things, 32x32, RGB",
            config="genzoo.data.configs:TorchvisionConfig",
            factory="genzoo.data.datasets:cifar10",
            image=ImageSpec(3, 32, 32, 10),
            licence="none stated by its authors",
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        ),
        Dataset(
            name="folder",
            summary="any folder of images, resized; its sub-folders are the classes",
            config="genzoo.data.configs:FolderConfig",
            factory="genzoo.data.folder:folder",
            image=None,
            licence="that of the images",
        ),
        Dataset(
            name="digits",
            summary="1,500 + 297 handwritten digits, 8x8, grey; embedded, for trying and testing",
            config="genzoo.data.configs:DigitsConfig",
            factory="genzoo.data.embedded:digits",
            image=ImageSpec(1, 8, 8, 10),
            licence="CC-BY-4.0",
            homepage="https://doi.org/10.24432/C50P49",
        ),
    ]


@hookimpl
def genzoo_callbacks() -> list[Callback]:
    """Return the callbacks that the core brings."""
    return [
        Callback(
            name="metrics",
            summary="a line of figures in metrics.jsonl every log_every steps",
            factory="genzoo.training.callbacks:MetricsFile",
            order=-40,
            required=True,
        ),
        Callback(
            name="tensorboard",
            summary="figures and previews for TensorBoard; needs genzoo[tensorboard]",
            factory="genzoo.training.callbacks:TensorBoard",
            order=-30,
            default=False,
        ),
        Callback(
            name="previews",
            summary="the same noise and labels drawn again and again, in previews/",
            factory="genzoo.training.callbacks:Previews",
            order=-20,
        ),
        Callback(
            name="alarms",
            summary="warnings of what goes wrong for long, and what people do about it",
            factory="genzoo.training.alarms:Alarms",
            order=-15,
        ),
        Callback(
            name="progress",
            summary="a bar with losses, speed and time left, or lines where there is no terminal",
            factory="genzoo.training.callbacks:ProgressBar",
            order=-10,
        ),
    ]


@hookimpl
def genzoo_extractors() -> list[Extractor]:
    """Return the feature extractors that the core brings."""
    return [
        Extractor(
            name="mnist",
            summary="a small convolutional classifier of handwritten digits",
            factory="genzoo.evaluation.features:classifier",
            datasets=("mnist", "binarized-mnist"),
            image=ImageSpec(1, 28, 28, 10),
            weights="pkg://genzoo/evaluation/weights/mnist.safetensors",
            sha256="24c38ce4d0b7146c251e8d363ef56d50dc28be2e28fb00d5a22a7a877b363673",
            accuracy=0.9968,
            licence="Apache-2.0",
        ),
        Extractor(
            name="fashion-mnist",
            summary="a small convolutional classifier of articles of clothing",
            factory="genzoo.evaluation.features:classifier",
            datasets=("fashion-mnist",),
            image=ImageSpec(1, 28, 28, 10),
            weights="pkg://genzoo/evaluation/weights/fashion-mnist.safetensors",
            sha256="b54954c3070dde7dd41772438e62db19da8a01340a95ac070773ef095810f8a9",
            accuracy=0.9269,
            licence="Apache-2.0",
        ),
        Extractor(
            name="digits",
            summary="a small convolutional classifier of digits",
            factory="genzoo.evaluation.features:classifier",
            datasets=("digits",),
            image=ImageSpec(1, 8, 8, 10),
            weights="pkg://genzoo/evaluation/weights/digits.safetensors",
            sha256="0931da31f659bd4dc23089783e52683f2025bad6be4a39048054decac6f50c97",
            accuracy=0.9933,
            licence="Apache-2.0",
        ),
        Extractor(
            name="inception",
            summary="Inception-v3, as FID in papers; needs genzoo[inception] and a download",
            factory="genzoo.evaluation.inception:inception",
            licence="Apache-2.0",
        ),
    ]


@hookimpl
def genzoo_zoo_configs() -> list[Path]:
    """Return the folder of the curated zoo."""
    package = Path(__file__).resolve().parents[1]
    shipped, checkout = package / "zoo_configs", package.parent / "zoo_configs"
    return [shipped if shipped.is_dir() else checkout]
