from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import genzoo


def test_a_run_can_be_sampled_by_the_command_that_is_printed(
    done, recipes: Path, tmp_path: Path
) -> None:
    said = done("train", recipes / "tiny-gan.yaml", "--device", "cpu", "--output", "my run")
    assert "my run" in said
    program, *arguments = shlex.split(said.splitlines()[-1])
    assert program == "genzoo"
    done(*arguments)
    assert (tmp_path / "tiny-gan.png").is_file()


def test_settings_are_overridden(done, recipes: Path, tmp_path: Path) -> None:
    settings = ["training.steps=3", "training.ema=null", "training.optimizer={name: sgd, lr: 1e-3}"]
    done("train", recipes / "tiny-gan.yaml", *(f"--set={s}" for s in settings), "--quiet")
    training = genzoo.load(tmp_path / "runs" / "tiny-gan", "cpu").config.training
    assert (training.steps, training.ema) == (3, None)
    assert (training.optimizer.name, training.optimizer.lr) == ("sgd", 1e-3)


def test_progress_goes_to_standard_error_unless_quiet(cli, recipes: Path) -> None:
    loud = cli("train", recipes / "tiny-gan.yaml", "-o", "loud")
    assert "2/2" in loud.stderr
    assert "2/2" not in loud.stdout
    assert cli("train", recipes / "tiny-gan.yaml", "-o", "quiet", "--quiet").stderr == ""


def test_tensorboard(done, recipes: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    done("train", recipes / "tiny-gan.yaml", "-o", "run", "--tensorboard")
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_resume_goes_on(done, recipes: Path, tmp_path: Path) -> None:
    again = ["train", recipes / "tiny-gan.yaml", "-o", "run"]
    done(*again)
    done(*again, "--resume", "--set", "training.steps=4")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]


def test_how_images_are_drawn_may_be_changed_when_a_run_goes_on_and_is_published(
    done, refused, recipes: Path, tmp_path: Path
) -> None:
    text = (recipes / "tiny-vae.yaml").read_text().replace("steps: 2", "steps: 1")
    (tmp_path / "card.yaml").write_text(text)
    train = ("train", "card.yaml", "-o", "run", "--quiet")
    done(*train)
    done(*train, "--resume", "--set", "objective.config.samples=drawn")
    settings = "objective:\n  config: {samples: drawn}\n"
    (tmp_path / "card.yaml").write_text(text.replace("objective:\n", settings))
    done("publish", "run", "--config", "card.yaml")
    assert genzoo.load("card.yaml", "cpu").config.objective.config == {"samples": "drawn"}
    other = text.replace("objective:\n", "objective:\n  config: {beta: 2.0}\n")
    (tmp_path / "card.yaml").write_text(other)
    assert "objective.config.beta" in refused("publish", "run", "--config", "card.yaml")


def test_a_run_is_not_overwritten(refused, done, recipes: Path) -> None:
    done("train", recipes / "tiny-gan.yaml", "-o", "run")
    message = refused("train", recipes / "tiny-gan.yaml", "-o", "run")
    assert "--resume" in message
    assert "--output" in message


def test_a_loss_that_is_not_finite_stops_the_run(cli, recipes: Path) -> None:
    settings = ["--set=training.optimizer={name: adam, lr: 1e30}", "--set=training.steps=50"]
    result = cli("train", recipes / "tiny-vae.yaml", "--quiet", *settings)
    assert result.exit_code == 2, result.output
    assert "is not finite" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_stopped_run_says_how_to_go_on_and_does(
    recipes: Path, tmp_path: Path, environment
) -> None:
    command = ["train", str(recipes / "tiny-gan.yaml"), "--set", "training.steps=1000000"]
    command += ["--output", "a run", "--device", "cpu", "--quiet"]
    metrics = tmp_path / "a run" / "metrics.jsonl"

    def stop(arguments: list[str], number: int) -> tuple[int, int, str]:
        before = len(metrics.read_bytes()) if metrics.exists() else 0
        with subprocess.Popen(
            [sys.executable, "-m", "genzoo", *arguments],
            cwd=tmp_path,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            deadline = time.monotonic() + 60
            while not (metrics.exists() and len(metrics.read_bytes()) > before):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        first, again = said.splitlines()[-2:]
        assert again.startswith("genzoo train ")
        return process.returncode, int(first.split("step ")[1].split(";")[0]), again

    code, reached, again = stop(command, signal.SIGINT)
    assert code == 130
    assert shlex.split(again)[1:] == [
        "train",
        str(recipes / "tiny-gan.yaml"),
        "--set=training.steps=1000000",
        "--output=a run",
        "--device=cpu",
        "--quiet",
        "--resume",
    ]
    code, further, _ = stop(shlex.split(again)[1:], signal.SIGTERM)
    assert code == 143
    assert further > reached > 0
