"""SIGINT and SIGTERM: the first saves; a person's second acts at once, a machine's does not."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import genzoo
from genzoo.registry.config import ZooConfig
from genzoo.training.callbacks import Callback, Run
from genzoo.training.interrupt import Interrupted, stop_requests

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]
Stopped = dict[str, tuple[Path, str]]


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("checkpoints/*"))


@pytest.mark.parametrize("name", ["interrupted", "terminated"])
def test_the_first_signal_saves_the_step_that_it_came_in(name: str, stopped: Stopped) -> None:
    folder, ending = stopped[name]
    assert ending == f"Interrupted: stopped after step 13; the state is saved in {folder}"
    assert checkpoints(folder) == ["step-00000010", "step-00000013"]
    assert not (folder / "weights.safetensors").exists()


def test_a_second_interrupt_acts_at_once(stopped: Stopped) -> None:
    folder, ending = stopped["interrupted-twice"]
    assert ending.startswith("KeyboardInterrupt")
    assert checkpoints(folder) == ["step-00000010"]


@pytest.mark.parametrize(
    "name", ["terminated-twice", "interrupted-then-terminated", "interrupted-and-told-so-again"]
)
def test_what_a_scheduler_and_a_launcher_both_send_counts_once(name: str, stopped: Stopped) -> None:
    folder, ending = stopped[name]
    assert ending.startswith("Interrupted: stopped after step 13;")
    assert checkpoints(folder) == ["step-00000010", "step-00000013"]


class Send(Callback):
    """Sends this process a signal after each step from one on."""

    def __init__(self, number: signal.Signals, step: int) -> None:
        self.number = number
        self.step = step
        self.ended = False

    def on_step(self, run: Run) -> None:
        if run.step == self.step:
            signal.raise_signal(self.number)

    def on_end(self, run: Run) -> None:
        self.ended = True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_raised_says_where_the_run_stands(
    number: signal.Signals, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    send = Send(number, 2)
    with pytest.raises(Interrupted) as raised:
        train(recipe(), tmp_path, send)
    assert (raised.value.step, raised.value.folder) == (2, tmp_path)
    assert raised.value.number == number
    assert isinstance(raised.value, KeyboardInterrupt)
    assert send.ended


def test_a_signal_in_the_last_step_finishes_the_run(
    tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    train(recipe(training__steps=2), tmp_path, Send(signal.SIGINT, 2))
    assert (tmp_path / "weights.safetensors").is_file()


def test_handlers_are_put_back(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    train(recipe(training__steps=1), tmp_path / "finished")
    assert [signal.getsignal(number) for number in numbers] == before
    with pytest.raises(Interrupted):
        train(recipe(), tmp_path / "stopped", Send(signal.SIGINT, 1))
    assert [signal.getsignal(number) for number in numbers] == before


def test_another_thread_than_the_main_one_can_train() -> None:
    seen: list[bool] = []

    def enter() -> None:
        with stop_requests() as request:
            seen.append(request.made)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [False]
