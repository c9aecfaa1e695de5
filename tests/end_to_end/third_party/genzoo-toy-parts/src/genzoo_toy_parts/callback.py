"""`toy-note`: a callback that runs in every training run while its plugin is installed."""

from genzoo.files import write_text
from genzoo.training.callbacks import Callback, Run


class Note(Callback):
    """Writes note.txt into the run folder at the end."""

    def on_end(self, run: Run) -> None:
        """Write it."""
        write_text(run.folder / "note.txt", f"{run.config.name}: {run.step} steps\n")
