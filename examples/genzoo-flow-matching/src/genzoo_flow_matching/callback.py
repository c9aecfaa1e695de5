"""`flow-paths`: pictures of the way from noise to image, while a model learns it."""

from __future__ import annotations

import torch

from genzoo.images import save_image
from genzoo.noise import Noise
from genzoo.training.callbacks import Callback, Run
from genzoo_flow_matching.objective import FlowMatching

__all__ = ["Paths"]


class Paths(Callback):
    """`paths/step-….png`: a row for each image, a column for each place on its way."""

    rows = 6

    def on_step(self, run: Run) -> None:
        """Draw where a preview is drawn, too; nothing for a model of another objective."""
        objective, networks = run.model.objective, run.model.networks
        if not isinstance(objective, FlowMatching) or not run.preview_is_due:
            return
        noise = Noise(0, range(self.rows), device=run.model.device)
        labels = run.model.labels(self.rows, seed=0)
        places = [*objective.path(networks, objective.latents(networks, noise), labels)]
        images = torch.stack(places, dim=1).flatten(0, 1).float().add(1).div(2).clamp(0, 1)
        path = run.folder / "paths" / f"step-{run.step:08d}.png"
        save_image(images, path, len(places), {"model": run.config.name, "step": str(run.step)})
