from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from genzoo.errors import ConfigError
from genzoo.registry import yamlfile


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),
        ("1e5", 1e5),
        ("2E+3", 2e3),
        ("-1.5e-3", -1.5e-3),
        ("5.e2", 500.0),
        (".5e3", 500.0),
        ("12", 12),
        ("0x1F", 31),
        ("true", True),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("[0, 0.99]", [0, 0.99]),
        ("{lr: 1e-3}", {"lr": 1e-3}),
        ("{}", {}),
        ("2025-01-31", "2025-01-31"),
        ("2025-13-99", "2025-13-99"),
        ("3e-4abc", "3e-4abc"),
        ("5e3f" + 60 * "0", "5e3f" + 60 * "0"),
        ("e5", "e5"),
        ("1e", "1e"),
        ("'1e5'", "1e5"),
    ],
)
def test_values_are_what_people_expect(text: str, value: Any) -> None:
    found = yamlfile.parse(text, source="here")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2",
        "a: {b: 1, c: 2, b: 3}",
        "list:\n  - x: 1\n    y: 2\n    x: 3",
        "a: 1\n'a': 2",
    ],
)
def test_a_key_stands_once(text: str) -> None:
    with pytest.raises(ConfigError, match=r"here is not valid YAML: the key '\w' stands twice at"):
        yamlfile.parse(text, source="here")


def test_a_merge_may_override() -> None:
    text = "base: &base {a: 1, b: 2}\nmine: {<<: *base, b: 3}"
    assert yamlfile.parse(text, source="here")["mine"] == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1, 2", 3),
        ("a: 1\n\tb: 2", 2),
        ("a: b: c", 1),
        ("a: *nowhere", 1),
        ("[1, 2]: 3", 1),
        ("? {a: 1}\n: 2", 1),
        ("a: !!python/object/apply:os.system ['true']", 1),
        ("a: !!python/name:os.system", 1),
        ("a: 1\n---\nb: 2", 2),
        ("a: =", 1),
    ],
)
def test_broken_yaml_is_an_error_that_names_the_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match="here is not valid YAML") as caught:
        yamlfile.parse(text, source="here")
    assert f"line {line}" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["a: " + 5000 * "9", "a: !!int x", "a: !!float x"])
def test_numbers_that_are_none_are_errors(text: str) -> None:
    with pytest.raises(ConfigError, match="here is not valid YAML"):
        yamlfile.parse(text, source="here")


def test_a_number_that_is_too_long_to_write_is_a_text() -> None:
    assert yamlfile.parse("a: 0x" + 5000 * "f", source="here") == {"a": "0x" + 5000 * "f"}


def test_a_file_name_that_none_can_have() -> None:
    with pytest.raises(ConfigError, match="embedded null byte"):
        yamlfile.read(Path("a\0b.yaml"))


def test_reading_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("\ufeffname: Schönheit\r\nlr: 1e-3\r\n", encoding="utf-8")
    assert yamlfile.read(file) == {"name": "Schönheit", "lr": 1e-3}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "found nothing, must be a map"),
        (b"# only a comment\n", "found nothing, must be a map"),
        (b"- a\n- b\n", "found a list, must be a map"),
        (b"just text", "found a single value, must be a map"),
        (b"42", "found a single value, must be a map"),
        (b"\xff\xfe\x00binary", "not a text in UTF-8"),
        (b"\x80\x04\x95 a pickle", "not a text in UTF-8"),
        (b"a: \x00\x01", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_map(content: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as caught:
        yamlfile.read(file)
    assert str(file) in caught.value.message
    assert caught.value.hint


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml: No such file"):
        yamlfile.read(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match="directory"):
        yamlfile.read(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        {"name": "1e5", "sha256": 62 * "1" + "e7", "date": "2025-01-31", "on": "off"},
        {"b": {"z": 1, "a": [1.5, None, True]}, "a": "ä: #x", "lines": "one\ntwo\n"},
        {"small": 3e-4, "tiny": 1e-300, "whole": 1.0, "number": 10**30},
        {"empty": {}, "none": [], "blank": ""},
    ],
)
def test_what_is_dumped_is_read_back(data: dict[str, Any]) -> None:
    text = yamlfile.dump(data)
    assert yamlfile.parse(text, source="dumped") == data
    assert list(yamlfile.parse(text, source="dumped")) == list(data)


FILE = """\
# A comment at the top.
name: toy  # the name

# About the weights.
weights:
  uri: old.safetensors  # where

  nested:
    deep: [1,
      2]
    last: 3

# About what comes next.
card:
  summary: |
    First line.
    # Not a comment.

  licence: MIT
notes: "a
  folded text"   # after a folded text
aliases:
- one
- two
# Before an empty one.
nothing:
image: {channels: 1,
  height: 28}  # flow
end: last
"""

PIECES = {
    "name": "name: toy",
    "weights": """weights:
  uri: old.safetensors  # where

  nested:
    deep: [1,
      2]
    last: 3""",
    "card": """card:
  summary: |
    First line.
    # Not a comment.

  licence: MIT""",
    "notes": 'notes: "a\n  folded text"',
    "aliases": "aliases:\n- one\n- two",
    "nothing": "nothing:",
    "image": "image: {channels: 1,\n  height: 28}",
    "end": "end: last",
}


@pytest.mark.parametrize("key", PIECES)
@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("new", "KEY: new"),
        (None, "KEY: null"),
        ({"uri": "new", "size": 5}, "KEY:\n  uri: new\n  size: 5"),
        (["a", "b"], "KEY:\n- a\n- b"),
    ],
)
def test_a_replaced_key_leaves_every_other_character(key: str, value: Any, written: str) -> None:
    expected = FILE.replace(PIECES[key], written.replace("KEY", key))
    assert FILE.count(PIECES[key]) == 1
    assert yamlfile.replace_keys(FILE, {key: value}) == expected


@pytest.mark.parametrize("key", PIECES)
def test_a_replaced_key_leaves_every_other_value(key: str) -> None:
    value = {"a": [1, {"b": 3e-4}], "c": "text: with # signs"}
    before = yamlfile.parse(FILE, source="before")
    after = yamlfile.parse(yamlfile.replace_keys(FILE, {key: value}), source="after")
    assert after == {**before, key: value}
    assert list(after) == list(before)


def test_a_literal_block_at_the_end_of_a_value_keeps_what_follows() -> None:
    text = "card: |\n  one\n\n  two\n\n\n# next\nend: 1\n"
    assert yamlfile.replace_keys(text, {"card": "new"}) == "card: new\n\n\n# next\nend: 1\n"


def test_an_alias_is_replaced_where_it_stands() -> None:
    text = "base: &base {a: 1}\n# why\nweights: *base\nend: 1\n"
    expected = "base: &base {a: 1}\n# why\nweights: 2\nend: 1\n"
    assert yamlfile.replace_keys(text, {"weights": 2}) == expected


def test_a_nested_key_of_the_same_name_is_left_alone() -> None:
    text = "architecture:\n  weights: 1\nweights: 2\n"
    replaced = yamlfile.replace_keys(text, {"weights": 3})
    assert replaced == "architecture:\n  weights: 1\nweights: 3\n"


def test_missing_keys_are_added_at_the_end() -> None:
    added = yamlfile.replace_keys(
        "name: toy  # the name\n# end\n\n", {"size": 5, "trained": {"steps": 1}}
    )
    assert added == "name: toy  # the name\n# end\n\nsize: 5\n\ntrained:\n  steps: 1\n"
    assert yamlfile.replace_keys("", {"size": 5}) == "size: 5\n"


def test_replacing_again_changes_nothing() -> None:
    values = {"weights": {"uri": "x", "size": 5}, "trained": {"steps": 1, "machine": "2 threads"}}
    once = yamlfile.replace_keys(FILE, values)
    assert yamlfile.replace_keys(once, values) == once


@pytest.mark.parametrize("text", ["{name: toy, weights: 1}\n", "- name\n- weights\n"])
def test_a_file_that_is_not_made_of_lines_is_not_edited(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot edit") as caught:
        yamlfile.replace_keys(text, {"weights": 2})
    assert caught.value.hint


@pytest.mark.parametrize("text", ["1:30", "012", "1_000", "0b11"])
def test_what_only_yaml_1_1_takes_for_a_number_is_a_text(text: str) -> None:
    assert yamlfile.parse(f"a: {text}", source="here") == {"a": text}
    assert yamlfile.parse(yamlfile.dump({"a": text}), source="here") == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [("-12", -12), ("0", 0), ("1.5", 1.5), (".5", 0.5), ("1e1", 10.0), ("3.", 3.0)],
)
def test_numbers(text: str, value: float) -> None:
    found = yamlfile.parse(f"a: {text}", source="here")["a"]
    assert (found, type(found)) == (value, type(value))
