"""Where weights come from: pkg://, a file, https://, hf://. What is on disk is used without asking a network."""

from __future__ import annotations

import http.client
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from genzoo.errors import WeightsError
from genzoo.files import atomic_file
from genzoo.registry.catalog import package_file
from genzoo.registry.config import WeightsConfig
from genzoo.weights.format import verify

__all__ = ["cache_folder", "locate"]

_TIMEOUT = 30  # seconds without an answer


def cache_folder() -> Path:
    """Return the folder of downloaded weights: GENZOO_CACHE, or genzoo/ in the user's cache folder."""
    if named := os.environ.get("GENZOO_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genzoo"


def locate(weights: WeightsConfig, *, beside: Path) -> Path:
    """Return the local file of these weights, downloaded into the cache if need be; not yet verified.

    `beside` is the YAML file that relative paths start from.
    """
    uri = weights.uri
    if uri.startswith("pkg://"):
        file = package_file(uri)
        if file is None:
            package = uri.removeprefix("pkg://").partition("/")[0]
            raise WeightsError(
                f"the weights are in the package {package!r}, which is not installed.",
                hint="`genzoo info` on the model says which pip install brings it.",
            )
        return file
    if uri.startswith(("https://", "hf://")):
        cached = cache_folder() / "weights" / f"{weights.sha256}.safetensors"
        if not cached.is_file():
            (_download if uri.startswith("https://") else _from_hub)(uri, weights.sha256, cached)
        return cached
    return beside.parent / uri.removeprefix("file://")


def _download(uri: str, sha256: str, target: Path) -> None:
    with atomic_file(target) as part:
        try:
            with urllib.request.urlopen(uri, timeout=_TIMEOUT) as answer, part.open("wb") as file:
                shutil.copyfileobj(answer, file)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
            raise _unreachable(uri, error, target) from None
        verify(part, sha256)


def _from_hub(uri: str, sha256: str, target: Path) -> None:
    from huggingface_hub import hf_hub_download  # heavy, and only hf:// needs it

    path, _, revision = uri.removeprefix("hf://").partition("@")
    owner, repository, file = path.split("/", 2)
    try:
        found = Path(hf_hub_download(f"{owner}/{repository}", file, revision=revision or None))
    except Exception as error:  # the hub client raises errors of several libraries
        raise _unreachable(uri, error, target) from None
    verify(found, sha256)
    with atomic_file(target) as part:
        part.write_bytes(found.read_bytes())


def _unreachable(uri: str, error: Exception, target: Path) -> WeightsError:
    return WeightsError(
        f"cannot get {uri}: {error}.",
        hint=f"Check the network, or put the file at {target} yourself.",
    )
