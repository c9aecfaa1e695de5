"""`genzoo runs`: a person looks at what their runs do."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from genzoo.cli.output import table
from genzoo.training.curves import draw_picture, draw_text, log_ticks, panels


@pytest.fixture
def here(runs: Path, tmp_path: Path) -> Path:
    """The folder `runs` in the current one: three finished runs, evaluated and alarmed."""
    folder = Path(shutil.copytree(runs, tmp_path / "runs"))
    rows = [{"step": 1, "fid": 7.25}, {"step": 2, "fid": 8.5}]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "tiny-gan" / "evaluations.jsonl").write_text(text)
    alarms = [
        {"step": 1, "alarm": "samples-alike", "state": "raised", "message": "They are.\nDo this."},
        {"step": 2, "alarm": "samples-alike", "state": "over", "message": None},
    ]
    text = "".join(f"{json.dumps(row)}\n" for row in alarms)
    (folder / "tiny-gan" / "alarms.jsonl").write_text(text)
    return folder


def test_runs_lists_those_under_runs(done, here: Path) -> None:
    lines = done("runs").splitlines()
    assert " ".join(lines[0].split()) == "run model state step time last losses FID best FID"
    (gan,) = (line for line in lines if line.startswith("tiny-gan"))
    assert all(text in gan for text in ("finished", "2/2", "8.5 at 2", "7.25 at 1", "generator"))
    assert len(lines) == 4


def test_runs_takes_a_folder_a_run_or_the_word_list(done, here: Path) -> None:
    assert done("runs", here) == done("runs") == done("runs", "list", "runs")
    assert done("runs", "runs/tiny-gan").splitlines()[1].startswith("tiny-gan ")
    here.rename(here.parent / "show")
    assert len(done("runs", "./show").splitlines()) == 4


def test_runs_gives_programs_all_values(done, here: Path) -> None:
    rows = json.loads(done("runs", "--json"))
    assert {row["folder"] for row in rows} == {
        str(p.relative_to(here.parent)) for p in here.iterdir()
    }
    (gan,) = (row for row in rows if row["name"] == "tiny-gan")
    assert gan["best"] == {"step": 1, "fid": 7.25}
    assert gan["figures"]["discriminator/grad_norm"] > 0


def test_a_damaged_run_is_named_with_what_is_wrong_beside_the_others(done, here: Path) -> None:
    (here / "tiny-vae" / "config.yaml").write_text("name: [")
    text = done("runs")
    assert "finished" in text
    assert "damaged" in text
    assert "not valid YAML" in text
    assert "damaged" in done("runs", "show", "tiny-vae")


HUGE = "1" + 400 * "0"
DEEP = 9999 * "["
POSITION = "checkpoints/step-00000002/position.json"
NUMBERS = ("NaN", "-Infinity", "1e999", "1e300", "-1e308", "5e-324", HUGE, "-1", "2.5")
OTHERS = ("null", "true", '"2"', "[1]", "{}")


def line(**values: str) -> str:
    """Return a map in JSON, its values as they are to stand in the file."""
    return "{" + ", ".join(f'"{name}": {value}' for name, value in values.items()) + "}"


def position(**values: str) -> tuple[str, str]:
    return POSITION, line(**{"step": "2", "seconds": "1.0", "machines": "[]", **values})


def figures(**values: str) -> tuple[str, str]:
    known = {"step": "2", "seconds": "1.0", "generator/loss": "1.5", "generator/grad_norm": "1.5"}
    return "metrics.jsonl", line(**{**known, **values})


NOT_OF_A_RUN = [
    *(position(**{name: text}) for name in ("step", "seconds") for text in NUMBERS + OTHERS),
    *(position(machines=text) for text in ("[1, null]", *OTHERS)),
    *((POSITION, text) for text in ("", "[]", "3", DEEP, '{"step": 2}')),
    *(
        figures(**{name: text})
        for name in ("step", "seconds", "generator/loss", "generator/grad_norm")
        for text in NUMBERS + OTHERS
    ),
    *(("metrics.jsonl", text) for text in ("[]", "3", '"text"', DEEP)),
    *(("evaluations.jsonl", line(step="2", fid=text)) for text in NUMBERS + OTHERS),
    *(("evaluations.jsonl", text) for text in ("[]", '{"fid": 2.0}')),
    ("alarms.jsonl", line(step="2")),
    ("alarms.jsonl", line(step="2", alarm='"samples-alike"')),
    ("alarms.jsonl", line(step="2", alarm="[1]", state='"raised"')),
    ("alarms.jsonl", line(step="2", state='"raised"', message='{"a": "[/bold]"}')),
    ("alarms.jsonl", line(alarm='"samples-alike"', state='"raised"')),
    *(("trained.json", text) for text in ('{"steps": NaN}', "[]", DEEP)),
]


@pytest.fixture
def spoilt(here: Path) -> list[Path]:
    """Copies of a run beside it, a file of each with something in it that no run writes."""
    gan, copies = here / "tiny-gan", []
    for place, (file, text) in enumerate(NOT_OF_A_RUN):
        copy = here / f"spoilt-{place:03d}"
        (copy / POSITION).parent.mkdir(parents=True)
        for name in ("config.yaml", "metrics.jsonl", "trained.json", POSITION):
            if (file, name) != (POSITION, "trained.json"):  # of a finished run it is not asked
                shutil.copy(gan / name, copy / name)
        with (copy / file).open("a" if file.endswith(".jsonl") else "w") as opened:
            opened.write(f"{text}\n")
        copies.append(copy)
    return copies


def test_what_no_run_writes_hides_no_run_and_is_no_error(done, spoilt: list[Path]) -> None:
    text = done("runs")
    for run in (*spoilt, *(Path(name) for name in ("tiny-gan", "tiny-vae", "tiny-unconditional"))):
        assert f"\n{run.name} " in text
    assert text.count("finished") > len(spoilt) / 2
    rows = json.loads(done("runs", "--json"), parse_constant=pytest.fail)
    assert len(rows) == len(spoilt) + 3


def test_nor_is_it_one_to_show_such_a_run(
    done, here: Path, tmp_path: Path, spoilt: list[Path]
) -> None:
    for file, text in NOT_OF_A_RUN:
        if file.endswith(".jsonl"):
            with (here / "tiny-gan" / file).open("a") as opened:
                opened.write(f"{text}\n")
    for run in (here / "tiny-gan", *spoilt[::12]):
        assert run.name in done("runs", "show", run)
    json.loads(done("runs", "show", "tiny-gan", "--json"), parse_constant=pytest.fail)
    done("runs", "show", "tiny-gan", "-o", "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width == 1500


@pytest.mark.parametrize("seconds", [1e300, -5.0])
@pytest.mark.parametrize("when", [1e18, -1e18])
def test_no_time_is_too_long_or_too_long_ago(done, here: Path, seconds: float, when: float) -> None:
    record = here / "tiny-gan" / "trained.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "seconds": seconds}))
    os.utime(here / "tiny-gan" / "metrics.jsonl", (when, when))
    assert done("runs").count("finished") == 3
    assert "finished" in done("runs", "show", "tiny-gan")
    assert len(json.loads(done("runs", "--json"))) == 3


def test_what_the_terminal_has_no_letters_for_is_written_out(process, here: Path) -> None:
    (here / "tiny-gan" / "trained.json").unlink()
    machines = line(step="2", seconds="1.0", machines='["half of a letter: \\ud800"]')
    (here / "tiny-gan" / POSITION).write_text(machines)
    (here / "tiny-gan").rename(os.fsdecode(bytes(here) + b"/caf\xe9"))
    for command in (["runs"], ["runs", "show", os.fsdecode(b"caf\xe9")]):
        result = process("-m", "genzoo", *command)
        assert (result.returncode, result.stderr) == (0, "")
        assert "caf\\udce9" in result.stdout
    assert "half of a letter: \\ud800" in result.stdout


def test_no_runs_are_no_mistake_and_no_folder_is_one(cli, refused, tmp_path: Path) -> None:
    assert "no folder runs" in refused("runs")
    (tmp_path / "runs").mkdir()
    result = cli("runs")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No run in runs.\n")
    assert json.loads(cli("runs", "--json").stdout) == []


def test_show_has_what_a_run_is_what_went_wrong_and_its_curves(done, here: Path) -> None:
    text = done("runs", "show", "tiny-gan")
    for part in (
        *("finished, step 2/2", "images a second", "step 1: They are.\nDo this. Over at step 2."),
        *("loss  ", "accuracy  ", "gradient norm  ", "learning rate  ", "FID"),
    ):
        assert part in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert "accuracy" not in done("runs", "show", here / "tiny-vae")


def test_what_a_stop_has_lost_is_said_and_still_to_be_seen(done, here: Path) -> None:
    gan = here / "tiny-gan"
    (gan / "trained.json").unlink()
    with (gan / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "seconds": 9.0, "generator/loss": 77.25}\n')
    with (gan / "evaluations.jsonl").open("a") as file:
        file.write('{"step": 5, "fid": 0.125}\n')
    listed = done("runs")
    assert "77" not in listed
    assert "0.125" not in listed
    text = done("runs", "show", "tiny-gan")
    assert "stopped, step 2/2" in text
    assert "3 steps more, which the curves show and --resume does again" in text
    found = json.loads(done("runs", "show", "tiny-gan", "--json"))
    assert (found["lost"], found["best"]["step"]) == (3, 1)
    assert [row["step"] for row in found["metrics"]] == [1, 2, 5]


def test_show_gives_programs_every_line(done, here: Path) -> None:
    found = json.loads(done("runs", "show", "tiny-gan", "--json"))
    assert [row["step"] for row in found["metrics"]] == [1, 2]
    assert [row["fid"] for row in found["evaluations"]] == [7.25, 8.5]
    assert [row["state"] for row in found["alarms"]] == ["raised", "over"]


def test_show_draws_curves_as_a_picture(done, here: Path, tmp_path: Path) -> None:
    assert (
        done("runs", "show", "tiny-gan", "-o", "curves.png")
        == "curves.png: the curves of runs/tiny-gan\n"
    )
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width == 1500
        assert len(picture.convert("RGB").getcolors(maxcolors=2**24) or ()) > 50


def test_show_animates_the_previews_of_a_run_that_is_not_done(
    done, refused, here: Path, tmp_path: Path
) -> None:
    (here / "tiny-gan" / "trained.json").unlink()
    (here / "tiny-gan" / "previews.gif").unlink()
    done("runs", "show", "tiny-gan", "-o", "film.gif")
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 2  # type: ignore[attr-defined]
    shutil.rmtree(here / "tiny-gan" / "previews")
    assert "no previews" in refused("runs", "show", "tiny-gan", "-o", "film.gif")


def test_without_matplotlib_the_error_says_how_to_get_it(
    refused, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # as where it is not installed
    assert "pip install 'genzoo[plots]'" in refused("runs", "show", "tiny-gan", "-o", "curves.png")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tiny-gna"], "Did you mean 'tiny-gan'"),
        (["tiny-gan", "-o", "curves.jpg"], ".png or .gif"),
        (["no/such/run"], "not the folder of a run"),
    ],
)
def test_a_mistake_gets_a_message(refused, here: Path, arguments: list[str], says: str) -> None:
    assert says in refused("runs", "show", *arguments)


def test_a_run_without_figures_has_no_picture(refused, done, here: Path) -> None:
    (here / "tiny-gan" / "metrics.jsonl").write_text("")
    (here / "tiny-gan" / "evaluations.jsonl").unlink()
    assert "no figures" in refused("runs", "show", "tiny-gan", "-o", "curves.png")
    assert "loss" not in done("runs", "show", "tiny-gan").partition("They are")[2]


def test_show_imports_no_torch(process, here: Path) -> None:
    result = process("-X", "importtime", "-m", "genzoo", "runs", "show", "tiny-gan")
    assert result.returncode == 0, result.stderr
    assert "| torch" not in result.stderr
    assert "numpy" not in result.stderr


def test_curves_are_as_wide_as_a_terminal_and_coloured_there() -> None:
    rows = [{"step": s, "a/loss": 1 / s, "b/loss": 2.0, "a/grad_norm": 0.0} for s in range(1, 99)]
    (panel,) = panels(rows)  # a logarithmic axis has no place for 0
    plain, coloured = (draw_text([panel], 60, colour=colour) for colour in (False, True))
    assert panel.title == "loss"
    assert max(map(len, plain.splitlines())) == 60
    assert "\x1b" not in plain
    assert "x b" in plain  # where there is no colour, marks tell the curves apart
    assert "\x1b[" in coloured


def test_a_single_point_can_be_drawn(tmp_path: Path) -> None:
    shown = panels([{"step": 5, "images_per_second": 3.0, "elbo/lr": 0.0}], [{"step": 5, "fid": 1}])
    assert [panel.title for panel in shown] == ["learning rate", "images a second", "FID"]
    assert "FID" in draw_text(shown, 80, colour=True)
    draw_picture(shown, tmp_path / "one.png", "one")
    assert (tmp_path / "one.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("low", "high"),
    [
        *((2.3, 4.8), (2.1, 2.2), (5.2, 9.5), (1.01, 1.02)),
        *((3, 20), (0.5, 700), (1e-9, 7e4), (1e-45, 1e38)),
    ],
)
def test_a_logarithmic_axis_has_numbers_whatever_it_spans(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert 3 <= len(ticks) <= 7
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(set(ticks))
    assert all(len(f"{tick:g}") <= 6 for tick in ticks)


def test_a_narrow_terminal_does_without_columns_before_it_cuts_cells() -> None:
    losses = "discriminator 0.693  generator 0.693"
    row = {"run": "a", "losses": losses, "last": "1.25 at 1,000"}
    made = table([row], {"run": "run", "losses": "last losses", "last": "FID"})
    least = Console(width=200).measure(made).minimum  # by which columns are left out
    assert least >= sum(map(len, row.values()))
