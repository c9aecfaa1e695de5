from __future__ import annotations

import hashlib
import json
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from genzoo.errors import OutputError, WeightsError
from genzoo.weights import format as weights_format

HEADER = {"config": {"name": "toy", "classes": None, "lr": 3e-4, "text": "ä"}, "genzoo": "1.0"}


def tensors() -> dict[str, Tensor]:
    return {
        "generator.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4) / 7,
        "generator.bias": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "generator.steps": torch.tensor(7),
        "generator.mask": torch.tensor([True, False]),
        "generator.none": torch.empty(0, 3),
        "objective.p": torch.tensor(0.25, dtype=torch.float64),
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "toy.safetensors"
    weights_format.write(path, tensors(), HEADER)
    return path


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


def refused(path: Path, reason: str, **kwargs: Any) -> None:
    with pytest.raises(WeightsError, match=reason) as caught:
        weights_format.read(path, **kwargs)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_what_is_written_is_read_back_bit_for_bit(file: Path) -> None:
    read, header = weights_format.read(file)
    assert equal(read, tensors())
    assert header == HEADER


def test_the_same_content_gives_the_same_bytes(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    weights_format.write(
        other, dict(reversed(tensors().items())), dict(reversed(list(HEADER.items())))
    )
    assert other.read_bytes() == file.read_bytes()


def test_the_header_is_one_key_of_sorted_json(file: Path) -> None:
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    assert list(metadata) == ["genzoo"]
    stamped = json.loads(metadata["genzoo"])
    expected = json.dumps(stamped, sort_keys=True, separators=(",", ":"))
    assert metadata["genzoo"] == expected
    assert stamped["config"] == HEADER["config"]


def test_memory_layout_does_not_matter(tmp_path: Path) -> None:
    """Views, channels-last tensors, tied tensors and gradients: only the values count."""
    big = torch.randn(2, 3, 4, 4)
    weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    odd = {
        "last": big.contiguous(memory_format=torch.channels_last),
        "view": big[0, 1],
        "transposed": weight.t(),
        "tied_a": weight,
        "tied_b": weight,
    }
    plain = {name: tensor.detach().contiguous().clone() for name, tensor in odd.items()}
    weights_format.write(tmp_path / "odd.safetensors", odd, {})
    weights_format.write(tmp_path / "plain.safetensors", plain, {})
    assert (tmp_path / "odd.safetensors").read_bytes() == (
        tmp_path / "plain.safetensors"
    ).read_bytes()
    read, _ = weights_format.read(tmp_path / "odd.safetensors")
    assert equal(read, plain)


def test_no_flipped_bit_goes_unnoticed(file: Path) -> None:
    content = bytearray(file.read_bytes())
    accepted = []
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        file.write_bytes(changed)
        try:
            read, header = weights_format.read(file)
        except WeightsError:
            continue
        accepted.append(position)
        assert equal(read, tensors())
        assert header == HEADER
    # All that may be read after a flip is the padding behind the header, if anything.
    (length,) = struct.unpack("<Q", content[:8])
    padding = {p for p in range(8, 8 + length) if content[p] == ord(" ")}
    assert set(accepted) <= padding


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"I64"', b'"F64"'),
        (b"[3,4]", b"[4,3]"),
        (b"generator.bias", b"generator.mess"),
        (b"toy", b"joy"),
    ],
)
def test_no_changed_type_shape_name_or_config_goes_unnoticed(
    file: Path, old: bytes, new: bytes
) -> None:
    content = file.read_bytes()
    assert content.count(old) == 1
    file.write_bytes(content.replace(old, new))
    refused(file, "does not match its digest")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file_is_refused(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    refused(file, "not a whole safetensors file")


def test_a_file_with_more_behind_it_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")
    refused(file, "not a whole safetensors file")


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("save", [torch.save, lambda o, p: p.write_bytes(pickle.dumps(o))])
def test_a_pickle_is_refused_and_never_run(save: Any, tmp_path: Path) -> None:
    target, trap = tmp_path / "toy.safetensors", tmp_path / "trap"
    save({"weights": Bomb(trap)}, target)
    refused(target, "not a whole safetensors file")
    assert not trap.exists()
    pickle.loads(pickle.dumps(Bomb(trap)))
    assert trap.exists(), "the trap works"


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 100, b"\xff" * 100, b"PK\x03\x04"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    target = tmp_path / "toy.safetensors"
    target.write_bytes(content)
    refused(target, "not a whole safetensors file")


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"format": "pt"},
        {"genzoo": "no json"},
        {"genzoo": "[]"},
        {"genzoo": "5"},
        {"genzoo": '{"config": {}}'},
        {"genzoo": "[" * 100_000},
    ],
)
def test_a_safetensors_file_of_others_is_refused(
    metadata: dict[str, str] | None, tmp_path: Path
) -> None:
    target = tmp_path / "toy.safetensors"
    save_file({"a": torch.zeros(2)}, target, metadata=metadata)
    refused(target, "was not written by genzoo")


def test_a_wrong_digest_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "toy.safetensors"
    save_file({"a": torch.zeros(2)}, target, metadata={"genzoo": '{"config":{},"digest":"00"}'})
    refused(target, "does not match its digest")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "missing.safetensors", "there is no file")
    refused(tmp_path / "missing.safetensors", "is missing", sha256="0" * 64)
    refused(tmp_path, "cannot read|not a whole")


def test_a_file_is_checked_against_the_hash_that_is_stated(file: Path) -> None:
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    assert weights_format.file_sha256(file) == found
    read, _ = weights_format.read(file, sha256=found)
    assert equal(read, tensors())
    expected = "0" * 64
    refused(file, f"its sha256 is {found}, expected {expected}", sha256=expected)


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for target in (tmp_path / "file" / "toy.safetensors", tmp_path):
        with pytest.raises(OutputError, match="cannot write"):
            weights_format.write(target, tensors(), HEADER)


def test_a_full_disk_is_an_output_error_and_leaves_nothing(python: Any, tmp_path: Path) -> None:
    code = """
        import resource
        from pathlib import Path
        import torch
        from genzoo.errors import OutputError
        from genzoo.weights import format as weights_format
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        try:
            weights_format.write(Path("full/toy.safetensors"), {"a": torch.zeros(100_000)}, {})
        except OutputError as error:
            print(error.message)
    """
    ran = python(code)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("cannot write full/toy.safetensors: ")
    assert list((tmp_path / "full").iterdir()) == []
