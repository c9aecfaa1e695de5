"""The core's own objectives, datasets and zoo configs, by the same hooks as anybody's."""

from __future__ import annotations

from pathlib import Path

from genzoo.registry.hookspecs import hookimpl
from genzoo.registry.specs import Dataset, ImageSpec, Objective


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
            factory="genzoo.data.datasets:digits",
            image=ImageSpec(1, 8, 8, 10),
            licence="CC-BY-4.0",
            homepage="https://doi.org/10.24432/C50P49",
        ),
    ]


@hookimpl
def genzoo_zoo_configs() -> list[Path]:
    """Return the folder of the curated zoo."""
    package = Path(__file__).resolve().parents[1]
    shipped, checkout = package / "zoo_configs", package.parent / "zoo_configs"
    return [shipped if shipped.is_dir() else checkout]
