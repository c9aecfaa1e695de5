"""Which device there is, and how exactly it computes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from genzoo.errors import DeviceError

__all__ = ["find_device", "is_exact", "seed", "tf32"]


def find_device(device: str | torch.device | None) -> torch.device:
    """Return a device that works here; None takes the GPU where there is one, else the CPU."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        wanted = torch.device(device)
        torch.zeros(1, device=wanted).item()  # "meta" exists, but holds no values
    except (RuntimeError, AssertionError, ImportError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise DeviceError(
            f"cannot use the device {str(device)!r}: {reason}",
            hint="Use 'cpu', or 'cuda' where there is a GPU.",
        ) from None
    return wanted


def seed(number: int, device: torch.device | None = None) -> None:
    """Seed the global generator of the CPU, and that of `device` where it is another.

    torch.manual_seed seeds those of all kinds of device, and notes the call, its whole stack with
    it, for each kind that is not there: that takes up to ten milliseconds.
    """
    torch.default_generator.manual_seed(number)
    if device is None or device.type == "cpu":
        return
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(number)
    else:
        torch.manual_seed(number)


def is_exact(device: torch.device) -> bool:
    """Return whether what is computed on a device now is of float32, and not of fewer digits."""
    if torch.is_autocast_enabled(device.type):
        return False
    return device.type != "cuda" or not torch.backends.cuda.matmul.allow_tf32


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Let products and convolutions of float32 on GPUs be in TF32, or not, whatever it was before.

    TF32's three digits hang on the batch size, and turn a grey level at times.
    """
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    try:
        convolutions.allow_tf32 = products.allow_tf32 = allowed
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before
