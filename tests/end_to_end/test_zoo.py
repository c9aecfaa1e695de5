"""Whatever the wheels ship as trained can be drawn from."""

from __future__ import annotations

import json

from .environment import SHIPPED, Environment

DRAW = """
import json, sys
import torch, genzoo

drawn = {}
for name in sys.argv[1:]:
    model = genzoo.load(name, device="cpu")
    images = model.sample(4, seed=7)
    same = torch.allclose(model.sample(2, seed=7, batch_size=1), images[:2], rtol=0, atol=1e-5)
    drawn[name] = {
        "shape": list(images.shape),
        "in range": bool(((images >= 0) & (images <= 1)).all()),
        "differ": not torch.allclose(images[0], images[1], atol=1e-2),
        "same at any batch size": same,
    }
print(json.dumps(drawn))
"""


def test_every_available_model_draws(environment: Environment) -> None:
    environment.hold("genzoo", *SHIPPED)
    available = {row["name"]: row for row in environment.json("list") if row["available"]}
    stdout, _ = environment.python("-c", DRAW, *available)
    assert json.loads(stdout) == {
        name: {
            "shape": [4, *row["image"]],
            "in range": True,
            "differ": True,
            "same at any batch size": True,
        }
        for name, row in available.items()
    }
