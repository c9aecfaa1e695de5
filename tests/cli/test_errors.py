"""A person's mistakes: one clear message with what to do, exit code 2, no traceback."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from genzoo.cli.output import print_error
from genzoo.errors import GenzooError
from genzoo.registry import discovery
from genzoo.weights import format as weights_format


@pytest.mark.parametrize("command", ["sample", "interpolate", "reconstruct", "train"])
def test_an_unknown_name(refused, command: str) -> None:
    message = refused(command, "dcgan-minst")
    assert "no model is called 'dcgan-minst'" in message
    assert "Did you mean 'dcgan-mnist'" in message


@pytest.mark.parametrize(
    "name", ["no/such/folder", "missing.safetensors", "x" * 300, "missing.yaml"]
)
def test_a_path_that_is_not_there(refused, name: str) -> None:
    assert name in refused("sample", name)


def test_a_folder_that_is_no_run(refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no weights yet" in refused("sample", "empty")


@pytest.mark.parametrize(
    ("labels", "says"),
    [("10", "label 10 is out of range"), ("0-12", "0 to 9"), ("seven", "'seven' is not a label")],
)
def test_labels_that_are_none(refused, runs: Path, labels: str, says: str) -> None:
    assert says in refused("sample", runs / "tiny-gan", "--labels", labels)


def test_labels_for_an_unconditional_model(refused, runs: Path) -> None:
    assert "unconditional" in refused("sample", runs / "tiny-unconditional", "--labels", "1")


@pytest.mark.parametrize("command", ["sample", "interpolate", "reconstruct"])
@pytest.mark.parametrize("output", ["file.txt/out.png", "folder.png", "out.xyz"])
def test_an_output_that_cannot_be_written(
    refused, runs: Path, tmp_path: Path, command: str, output: str
) -> None:
    (tmp_path / "file.txt").touch()
    (tmp_path / "folder.png").mkdir()
    assert output in refused(command, runs / "tiny-vae", "-o", output)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a place that even root cannot write")
@pytest.mark.parametrize("command", ["sample", "interpolate", "reconstruct"])
def test_an_output_that_only_the_attempt_shows_cannot_be_written(
    refused, runs: Path, command: str
) -> None:
    assert "/proc/out.png" in refused(command, runs / "tiny-vae", "-o", "/proc/out.png")


def test_a_run_folder_that_cannot_be_written(refused, recipes: Path, tmp_path: Path) -> None:
    (tmp_path / "file.txt").touch()
    assert "file.txt" in refused("train", recipes / "tiny-gan.yaml", "-o", "file.txt/run")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("training.stepz=3", ["training.stepz", "'steps'"]),
        ("trainign.steps=3", ["trainign", "'training'"]),
        ("training.steps=many", ["training.steps", "'many'", "whole number"]),
        ("training.steps=0", ["training.steps", "greater than or equal to 1"]),
        ("training.steps", ["--set training.steps=100"]),
        ("training.steps=[1", ["not valid YAML"]),
        ("architecture.config.depth=3", ["architecture.config.depth", "unknown key"]),
        ("architecture.config.latent_dim=0", ["architecture.config.latent_dim", "found 0"]),
        ("architecture.name=dcgna", ["'dcgna'", "'dcgan'"]),
        ("objective.name=variational", ["needs the role 'decoder'", "generator"]),
        ("dataset.name=digitz", ["'digitz'", "'digits'"]),
        ("classes=7", ["10 classes"]),
    ],
)
def test_a_setting_that_cannot_be(
    refused, recipes: Path, tmp_path: Path, setting: str, says: list[str]
) -> None:
    message = refused("train", recipes / "tiny-gan.yaml", "--quiet", "--set", setting)
    assert all(text in message for text in says), message
    assert not (tmp_path / "runs").exists()


def test_a_size_that_the_architecture_cannot_do(refused) -> None:
    settings = ["--set=dataset.name=digits", "--set=image.height=30"]
    message = refused("train", "dcgan-mnist", "--quiet", *settings)
    assert "dcgan cannot make 30x28 images" in message
    assert "nearest sizes" in message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"classes": "ten"}, ["classes", "'ten'"]),
        ({"trainnig": {"steps": 2}}, ["trainnig", "'training'"]),
        ({"image": [1, 8, 8]}, ["image"]),
    ],
)
def test_a_yaml_file_with_a_mistake(
    refused, recipes: Path, tmp_path: Path, change, says: list[str]
) -> None:
    data = yaml.safe_load((recipes / "tiny-gan.yaml").read_text()) | change
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data))
    message = refused("train", "mine.yaml")
    assert all(text in message for text in ["mine.yaml", *says]), message


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def swap_for_a_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"weights": [1.0, 2.0]}))


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    _, header = weights_format.read(path)
    tensors = load_file(path)
    change(tensors)
    weights_format.write(path, tensors, header)


def drop_a_tensor(path: Path) -> None:
    rewrite(path, lambda tensors: tensors.pop(min(tensors)))


def add_a_tensor(path: Path) -> None:
    rewrite(path, lambda tensors: tensors.update(more=torch.ones(2)))


def misshape_a_tensor(path: Path) -> None:
    rewrite(path, lambda tensors: tensors.update({min(tensors): torch.ones(1, 2, 3)}))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (flip, "damaged"),
        (truncate, "cut short"),
        (swap_for_a_pickle, "pickles"),
        (drop_a_tensor, "missing"),
        (add_a_tensor, "unexpected more"),
        (misshape_a_tensor, "has shape [1, 2, 3]"),
    ],
)
def test_weights_that_are_not_what_they_were(
    refused, runs: Path, tmp_path: Path, harm: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "model.safetensors"
    shutil.copy(runs / "tiny-gan" / "weights.safetensors", path)
    harm(path)
    message = refused("sample", path, "-o", "out.png")
    assert str(path) in message
    assert says in message
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("device", ["nonsense", "cpu:x", "cuda:99"])
def test_a_device_that_is_not_there(refused, runs: Path, device: str) -> None:
    assert repr(device) in refused("sample", runs / "tiny-gan", "--device", device)


def test_a_model_that_cannot_reconstruct(refused, runs: Path) -> None:
    message = refused("reconstruct", runs / "tiny-gan")
    assert "tiny-gan cannot reconstruct" in message
    assert "variational" in message


def test_a_file_to_reconstruct_without_its_label(refused, runs: Path, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    assert "labels" in refused("reconstruct", runs / "tiny-vae", "a.png")


def test_a_file_to_reconstruct_that_is_no_image(refused, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not a picture")
    message = refused("reconstruct", runs / "tiny-vae", "a.png", "--labels", "1")
    assert "a.png cannot be read as an image" in message


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample"],
        ["sample", "tiny", "-n", "0"],
        ["sample", "tiny", "-n", "many"],
        ["sample", "tiny", "--seed", "-1"],
        ["sample", "tiny", "--columns", "0"],
        ["interpolate", "tiny", "--frames", "1"],
        ["reconstruct", "tiny", "--labels", "1"],
        ["reconstruct", "tiny", "--split", "validation"],
        ["reconstruct", "tiny", "missing.png"],
        ["publish", "missing"],
        ["list", "--no-such-option"],
    ],
    ids=" ".join,
)
def test_usage_errors(cli, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: genzoo" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_seed_that_is_too_large(refused, runs: Path) -> None:
    assert "seed" in refused("sample", runs / "tiny-gan", "--seed", 2**63)


def test_an_interruption_is_no_traceback(cli, installed) -> None:
    installed("genzoo-slow", "1.0", {"slow": "slow"}, {"slow.py": "raise KeyboardInterrupt"})
    result = cli("list")
    assert result.exit_code == 130
    assert result.stderr == "Interrupted.\n"


BUGGY = """
    import genzoo
    from genzoo.training.callbacks import Callback

    @genzoo.hookimpl
    def genzoo_architectures():
        return [
            genzoo.Architecture(
                name="buggy",
                summary="fails",
                objective="adversarial",
                config="buggy_plugin:Config",
                networks="buggy_plugin:build",
            )
        ]

    @genzoo.hookimpl
    def genzoo_callbacks():
        return [
            genzoo.Callback(
                name="cross", summary="fails", factory="buggy_plugin:Cross", default=False, %s
            )
        ]

    class Config(genzoo.Config):
        pass

    def build(image, config):
        %s

    class Cross(Callback):
        def on_step(self, run):
            if run.step == 1:
                raise ZeroDivisionError("at last")

        def on_end(self, run):
            %s
"""


@pytest.fixture
def buggy(installed) -> Callable[..., list[str]]:
    """Return a function that installs a plugin that fails somewhere, and says how to use it."""

    def install(build: str = "return {}", fields: str = "", end: str = "pass") -> list[str]:
        files = {"buggy_plugin.py": BUGGY % (fields, build, end)}
        installed("genzoo-buggy", "1.0", {"buggy": "buggy_plugin"}, files)
        return ["--set", "architecture={name: buggy}", "--quiet"]

    return install


@pytest.mark.parametrize(
    ("build", "says"),
    [
        ("raise SystemExit(0)", "a plugin's code ended the program: SystemExit: 0 at "),
        ("return {}", "built no networks"),
        ("return []", "built a list"),
        ("return {None: 1}", "built a network for None, which cannot name a role"),
        ("return {'keys': 1}", "built a network for 'keys', which cannot name a role"),
        ("return {'generator': 1}", "built a int for the role 'generator'"),
    ],
)
def test_an_architecture_that_builds_no_networks(
    refused, buggy: Callable[..., list[str]], recipes: Path, build: str, says: str
) -> None:
    assert says in refused("train", recipes / "tiny-gan.yaml", *buggy(build))


def test_a_rule_of_a_config_that_fails(refused, installed, recipes: Path) -> None:
    text = BUGGY.replace(
        "class Config(genzoo.Config):\n        pass",
        "from pydantic import model_validator\n\n    class Config(genzoo.Config):\n"
        "        @model_validator(mode='after')\n        def rule(self): raise KeyError('no')",
    )
    files = {"buggy_plugin.py": text % ("", "return {}", "pass")}
    installed("genzoo-buggy", "1.0", {"buggy": "buggy_plugin"}, files)
    chosen = ["--set", "architecture={name: buggy}", "--quiet"]
    said = refused("train", recipes / "tiny-gan.yaml", *chosen)
    assert "the config of 'buggy', failed: KeyError: 'no'." in said


def test_a_run_ended_by_a_callback_that_it_cannot_do_without_goes_on_from_there(
    refused, done, buggy: Callable[..., list[str]], recipes: Path
) -> None:
    buggy(fields="required=True")
    run = ["train", recipes / "tiny-gan.yaml", "-o", "run", "--quiet"]
    said = refused(*run, "--callback", "cross")
    assert "callback 'cross' of plugin 'buggy' (genzoo-buggy 1.0) failed in on_step" in said
    assert "after step 1: ZeroDivisionError: at last." in said
    assert "--resume" in said
    assert "--without cross" in said
    # Step 1 was saved: the callback, which would fail at it, is not told of it again.
    done(*run, "--callback", "cross", "--resume")


def test_a_finished_run_is_whole_though_such_a_callback_fails_at_its_end(
    refused, done, buggy: Callable[..., list[str]], recipes: Path, tmp_path: Path
) -> None:
    buggy(fields="required=True", end="raise KeyError('end')")
    run = ["train", recipes / "tiny-unconditional.yaml", "-o", "run", "--quiet"]
    for step, resume in ((1, []), (2, ["--resume"])):
        said = refused(*run, "--callback", "cross", *resume)
        assert f"failed in on_end, after step {step}: KeyError: 'end'." in said
    done(*run, "--resume")
    assert (tmp_path / "run" / "weights.safetensors").is_file()


def test_a_callback_that_is_wanted_and_not(refused, recipes: Path) -> None:
    both = ["--callback", "previews", "--without", "previews"]
    assert "'previews' is asked for, and to be" in refused(
        "train", recipes / "tiny-gan.yaml", *both
    )


def test_what_is_switched_off_cannot_be_checked(refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENZOO_DISABLE", "dcgan")
    discovery.registry.cache_clear()
    try:
        said = refused("check", "genzoo-dcgan")
    finally:
        monkeypatch.undo()
        discovery.registry.cache_clear()
    assert "plugin 'dcgan'" in said
    assert "switched off by GENZOO_DISABLE" in said


def test_what_pip_cannot_take_out_is_said_to_be_there_still(distribution, python) -> None:
    distribution("genzoo-elsewhere", "1.0", {"elsewhere": "elsewhere"}, {"elsewhere.py": ""})
    code = "import sys; sys.argv = ['genzoo', 'plugins', 'uninstall', 'elsewhere']"
    answer = python(f"{code}; from genzoo.cli.main import run; run()")
    assert answer.returncode == 2, answer.stderr
    assert answer.stdout == ""
    assert "genzoo-elsewhere could not be uninstalled" in answer.stderr


def test_a_name_to_switch_off_that_nobody_has_is_told(python) -> None:
    code = "import sys; sys.argv = ['genzoo', 'plugins']"
    answer = python(f"{code}; from genzoo.cli.main import run; run()", GENZOO_DISABLE="dcgn,vae")
    assert answer.stderr == "genzoo: GENZOO_DISABLE names 'dcgn', which no plugin is called.\n"


def test_what_another_process_says_is_not_said_twice(capsys: pytest.CaptureFixture[str]) -> None:
    error = GenzooError("something is wrong.")
    print_error(error)
    assert "something is wrong." in capsys.readouterr().err
    error.told_elsewhere = True
    print_error(error)
    assert capsys.readouterr().err == ""


def test_a_bug_is_not_dressed_up_as_a_mistake(
    cli, buggy: Callable[..., list[str]], recipes: Path
) -> None:
    result = cli("train", recipes / "tiny-gan.yaml", *buggy("return 1 / 0"))
    assert isinstance(result.exception, ZeroDivisionError)
