"""Callbacks that the hook brings: their order, and what becomes of a run when one of them fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import genzoo
from genzoo.errors import PluginError, UnknownNameError
from genzoo.registry.config import ZooConfig
from genzoo.registry.discovery import registry
from genzoo.training.callbacks import Callback, Run
from genzoo.training.watching import Watchers, chosen

Recipe = Callable[..., ZooConfig]
Train = Callable[..., genzoo.Model]

PLUGIN = """
    import genzoo

    @genzoo.hookimpl
    def genzoo_callbacks():
        def of(name, **fields):
            factory = f"watch_parts:{name.title()}"
            return genzoo.Callback(name=name, summary="a test's", factory=factory, **fields)
        return [%s]
"""
PARTS = """
    from genzoo.training.callbacks import Callback

    told = []

    class Noter(Callback):
        def on_step(self, run):
            told.append((type(self).__name__.lower(), run.step))

    class First(Noter): pass
    class Second(Noter): pass
    class Third(Noter): pass

    class Bad(Noter):
        def on_step(self, run):
            super().on_step(run)
            if run.step == 2:
                raise ZeroDivisionError("of all things")

    class Exits(Noter):
        def on_step(self, run):
            raise SystemExit(3)

    class Sulks(Noter):
        def on_evaluation(self, run, figures):
            raise KeyError("evaluated")

    class Tells(Noter):
        def on_step(self, run):
            super().on_step(run)
            run.announce("on_evaluation", {})

    class Unbuilt(Callback):
        def __init__(self):
            raise KeyError("no such key")

    def Wrong():
        return 3
"""


@pytest.fixture
def watch(installed: Callable[..., Path]) -> Callable[..., list[Any]]:
    """Return a function that installs callbacks, and returns the list of what they are told."""

    def install(*descriptors: str) -> list[Any]:
        files = {"watch_plugin.py": PLUGIN % ", ".join(descriptors), "watch_parts.py": PARTS}
        installed("genzoo-watch", "1.2", {"watch": "watch_plugin"}, files)
        import watch_parts  # type: ignore[import-not-found]

        told: list[Any] = watch_parts.told
        return told

    return install


def test_the_cores_own_watchers_come_by_the_hook() -> None:
    known = registry().callbacks
    owners = {name: registry().owner("callbacks", name).name for name in known}
    assert {name for name, owner in owners.items() if owner == "genzoo"} == {
        *("alarms", "metrics", "previews", "progress", "tensorboard")
    }
    assert {spec.name for spec in chosen()} == {"alarms", "metrics", "previews", "progress"}


def test_they_are_called_by_rising_order_and_then_by_name(
    watch: Any, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    told = watch('of("third")', 'of("second", order=-5)', 'of("first", order=-5)')
    train(recipe(training__steps=2), tmp_path)
    assert told == [(name, step) for step in (1, 2) for name in ("first", "second", "third")]


def test_one_that_fails_is_named_and_the_run_goes_on_without_it(
    watch: Any, tmp_path: Path, recipe: Recipe, train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    told = watch('of("bad", order=-5)', 'of("third")')
    train(recipe(training__steps=4), tmp_path)
    assert told == [
        *(("bad", 1), ("third", 1), ("bad", 2), ("third", 2)),
        *(("third", 3), ("third", 4)),
    ]
    (line,) = capfd.readouterr().err.splitlines()
    assert line == (
        "genzoo: callback 'bad' of plugin 'watch' (genzoo-watch 1.2) failed in on_step, after step "
        "2: ZeroDivisionError: of all things. The run goes on without it."
    )
    assert (tmp_path / "weights.safetensors").is_file()


def test_one_that_would_exit_is_left_out_like_any(
    watch: Any, tmp_path: Path, recipe: Recipe, train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    told = watch('of("exits", order=-5)', 'of("third")')
    train(recipe(training__steps=2), tmp_path)
    assert told == [("third", 1), ("third", 2)]
    assert "callback 'exits'" in capfd.readouterr().err


def test_one_that_fails_while_another_tells_of_an_event_is_not_called_again(
    watch: Any, tmp_path: Path, recipe: Recipe, train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    told = watch('of("tells", order=-5)', 'of("sulks")', 'of("third", order=5)')
    train(recipe(training__steps=2), tmp_path)
    assert told == [("tells", 1), ("third", 1), ("tells", 2), ("third", 2)]
    (line,) = capfd.readouterr().err.splitlines()
    assert "callback 'sulks'" in line
    assert "in on_evaluation, after step 1" in line


def test_one_that_cannot_be_built_is_named_as_well(
    watch: Any, tmp_path: Path, recipe: Recipe, train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    told = watch('of("unbuilt")', 'of("wrong")', 'of("third")')
    train(recipe(training__steps=1), tmp_path)
    assert told == [("third", 1)]
    lines = capfd.readouterr().err.splitlines()
    assert ["KeyError" in line for line in lines] == [True, False]
    assert "callback 'wrong' built 3." in lines[1]


@pytest.mark.parametrize("fields", ["required=True", "default=False"])
def test_the_run_ends_by_one_that_it_cannot_do_without(
    fields: str, watch: Any, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    watch(f'of("wrong", {fields})')
    with pytest.raises(PluginError, match="built 3"):
        train(recipe(), tmp_path, "wrong")


def test_one_that_is_off_watches_where_it_is_asked_for(
    watch: Any, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    told = watch('of("first", default=False)', 'of("second")')
    train(recipe(training__steps=1), tmp_path / "a")
    assert told == [("second", 1)]
    train(recipe(training__steps=1), tmp_path / "b", "first", without=["second", "previews"])
    assert told == [("second", 1), ("first", 1)]
    assert not (tmp_path / "b" / "previews").exists()
    assert (tmp_path / "a" / "previews").is_dir()


@pytest.mark.parametrize("key", ["callbacks", "without"])
def test_a_name_that_nobody_has_is_refused(key: str, tmp_path: Path, recipe: Recipe) -> None:
    with pytest.raises(UnknownNameError, match="'preview'") as caught:
        genzoo.train(recipe(), tmp_path, progress=False, **{key: ["preview"]})
    assert "'previews'" in caught.value.hint


def test_the_callers_own_come_last_and_their_errors_are_raised(
    watch: Any, tmp_path: Path, recipe: Recipe, train: Train
) -> None:
    told = watch('of("third", order=1000)')

    class Own(Callback):
        def on_step(self, run: Run) -> None:
            told.append(("own", run.step))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(recipe(), tmp_path, Own())
    assert told == [("third", 1), ("own", 1)]


def test_all_are_told_of_an_evaluation(tmp_path: Path, recipe: Recipe, train: Train) -> None:
    seen: list[tuple[int, dict[str, Any], bool]] = []

    class Note(Callback):
        def on_evaluation(self, run: Run, figures: Mapping[str, float | None]) -> None:
            seen.append((run.step, dict(figures), run.model.networks.training))

        def on_step(self, run: Run) -> None:
            # After another's announcement, too, what samples is in eval mode.
            assert not run.model.networks["generator"].training

    config = recipe(training__steps=2, training__ema=None)
    train(config, tmp_path, Note(), evaluate_every=2)
    ((step, figures, _),) = seen
    assert step == 2
    assert {"fid", "fid_ratio", "coverage", "samples"} == figures.keys()


def test_nobody_watches_where_there_is_nobody() -> None:
    assert not Watchers()
