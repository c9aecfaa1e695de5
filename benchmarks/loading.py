"""How long a trained model takes to load: `genzoo.load` beside networks that are built by hand.

    python benchmarks/loading.py

By hand means: the plugin's classes imported and called, the file read by safetensors, its tensors
copied by load_state_dict; nothing is verified. genzoo checks the file's sha256 and its content's
digest, and says whatever does not fit. A small model is loaded by its name, a large one of about
90 MB, written by Model.save, from its file. Both are timed in one process, when all is imported.
Then whole processes, from a cold interpreter to a model in memory: genzoo's, and those of
torchvision, timm and diffusers, each with a network and a local file of like size.
"""

from __future__ import annotations

import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from side_by_side import Row, SideError, bench_parser, cold, compare, report, run

if TYPE_CHECKING:
    from torch import nn

SMALL = "dcgan-mnist"
LARGE_WIDTHS = (2048, 3072, 4096)

# Each writes a file of about 4 MB, as dcgan-mnist's is, and then loads it, offline.
PEERS = {
    "torchvision": (
        """
        import sys, torch, torchvision
        torch.save(torchvision.models.squeezenet1_1().state_dict(), sys.argv[1] + "/squeezenet.pth")
        """,
        """
        import sys, torch, torchvision
        model = torchvision.models.squeezenet1_1()
        model.load_state_dict(torch.load(sys.argv[1] + "/squeezenet.pth", weights_only=True))
        model.eval()
        """,
    ),
    "timm": (
        """
        import sys, timm, safetensors.torch
        state = timm.create_model("mobilenetv3_small_050").state_dict()
        safetensors.torch.save_file(state, sys.argv[1] + "/mobilenet.safetensors")
        """,
        """
        import sys, timm
        local = {"file": sys.argv[1] + "/mobilenet.safetensors"}
        name = "mobilenetv3_small_050"
        timm.create_model(name, pretrained=True, pretrained_cfg_overlay=local).eval()
        """,
    ),
    "diffusers": (
        """
        import sys, diffusers
        blocks = {
            "down_block_types": ("DownBlock2D",) * 2,
            "up_block_types": ("UpBlock2D",) * 2,
            "block_out_channels": (32, 64),
            "layers_per_block": 1,
        }
        unet = diffusers.UNet2DModel(sample_size=28, in_channels=1, out_channels=1, **blocks)
        unet.save_pretrained(sys.argv[1] + "/unet")
        """,
        """
        import sys, diffusers
        diffusers.UNet2DModel.from_pretrained(sys.argv[1] + "/unet", local_files_only=True).eval()
        """,
    ),
}
OURS = f"import genzoo; genzoo.load({SMALL!r})"


def by_hand(architecture: type[nn.Module], image: Any, config: Any, file: Path) -> nn.Module:
    """Build a generator, and give it the tensors of a file."""
    from safetensors.torch import load_file

    generator = architecture(image, config)
    prefix = "generator."
    generator.load_state_dict({k.removeprefix(prefix): v for k, v in load_file(file).items()})
    return generator.eval()


def mapped(architecture: type[nn.Module], image: Any, config: Any, file: Path) -> nn.Module:
    """Do the same without first weights, the file's tensors being mapped, not read."""
    import torch
    from safetensors.torch import load_file

    with torch.device("meta"):
        generator = architecture(image, config)
    state = {k.removeprefix("generator."): v for k, v in load_file(file).items()}
    generator.load_state_dict(state, assign=True)
    return generator.eval()


def in_process(rounds: int, clock: Any, folder: Path, widths: tuple[int, ...]) -> Iterator[Row]:
    """Yield the rows of a small and a large model."""
    import genzoo
    import genzoo_dcgan.networks
    import genzoo_mlp_gan.networks
    from genzoo_dcgan.config import DCGANConfig
    from genzoo_mlp_gan.config import MLPGANConfig

    small = genzoo.load(SMALL)
    packaged = Path(genzoo_dcgan.networks.__file__).parent / "weights" / f"{SMALL}.safetensors"
    large = folder / "large.safetensors"
    genzoo.create("mlp-gan", (1, 28, 28), generator_widths=widths).save(large)
    cases: tuple[tuple[str | Path, Path, type[nn.Module], Any, Any], ...] = (
        (
            SMALL,
            packaged,
            genzoo_dcgan.networks.Generator,
            small.image,
            DCGANConfig(**small.config.architecture.config),
        ),
        (
            large,
            large,
            genzoo_mlp_gan.networks.Generator,
            genzoo.ImageSpec(1, 28, 28),
            MLPGANConfig(generator_widths=widths),
        ),
    )
    for name, file, architecture, image, config in cases:
        size = file.stat().st_size / 1e6
        ours: Callable[[], Any] = partial(genzoo.load, name, "cpu")
        what = f"load {Path(name).stem}, {size:.1f} MB"
        plain = partial(by_hand, architecture, image, config, file)
        bare = partial(mapped, architecture, image, config, file)
        row = Row(f"{what}, by hand", unit="s", must=("<=", 1.2), note="genzoo verifies the file")
        yield compare(row, ours, plain, rounds, clock=clock)
        row = Row(f"{what}, mapped by hand", unit="s", note="the file is not even read")
        yield compare(row, ours, bare, rounds, clock=clock)


def from_cold(rounds: int, clock: Any, folder: Path) -> Iterator[Row]:
    """Yield the rows of whole processes; a peer that is not installed has its error in the note."""
    ours = [sys.executable, "-c", OURS]
    for peer, (write, load) in PEERS.items():
        row = Row(f"cold start to a model of 4 MB, {peer}", unit="s")
        programs = (
            [sys.executable, "-c", textwrap.dedent(code), str(folder)] for code in (write, load)
        )
        try:
            run(next(programs))
            yield cold(row, ours, next(programs), rounds, clock=clock)
        except SideError as error:
            yield Row(row.name, note=f"does not run: {error}")


def main() -> None:
    """Print a row for each."""
    parser = bench_parser(__doc__, rounds=15)
    parser.add_argument("--cold-rounds", type=int, default=5, help="of whole processes (default 5)")
    parser.add_argument("--widths", type=int, nargs="+", default=LARGE_WIDTHS, help="of the large")
    given = parser.parse_args()
    if given.threads:
        import torch

        torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = list(in_process(given.rounds, given.clock, folder, tuple(given.widths)))
        if given.cold_rounds:
            rows += from_cold(given.cold_rounds, given.clock, folder)
    report(rows, given.json)


if __name__ == "__main__":
    main()
