from __future__ import annotations

import hashlib
import http.server
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genzoo.errors import WeightsError
from genzoo.registry.config import WeightsConfig
from genzoo.weights.sources import cache_folder, locate, on_disk

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()

# Nothing listens there, so that a connection is refused at once.
NOWHERE = "https://127.0.0.1:9/toy.safetensors"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("GENZOO_CACHE", str(folder))
    return folder


def weights(uri: str) -> WeightsConfig:
    return WeightsConfig(uri=uri, sha256=SHA256, size=len(CONTENT), parameters=1)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"GENZOO_CACHE": "named", "XDG_CACHE_HOME": "cache"}, "named"),
        ({"GENZOO_CACHE": "~/named"}, "home/named"),
        ({"GENZOO_CACHE": "", "XDG_CACHE_HOME": "cache"}, "cache/genzoo"),
        ({}, "home/.cache/genzoo"),
    ],
)
def test_the_cache_folder(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GENZOO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "home")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_a_path_is_relative_to_the_yaml_file(tmp_path: Path) -> None:
    beside = tmp_path / "zoo" / "toy.yaml"
    assert locate(weights("toy.safetensors"), beside=beside) == tmp_path / "zoo/toy.safetensors"
    assert locate(weights("sub/toy.safetensors"), beside=beside).parent == tmp_path / "zoo/sub"
    absolute = tmp_path / "elsewhere.safetensors"
    for uri in (str(absolute), f"file://{absolute}"):
        assert locate(weights(uri), beside=beside) == absolute


def test_a_file_in_a_package_is_found(installed: Any, tmp_path: Path) -> None:
    files = {"toy_zoo/__init__.py": "", "toy_zoo/weights/toy.safetensors": "weights"}
    site = installed("toy-zoo", "1.0", {}, files)
    found = locate(weights("pkg://toy_zoo/weights/toy.safetensors"), beside=tmp_path)
    assert found == site / "toy_zoo" / "weights" / "toy.safetensors"
    assert found.read_bytes() == CONTENT


def test_a_package_that_is_not_installed_is_named(tmp_path: Path) -> None:
    missing = weights("pkg://no_such_package/toy.safetensors")
    assert on_disk(missing, beside=tmp_path) is None
    with pytest.raises(WeightsError, match="'no_such_package', which is not installed") as caught:
        locate(missing, beside=tmp_path)
    assert "pip install" in caught.value.hint


@pytest.mark.parametrize("uri", [NOWHERE, "hf://owner/repo/toy.safetensors"])
def test_what_is_in_the_cache_is_used_without_a_network(
    uri: str, cache: Path, tmp_path: Path
) -> None:
    cached = cache / "weights" / f"{SHA256}.safetensors"
    assert on_disk(weights(uri), beside=tmp_path) is None
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    assert on_disk(weights(uri), beside=tmp_path) == cached
    assert locate(weights(uri), beside=tmp_path) == cached


@pytest.mark.parametrize(
    "uri",
    [
        NOWHERE,
        "https://no such host/toy.safetensors",
        "https://[::1/toy.safetensors",
        "https://127.0.0.1:port/toy.safetensors",
    ],
)
def test_without_a_network_the_error_says_where_the_file_belongs(
    uri: str, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError) as caught:
        locate(weights(uri), beside=tmp_path)
    assert caught.value.message.startswith(f"cannot get {uri}: ")
    assert str(cache / "weights" / f"{SHA256}.safetensors") in caught.value.hint
    assert list((cache / "weights").iterdir()) == [], "nothing half is left"


def test_without_a_network_the_hub_is_an_error_too(python: Any) -> None:
    code = f"""
        from pathlib import Path
        from genzoo.errors import WeightsError
        from genzoo.registry.config import WeightsConfig
        from genzoo.weights.sources import locate
        weights = WeightsConfig(
            uri="hf://owner/repo/toy.safetensors@main", sha256={SHA256!r}, size=1, parameters=1)
        try:
            locate(weights, beside=Path("toy.yaml"))
        except WeightsError as error:
            print(error)
    """
    ran = python(code, HF_HUB_OFFLINE="1", HF_HOME="hub", GENZOO_CACHE="cache")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("cannot get hf://owner/repo/toy.safetensors@main: ")
    assert f"cache/weights/{SHA256}.safetensors" in ran.stdout


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the weights, a part of them, or something else."""

    asked = 0

    def do_GET(self) -> None:
        Handler.asked += 1
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write({"/whole": CONTENT, "/other": CONTENT[::-1]}.get(self.path, CONTENT[:3]))

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the address of a server of our own, whose certificate is trusted here."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    paths = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names, *paths], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def test_a_download_is_kept_and_not_asked_for_again(
    server: str, cache: Path, tmp_path: Path
) -> None:
    Handler.asked = 0
    for _ in range(2):
        found = locate(weights(f"{server}/whole"), beside=tmp_path)
        assert found == cache / "weights" / f"{SHA256}.safetensors"
        assert found.read_bytes() == CONTENT
    assert Handler.asked == 1


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", "cannot get .*/missing: HTTP Error 404"),
        ("other", "/other is damaged or not the file meant"),
        ("part", "/part is damaged or not the file meant|cannot get .*/part"),
    ],
)
def test_a_bad_download_leaves_nothing(server: str, path: str, reason: str, cache: Path) -> None:
    with pytest.raises(WeightsError, match=reason) as caught:
        locate(weights(f"{server}/{path}"), beside=cache)
    assert caught.value.hint
    assert list((cache / "weights").iterdir()) == []


def test_a_server_that_is_not_trusted_is_refused(
    server: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(WeightsError, match="certificate verify failed"):
        locate(weights(f"{server}/whole"), beside=cache)
