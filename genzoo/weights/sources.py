"""Where weights come from: pkg://, a file, https://, hf://.

What is on disk is used without asking a network.
"""

from __future__ import annotations

import http.client
import os
import shutil
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from genzoo.errors import WeightsError
from genzoo.files import atomic_file, expand_home, user_cache
from genzoo.registry.catalog import REMOTE, local_file
from genzoo.registry.config import WeightsConfig
from genzoo.weights.format import verify

__all__ = ["cache_folder", "locate", "on_disk"]

_TIMEOUT = 30  # seconds without an answer

# Not OSError as a whole: a full disk is no matter of the network. ValueError is a bad address.
_NETWORK = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
    ValueError,
)


def cache_folder() -> Path:
    """Return the folder of downloads: GENZOO_CACHE, or genzoo/ in the user's cache folder."""
    if named := os.environ.get("GENZOO_CACHE"):
        return expand_home(Path(named))
    return user_cache()


def locate(weights: WeightsConfig, *, beside: Path) -> Path:
    """Return the local file of these weights, not yet verified.

    It is downloaded into the cache if need be. `beside` is the YAML file that relative paths start
    from. Raises WeightsError where there is no such package, or no way to the network.
    """
    uri, file = weights.uri, on_disk(weights, beside=beside)
    if file is not None:
        return file
    if uri.startswith("pkg://"):
        package = uri.removeprefix("pkg://").partition("/")[0]
        raise WeightsError(
            f"the weights are in the package {package!r}, which is not installed.",
            hint="`genzoo info` on the model says which pip install brings it.",
        )
    cached = _cached(weights)
    (_download if uri.startswith("https://") else _from_hub)(uri, weights.sha256, cached)
    return cached


def on_disk(weights: WeightsConfig, *, beside: Path) -> Path | None:
    """Return the local file of these weights, None without the package or before the download.

    A file that should be there, in an installed package or beside the YAML file, may yet be
    missing.
    """
    if weights.uri.startswith(REMOTE):
        cached = _cached(weights)
        return cached if os.path.isfile(cached) else None
    return local_file(weights.uri, beside)


def _cached(weights: WeightsConfig) -> Path:
    return cache_folder() / "weights" / f"{weights.sha256}.safetensors"


def _download(uri: str, sha256: str, target: Path) -> None:
    with atomic_file(target) as part:
        try:
            with urllib.request.urlopen(uri, timeout=_TIMEOUT) as answer, part.open("wb") as file:
                shutil.copyfileobj(answer, file)
        except _NETWORK as error:
            raise _unreachable(uri, error, target) from None
        verify(part, sha256, called=uri)


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
    reason = " ".join(str(error).split()).rstrip(".")
    return WeightsError(
        f"cannot get {uri}: {reason}.",
        hint=f"Check the network, or put the file at {target} yourself.",
    )
