"""Weights files: safetensors, checked whole, with all that rebuilds their model in one key.

The metadata key `genzoo` holds sorted JSON: the zoo config, and a sha256 over names, shapes, types,
config and tensor bytes. So a file given by path, whose own sha256 nobody states, still cannot be
damaged unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genzoo.errors import OutputError, WeightsError
from genzoo.files import atomic_file, file_sha256

__all__ = ["file_sha256", "read", "verify", "write"]

_KEY = "genzoo"


def write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header; the same tensors and header give the same bytes.

    Raises OutputError where the file cannot be written.
    """
    # Copies, because safetensors refuses tensors that share memory, as tied weights do.
    plain = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    stamped = {**header, "digest": _digest(plain, header)}
    with atomic_file(path) as beside:
        try:
            save_file(plain, beside, metadata={_KEY: _json(stamped)})
        except SafetensorError as error:  # its word for a full disk, too
            raise OutputError(
                f"cannot write {path}: {error}.", hint="Choose a place with room left."
            ) from error


def read(path: Path, *, sha256: str | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors (on the CPU) and the header of a weights file, verified.

    Where `sha256` says what the whole file is, that is all that is hashed.

    They are copies, not maps of the file: in a file they may start at any address, and there some
    kernels sum in another order, so that a model read back would differ in the last bits.

    Raises WeightsError where the file is missing, not whole, not what `sha256` says, or not
    genzoo's.
    """
    if sha256 is not None:
        verify(path, sha256)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            mapped = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except FileNotFoundError:
        raise WeightsError(f"there is no file {path}.", hint="Check the path.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is not a whole safetensors file: {error}.",
            hint="It is damaged, cut short or, as pickles are, of another format: get it anew.",
        ) from None
    try:
        header = json.loads(metadata[_KEY])
        stamp = header.pop("digest")
    except (KeyError, ValueError, AttributeError, TypeError, RecursionError):
        raise WeightsError(
            f"{path} was not written by genzoo: it has no readable {_KEY!r} metadata.",
            hint="Give a file that Model.save or `genzoo train` wrote.",
        ) from None
    if sha256 is None and stamp != _digest(mapped, header):
        raise WeightsError(
            f"{path} is damaged: its content does not match its digest.", hint="Get it anew."
        )
    return {name: tensor.clone() for name, tensor in mapped.items()}, header


def verify(path: Path, sha256: str, *, called: str = "") -> None:
    """Raise WeightsError unless the file is there and has that sha256.

    `called` is what the error names instead of the path, for a download that has no place yet.
    """
    try:
        found = file_sha256(path)
    except FileNotFoundError:
        raise WeightsError(
            f"the weights file {path} is missing.", hint="Reinstall the package that it belongs to."
        ) from None
    except OSError as error:
        raise WeightsError(
            f"cannot read {path}: {error.strerror}.", hint="Check the path."
        ) from None
    if found != sha256:
        raise WeightsError(
            f"{called or path} is damaged or not the file meant: "
            f"its sha256 is {found}, expected {sha256}.",
            hint="Try again; if that does not help, the server has another file by now."
            if called
            else "Reinstall the package that it belongs to, or delete the file and get it anew.",
        )


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _digest(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    layout = [(name, str(t.dtype), list(t.shape)) for name, t in sorted(tensors.items())]
    digest = hashlib.sha256(_json([layout, header]).encode())
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
