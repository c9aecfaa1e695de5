"""Inception-v3, whose features the FID of papers is measured in, by torch-fidelity."""

from __future__ import annotations

import tempfile
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor

from genzoo.data.datasets import patience
from genzoo.errors import UnsupportedError, WeightsError
from genzoo.evaluation.features import FeatureExtractor
from genzoo.files import file_sha256
from genzoo.registry.specs import Extractor

__all__ = ["Inception", "inception"]

_AT_ONCE = 32  # images: at 299x299, a layer's output of 500 would be gigabytes
_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""Of the weights, ported from TensorFlow, that torch-fidelity and pytorch-fid measure with."""


class Inception(FeatureExtractor):
    """The pooled 2,048 features of TensorFlow's Inception-v3 of 2015 (Heusel et al. 2017)."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        # torch-fidelity unpickles whatever the file holds, so it gets one that holds tensors only.
        state = torch.load(weights, map_location="cpu", weights_only=True)
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / "inception.pth"
            torch.save(state, plain)
            self.network = FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(plain)
            )
        self.num_features = 2048
        self.sha256 = file_sha256(weights)

    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        """Return features (B, 2048) of uint8 images (B, C, H, W), and no logits.

        Grey images are taken as RGB; all are resized to 299x299 inside, as TensorFlow did.
        """
        parts = images.expand(-1, 3, -1, -1).split(_AT_ONCE)
        return torch.cat([self.network(part)[0] for part in parts]), None


def inception(spec: Extractor) -> Inception:
    """Return Inception-v3, its weights from torch's hub folder, downloaded there the first time.

    Raises UnsupportedError where torch-fidelity is not installed, WeightsError where the weights
    are neither there nor to be had, or are those of something else.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    except ImportError:
        raise UnsupportedError(
            "the extractor 'inception' needs torch-fidelity, which is not installed.",
            hint="pip install 'genzoo[inception]'",
        ) from None
    target = Path(torch.hub.get_dir()) / "checkpoints" / URL_INCEPTION_V3.rpartition("/")[2]
    if not target.is_file():
        _download(URL_INCEPTION_V3, target)
    elif file_sha256(target) != _SHA256:
        raise WeightsError(
            f"{target} does not hold the weights of the extractor 'inception'.",
            hint="Delete it, and it is downloaded anew where there is a network.",
        )
    return Inception(target)


def _download(url: str, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with patience():
            torch.hub.download_url_to_file(url, str(target), hash_prefix=_SHA256, progress=False)
    except (OSError, RuntimeError, ValueError, HTTPException) as error:
        raise WeightsError(
            f"cannot get the weights of the extractor 'inception' from {url}: {error}.",
            hint=f"Go where there is a network, or put the file at {target} yourself.",
        ) from None
