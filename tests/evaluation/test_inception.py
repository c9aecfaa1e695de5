"""Inception-v3 by torch-fidelity: its weights on disk, or a clear word where they are not."""

from __future__ import annotations

import hashlib
import socket
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from pickle import UnpicklingError
from threading import Thread
from typing import Any

import pytest
import torch
import torch_fidelity.feature_extractor_inceptionv3 as theirs
from torch import Tensor

from genzoo.data import datasets
from genzoo.errors import UnsupportedError, WeightsError
from genzoo.evaluation import inception
from genzoo.evaluation.features import find_extractor, load_extractor
from genzoo.weights.format import file_sha256

CPU = torch.device("cpu")
FILE = theirs.URL_INCEPTION_V3.rpartition("/")[2]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty hub folder, on a machine from which no network can be reached."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # where nothing listens: refused at once
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)  # else it holds on to other proxies
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.usefixtures("hub")
def test_without_network_or_weights_it_says_where_they_go(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot get the weights") as raised:
        load_extractor(find_extractor("cifar10", "inception"), CPU)
    assert theirs.URL_INCEPTION_V3 in raised.value.message
    assert str(tmp_path / "hub" / "checkpoints" / FILE) in raised.value.hint
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x02}q\x00."])
def test_a_file_of_something_else_is_refused(content: bytes, hub: Path) -> None:
    hub.mkdir(parents=True)
    (hub / FILE).write_bytes(content)
    with pytest.raises(WeightsError, match=FILE) as raised:
        load_extractor(find_extractor("cifar10", "inception"), CPU)
    assert raised.value.hint


def test_weights_of_another_network_are_refused(hub: Path) -> None:
    hub.mkdir(parents=True)
    torch.save({"weight": torch.zeros(3)}, hub / FILE)
    with pytest.raises(WeightsError, match=FILE):
        load_extractor(find_extractor("cifar10", "inception"), CPU)


def published(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Take the weights for those that everybody measures with."""
    monkeypatch.setattr(inception, "_SHA256", file_sha256(weights))
    return weights


def test_code_in_a_weights_file_does_not_run(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    hub.mkdir(parents=True)
    torch.save({"weight": Evil()}, hub / FILE)
    published(hub / FILE, monkeypatch)
    with pytest.raises(UnpicklingError, match="weights_only"):
        load_extractor(find_extractor("cifar10", "inception"), CPU)
    assert not (tmp_path / "ran").exists()


def test_without_torch_fidelity_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, theirs.__name__, None)
    with pytest.raises(UnsupportedError, match="torch-fidelity") as raised:
        load_extractor(find_extractor("cifar10", "inception"), CPU)
    assert raised.value.hint == "pip install 'genzoo[inception]'"


@pytest.mark.usefixtures("hub")
def test_a_silent_server_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "_STALLED", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes calls, and never answers
        url = f"http://127.0.0.1:{server.getsockname()[1]}/inception-00000000.pth"
        monkeypatch.setattr(theirs, "URL_INCEPTION_V3", url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with pytest.raises(WeightsError, match="timed out"):
            load_extractor(find_extractor("cifar10", "inception"), CPU)


class BrokenServer(BaseHTTPRequestHandler):
    """Answers in chunks, and gives no length where that of a chunk should be."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"not a length\r\n")

    def log_message(self, *args: Any) -> None:
        """Say nothing on the tests' standard error."""


def serve(handler: type[BaseHTTPRequestHandler], monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer the next call for the weights."""
    server = HTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.handle_request, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/{FILE}"
    monkeypatch.setattr(theirs, "URL_INCEPTION_V3", url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_an_answer_that_breaks_off_is_no_file(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(BrokenServer, monkeypatch)
    with pytest.raises(WeightsError, match="cannot get the weights"):
        load_extractor(find_extractor("cifar10", "inception"), CPU)
    assert list(hub.iterdir()) == []


def test_a_download_of_the_same_name_is_checked_in_full(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files may share the digits of the hash that the file's name holds; not all of them."""

    class Other(BrokenServer):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"other weights")

    alike = hashlib.sha256(b"other weights").hexdigest()[:8] + "0" * 56
    monkeypatch.setattr(inception, "_SHA256", alike)
    serve(Other, monkeypatch)
    with pytest.raises(WeightsError, match="cannot get the weights"):
        load_extractor(find_extractor("cifar10", "inception"), CPU)
    assert list(hub.iterdir()) == []


class Untrained(theirs.FeatureExtractorInceptionV3):  # type: ignore[misc]
    """torch-fidelity's network as it is built, whatever the file that it reads."""

    def load_state_dict(self, *args: Any, **kwargs: Any) -> None:
        return None


@pytest.fixture
def random_weights(hub: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put weights of the real network, drawn at random, where the published ones would be."""
    hub.mkdir(parents=True)
    torch.save({}, hub / FILE)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Untrained("untrained", ["2048"], feature_extractor_weights_path=str(hub / FILE))
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data.mul_(6**0.5)  # else the signal dies on its way through 20 layers
    torch.save(network.state_dict(), hub / FILE)
    return published(hub / FILE, monkeypatch)


def test_its_features_are_torch_fidelity_s(
    random_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = torch.get_rng_state()
    extractor = load_extractor(find_extractor("cifar10", "inception"), CPU)
    assert torch.equal(torch.get_rng_state(), state)
    assert isinstance(extractor, inception.Inception)
    assert not any(module.training for module in extractor.modules())
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    reference = theirs.FeatureExtractorInceptionV3(
        "reference", ["2048"], feature_extractor_weights_path=str(random_weights)
    )
    sizes: list[int] = []
    extractor.network.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))

    colour = torch.randint(
        0, 256, (2, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    grey = colour[:, :1]

    def assert_theirs(ours: Tensor, images: Tensor) -> None:
        assert ours.shape == (len(images), extractor.num_features) == (len(images), 2048)
        torch.testing.assert_close(ours, reference(images)[0], rtol=1e-4, atol=1e-6)

    features, logits = extractor(colour)
    assert logits is None
    assert_theirs(features, colour)
    assert_theirs(extractor(grey)[0], grey.expand(-1, 3, -1, -1))
    assert (features[0] - features[1]).abs().max() > 1e-3
    assert sizes == [2, 2]

    # Its layers' outputs are large: whatever the batch, few images are in it at a time.
    monkeypatch.setattr(inception, "_AT_ONCE", 1)
    torch.testing.assert_close(extractor(colour)[0], features, rtol=1e-4, atol=1e-6)
    assert sizes == [2, 2, 1, 1]
