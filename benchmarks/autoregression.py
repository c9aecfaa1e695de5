"""How fast a transformer draws pixel by pixel: with its memory, without, and beside ImageGPT's.

    python benchmarks/autoregression.py                  # 64 images of 28x28 pixels, 784 tokens
    python benchmarks/autoregression.py --side 14 --rounds 3

All have random weights. Without a memory the network reads all that came before anew for each
token; that takes so long that it is measured at a few of them, evenly spread, and the rest is
interpolated. Beside it stands ImageGPTForCausalImageModeling of Hugging Face transformers with as
many layers, heads and levels, of the same width, and `generate(use_cache=True)`. Its heads have
keys and values of their own; genzoo's do, too, and then share one (kv_heads: 1).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from side_by_side import Clock, Row, bench_parser, now, paired, report

LEVELS, WIDTH, DEPTH, HEADS = 32, 128, 6, 4
PLACES = 8
"""Tokens at which a pass without a memory is measured."""


def made(side: int, **config: Any) -> Any:
    """Return an untrained model of grey pixels, one to a token."""
    import genzoo

    config |= {"levels": LEVELS, "patch_size": 1, "width": WIDTH, "depth": DEPTH, "heads": HEADS}
    return genzoo.create("pixel-transformer", (1, side, side), None, mlp_ratio=4, **config)


def without_memory(model: Any, count: int, clock: Clock) -> float:
    """Return the seconds that drawing takes where each token is a pass over all before it."""
    import torch

    network = model.networks["autoregressor"]
    tokens = network.sequence[0]
    symbols = torch.randint(0, LEVELS, (count, tokens, 1))
    seconds = []
    for place in range(PLACES):
        end = max(1, round(tokens * (place + 0.5) / PLACES))
        # A memory that is filled at once, and used once.
        reader = network.reader(count, None, torch.float32)
        start = now(clock)
        with torch.no_grad():
            reader.read(symbols[:, : end - 1])
            reader.logits()
        seconds.append(now(clock) - start)
    return tokens * sum(seconds) / PLACES


def image_gpt(side: int) -> Any:
    """Return ImageGPT of the same size; the token after the last level starts an image."""
    import transformers

    config = transformers.ImageGPTConfig(
        vocab_size=LEVELS + 1,
        n_positions=side * side,
        n_embd=WIDTH,
        n_layer=DEPTH,
        n_head=HEADS,
        n_inner=4 * WIDTH,
    )
    return transformers.ImageGPTForCausalImageModeling(config).eval()


def main() -> None:
    """Draw by each in turn, and print both ratios."""
    parser = bench_parser(__doc__, rounds=3)
    parser.add_argument("-n", type=int, default=64, help="images (default 64)")
    parser.add_argument("--side", type=int, default=28, help="pixels of a side (default 28)")
    given = parser.parse_args()
    import torch

    if given.threads:
        torch.set_num_threads(given.threads)
    tokens = given.side**2
    model, sharing = made(given.side), made(given.side, kv_heads=1)
    sides: dict[str, Callable[[], object]] = {
        "own": lambda: model.sample(given.n, seed=0, batch_size=given.n),
        "shared": lambda: sharing.sample(given.n, seed=0, batch_size=given.n),
        "no memory": lambda: without_memory(model, given.n, given.clock),
    }
    try:
        peer = image_gpt(given.side)
    except ImportError as error:
        missing = f"does not run: {error}"
    else:
        missing = ""

        @torch.no_grad()
        def generate() -> None:
            start = torch.full((given.n, 1), LEVELS)
            peer.generate(start, max_length=tokens + 1, do_sample=True, top_k=0, use_cache=True)

        sides["ImageGPT"] = generate
        generate()  # what it does first takes it three times as long
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(given.rounds):
        for side in sides if turn % 2 else reversed(sides):
            start = now(given.clock)
            measured = sides[side]()
            took = now(given.clock) - start
            seconds[side].append(measured if isinstance(measured, float) else took)

    def row(what: str, ours: str, theirs: str, least: float, note: str) -> Row:
        each = Row(f"draw {given.n} images of {tokens} tokens, {what}", unit="s")
        if theirs not in seconds:
            return dataclasses.replace(each, note=missing)
        slow = paired(each, seconds[theirs], seconds[ours])
        return dataclasses.replace(
            slow, ours=slow.theirs, theirs=slow.ours, must=(">=", least), note=note
        )

    often = "ratio: how often as fast"
    rows = [
        row(
            "memory against none",
            "own",
            "no memory",
            50,
            f"{often}; without: measured at {PLACES} tokens of {tokens}",
        ),
        row("beside ImageGPT", "own", "ImageGPT", 2, often),
        row("with kv_heads: 1, beside ImageGPT", "shared", "ImageGPT", 2, often),
    ]
    report(rows, given.json, ("genzoo", "beside"))


if __name__ == "__main__":
    main()
