"""Discovery, on real distributions: metadata, entry points and modules in a folder on the path."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from genzoo.registry.discovery import registry

OURS = sorted(registry().architectures)
"""Of whatever plugins are installed here."""
OBJECTIVES = sorted(registry().objectives)

REPORT = """
    import json, sys
    from genzoo.registry.discovery import registry
    found = registry()
    registry()
    plugins = [
        [p.name, p.distribution, p.version, p.module, p.error] for p in found.plugins
    ]
    print(json.dumps({
        "architectures": list(found.architectures),
        "objectives": list(found.objectives),
        "datasets": list(found.datasets),
        "callbacks": list(found.callbacks),
        "plugins": plugins,
        "torch": "torch" in sys.modules,
    }))
"""


def module(name: str = "toy", body: str = "pass", **fields: Any) -> str:
    """Return a plugin module that runs `body` when imported and brings one architecture."""
    values = {
        "name": name,
        "summary": "A toy.",
        "objective": "adversarial",
        "config": "toy.config:ToyConfig",
        "networks": "toy.networks:build",
        **fields,
    }
    return f"""\
import genzoo

{body}


@genzoo.hookimpl
def genzoo_architectures():
    return [genzoo.Architecture(**{values!r})]
"""


def report(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def hook(text: str) -> str:
    return f"import genzoo\nfrom pathlib import Path\n\n{text}\n"


BAD = {
    "import error": (module(body="import no_such_module"), "ModuleNotFoundError"),
    "exception": (module(body="1 / 0"), "ZeroDivisionError: division by zero"),
    "syntax error": ("def broken(:\n", "SyntaxError"),
    "exit": (module(body="raise SystemExit('bye')"), "SystemExit: bye"),
    "silent exit": (module(body="raise SystemExit"), "SystemExit"),
    "another API": (module(api_version=2), "api_version 2, this genzoo speaks 1"),
    "bad name": (module("Not_A_Name"), "'Not_A_Name' is not valid"),
    "bad reference": (module(networks="toy.networks"), "networks is 'toy.networks'"),
    "unknown field": (module(colour="red"), "unexpected keyword argument 'colour'"),
    "name of ours": (module("dcgan"), "architecture 'dcgan' is already brought by plugin 'dcgan'"),
    "exception in a hook": (
        hook("@genzoo.hookimpl\ndef genzoo_architectures():\n    return [][0]"),
        "IndexError",
    ),
    "exit in a hook": (
        hook("@genzoo.hookimpl\ndef genzoo_architectures():\n    raise SystemExit(3)"),
        "SystemExit: 3",
    ),
    "no list": (
        hook("@genzoo.hookimpl\ndef genzoo_architectures():\n    return 'dcgan'"),
        "genzoo_architectures returned 'dcgan'. Return a list of Architecture",
    ),
    "nothing": (
        hook("@genzoo.hookimpl\ndef genzoo_datasets():\n    pass"),
        "genzoo_datasets returned None. Return a list of Dataset",
    ),
    "wrong type": (
        hook("@genzoo.hookimpl\ndef genzoo_zoo_configs():\n    return ['toy.yaml']"),
        "genzoo_zoo_configs returned 'toy.yaml'. Return a list of Path",
    ),
    "bad signature": (
        hook("@genzoo.hookimpl\ndef genzoo_architectures(zoo):\n    return []"),
        "PluginValidationError",
    ),
    "words that raise": (
        module(body="class E(Exception):\n    def __str__(self):\n        return 1 / 0\nraise E"),
        "E",
    ),
    "endless words": (module(body="raise ValueError(10**6 * 'x')"), "xxx..."),
    "no exception": (module(body="class E(BaseException): pass\nraise E('out')"), "E: out"),
    "version in words": (module(api_version="1"), "api_version '1', this genzoo speaks 1"),
    "summary of no text": (module(summary=b"A toy."), "summary is b'A toy.'. It must be str"),
    "summary of two lines": (module(summary="A\ntoy."), "texts on one line"),
    "order in words": (
        hook(
            "@genzoo.hookimpl\ndef genzoo_callbacks():\n    return [genzoo.Callback("
            "name='a', summary='b', factory='c:d', order='high')]"
        ),
        "order is 'high'. It must be int",
    ),
    "misspelt hook": (
        hook("@genzoo.hookimpl\ndef genzoo_architecture():\n    return []"),
        "unknown hook 'genzoo_architecture'",
    ),
}


@pytest.mark.parametrize(("text", "reason"), BAD.values(), ids=BAD)
def test_a_bad_plugin_is_reported_once_and_all_else_works(
    text: str, reason: str, distribution: Any, python: Any
) -> None:
    distribution("zoo-bad", "1.5", {"bad": "bad_plugin"}, {"bad_plugin.py": text})
    distribution("good-zoo", "0.2", {"good": "good_plugin"}, {"good_plugin.py": module("good")})
    ran = python(REPORT)
    found = report(ran)
    lines = ran.stderr.splitlines()
    assert len(lines) == 1, ran.stderr
    assert lines[0].startswith("genzoo: plugin 'bad' (zoo-bad 1.5) is left out: ")
    assert reason in lines[0]
    assert found["architectures"] == sorted([*OURS, "good"])
    assert found["objectives"] == OBJECTIVES
    assert "digits" in found["datasets"]
    failed = [plugin for plugin in found["plugins"] if plugin[-1]]
    assert [plugin[:-1] for plugin in failed] == [["bad", "zoo-bad", "1.5", "bad_plugin"]]
    assert reason in failed[0][-1]


@pytest.mark.parametrize("case", ["exit", "another API", "name of ours"])
def test_strict_mode_raises_instead(case: str, distribution: Any, python: Any) -> None:
    text, reason = BAD[case]
    distribution("zoo-bad", "1.5", {"bad": "bad_plugin"}, {"bad_plugin.py": text})
    code = """
        from genzoo.errors import PluginError
        from genzoo.registry.discovery import registry
        try:
            registry()
        except PluginError as error:
            print(error.message)
            print(error.hint)
    """
    ran = python(code, GENZOO_STRICT="1")
    assert ran.returncode == 0, ran.stderr
    message, hint = ran.stdout.splitlines()
    assert "plugin 'bad' (zoo-bad 1.5)" in message
    assert reason in message
    assert "GENZOO_STRICT" in hint
    assert ran.stderr == ""


def test_without_bad_plugins_nothing_is_said_and_torch_stays_out(python: Any) -> None:
    ran = python(REPORT)
    found = report(ran)
    assert ran.stderr == ""
    assert found["architectures"] == OURS
    assert found["torch"] is False
    assert found["plugins"][0][:2] == ["genzoo", "genzoo"]
    assert not any(error for *_, error in found["plugins"])


def test_one_bad_plugin_of_a_distribution_leaves_its_other_one(
    distribution: Any, python: Any
) -> None:
    points = {"first": "first_plugin", "second": "second_plugin"}
    files = {"first_plugin.py": "1 / 0\n", "second_plugin.py": module("second")}
    distribution("two-zoo", "1.0", points, files)
    ran = python(REPORT)
    assert report(ran)["architectures"] == sorted([*OURS, "second"])
    assert ran.stderr.count("genzoo:") == 1
    assert "plugin 'first' (two-zoo 1.0)" in ran.stderr


def test_two_distributions_that_claim_one_name(distribution: Any, python: Any) -> None:
    distribution("zoo-a", "1.0", {"a": "plugin_a"}, {"plugin_a.py": module("same")})
    distribution("zoo-b", "2.0", {"b": "plugin_b"}, {"plugin_b.py": module("same")})
    ran = python(REPORT)
    assert report(ran)["architectures"] == sorted([*OURS, "same"])
    assert "plugin 'b' (zoo-b 2.0) is left out" in ran.stderr
    assert "'same' is already brought by plugin 'a' (zoo-a 1.0)" in ran.stderr


def test_nobody_takes_a_name_of_genzoos_own(distribution: Any, python: Any) -> None:
    distribution("aaa-zoo", "1.0", {"a": "plugin_a"}, {"plugin_a.py": module("dcgan")})
    ran = python(REPORT)
    assert report(ran)["architectures"] == OURS
    assert "plugin 'a' (aaa-zoo 1.0) is left out" in ran.stderr


@pytest.mark.parametrize("strict", ["", "1"])
def test_a_distribution_may_speak_two_api_versions(
    strict: str, distribution: Any, python: Any
) -> None:
    points = {"both": "both_now", "both-next": "both_next"}
    files = {"both_now.py": module("both"), "both_next.py": module("both", api_version=2)}
    distribution("both-zoo", "1.0", points, files)
    ran = python(REPORT, GENZOO_STRICT=strict)
    found = report(ran)
    assert ran.stderr == ""
    assert "both" in found["architectures"]
    names = [name for name, distribution, *_ in found["plugins"] if distribution == "both-zoo"]
    assert names == ["both", "both-next"]


@pytest.mark.parametrize("name", ["good", "Good_Zoo", "good-zoo", " good.zoo ,other"])
def test_a_plugin_is_switched_off_by_its_name_or_its_distributions(
    name: str, distribution: Any, python: Any
) -> None:
    distribution("good-zoo", "0.2", {"good": "good_plugin"}, {"good_plugin.py": module("good")})
    ran = python(REPORT, GENZOO_DISABLE=name)
    assert report(ran)["architectures"] == OURS
    assert ran.stderr == ""


def test_an_entry_point_that_names_no_module(distribution: Any, python: Any) -> None:
    distribution("odd-zoo", "1.0", {"odd": "!!no module!!"}, {})
    assert "its entry point names no module: '!!no module!!'" in python(REPORT).stderr


def test_a_module_named_by_two_entry_points_counts_once(distribution: Any, python: Any) -> None:
    points = {"one": "same_plugin", "two": "same_plugin"}
    distribution("twice-zoo", "1.0", points, {"same_plugin.py": module("same")})
    ran = python(REPORT)
    assert report(ran)["architectures"] == sorted([*OURS, "same"])
    assert len(ran.stderr.splitlines()) == 1
    assert "plugin 'two' (twice-zoo 1.0)" in ran.stderr
    assert "already brought by plugin 'one'" in ran.stderr


def test_a_name_given_twice_by_one_plugin(distribution: Any, python: Any) -> None:
    text = module("twin").replace("return [", "return 2 * [")
    distribution("twin-zoo", "1.0", {"twin": "twin_plugin"}, {"twin_plugin.py": text})
    ran = python(REPORT)
    assert report(ran)["architectures"] == OURS
    assert "'twin' is already brought by plugin 'twin' (twin-zoo 1.0)" in ran.stderr


def test_a_plugin_that_prints_leaves_standard_output_clean(distribution: Any, python: Any) -> None:
    text = module("loud", body="print('hello from the import')")
    text = text.replace("    return", "    print('hello from the hook')\n    return")
    distribution("loud-zoo", "1.0", {"loud": "loud_plugin"}, {"loud_plugin.py": text})
    ran = python(REPORT)
    assert "loud" in report(ran)["architectures"]
    assert "hello from the import" in ran.stderr
    assert "hello from the hook" in ran.stderr


def test_a_plugin_brings_every_kind_of_thing(distribution: Any, python: Any) -> None:
    text = """
        import genzoo

        @genzoo.hookimpl
        def genzoo_objectives():
            return [genzoo.Objective(
                name="toy-objective", summary="s", config="toy:C", factory="toy:f")]

        @genzoo.hookimpl
        def genzoo_datasets():
            return (genzoo.Dataset(
                name="toy-set", summary="s", config="toy:C", factory="toy:f", image=None,
                licence="CC0-1.0"),)

        @genzoo.hookimpl
        def genzoo_callbacks():
            return [genzoo.Callback(name="toy-callback", summary="s", factory="toy:f")]
    """
    distribution("toy-zoo", "1.0", {"toy": "toy_plugin"}, {"toy_plugin.py": text})
    ran = python(REPORT)
    found = report(ran)
    assert ran.stderr == ""
    assert "toy-objective" in found["objectives"]
    assert "toy-set" in found["datasets"]
    assert "toy-callback" in found["callbacks"]


def test_a_descriptor_of_missing_code_fails_only_when_it_is_used(
    distribution: Any, python: Any
) -> None:
    text = module("hollow", config="hollow_code.config:C", networks="hollow_code.networks:build")
    distribution("hollow-zoo", "1.0", {"hollow": "hollow_plugin"}, {"hollow_plugin.py": text})
    code = """
        import genzoo
        from genzoo.errors import PluginError
        assert "hollow" in genzoo.list_architectures()
        try:
            genzoo.create("hollow")
        except PluginError as error:
            print(error)
    """
    ran = python(code)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert "hollow_code.config:C" in ran.stdout
    assert "No module named 'hollow_code'" in ran.stdout


def test_a_folder_of_zoo_configs_and_a_file_are_both_read(distribution: Any, python: Any) -> None:
    text = """
        from pathlib import Path
        import genzoo

        @genzoo.hookimpl
        def genzoo_zoo_configs():
            here = Path(__file__).parent
            return [here / "folder", here / "single.yaml"]
    """
    files = {
        "yaml_zoo/__init__.py": "",
        "yaml_zoo/plugin.py": text,
        "yaml_zoo/folder/b.yaml": "name: b",
        "yaml_zoo/folder/a.yaml": "name: a",
        "yaml_zoo/folder/notes.txt": "no zoo config",
        "yaml_zoo/single.yaml": "name: c",
    }
    distribution("yaml-zoo", "1.0", {"yaml": "yaml_zoo.plugin"}, files)
    ran = python(
        """
        from genzoo.registry.discovery import registry
        for path, plugin in registry().zoo_configs():
            if plugin.distribution == "yaml-zoo":
                print(path.name)
        """
    )
    assert ran.stdout.split() == ["a.yaml", "b.yaml", "single.yaml"]
