"""`new-name`: watches a training run. An error in here is reported, and the run goes on."""

import sys

from genzoo.training.callbacks import Callback, Run


class NewNameCallback(Callback):
    """Warns, once, when the images that a model draws are nearly all alike."""

    count = 32
    least = 0.02
    """Of the mean deviation of a pixel over images; digits have about 0.3."""

    def __init__(self) -> None:
        self.warned = False

    def on_step(self, run: Run) -> None:
        """Look where a preview is drawn, too: `run.model` draws images in [0, 1]."""
        if self.warned or not run.preview_is_due:
            return
        deviation = run.model.sample(self.count, seed=0).std(dim=0).mean().item()
        if deviation < self.least:
            self.warned = True
            print(
                f"new-name: after step {run.step} the images of {run.config.name} are nearly all "
                f"alike (deviation {deviation:.3f}).",
                file=sys.stderr,
            )
