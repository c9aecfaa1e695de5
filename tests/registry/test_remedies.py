"""What a person is told to do where a part is not installed."""

from __future__ import annotations

from typing import Any

import pytest

from genzoo.errors import UnknownNameError
from genzoo.registry.discovery import registry


@pytest.mark.parametrize("requirement", ["toy-zoo", "toy-zoo>=1", "toy-zoo[extra] ~= 1.0"])
def test_what_is_installed_is_not_offered_for_installing(installed: Any, requirement: str) -> None:
    installed(
        "toy-zoo",
        "1.0",
        {"toy": "toy_zoo.plugin"},
        {"toy_zoo/__init__.py": "", "toy_zoo/plugin.py": ""},
    )
    with pytest.raises(UnknownNameError) as caught:
        registry().architecture("mistyped", [requirement])
    assert "pip install" not in caught.value.hint
    with pytest.raises(UnknownNameError, match="pip install other-zoo>=2"):
        registry().architecture("mistyped", [requirement, "other-zoo>=2"])


def test_what_is_installed_but_left_out_says_why(installed: Any) -> None:
    files = {"toy_zoo/__init__.py": "", "toy_zoo/plugin.py": "raise RuntimeError('out of order')"}
    installed("toy-zoo", "1.0", {"toy": "toy_zoo.plugin"}, files)
    with pytest.raises(UnknownNameError, match="left out: RuntimeError: out of order"):
        registry().architecture("toy-gan", ["toy-zoo>=1"])


def test_a_plugin_that_imports_torch_to_be_listed_is_named_and_works(
    distribution: Any, python: Any
) -> None:
    code = """
        import torch
        import genzoo

        @genzoo.hookimpl
        def genzoo_callbacks():
            return [genzoo.Callback(name="slow", summary="", factory="toy_slow.plugin:hookimpl")]
    """
    files = {"toy_slow/__init__.py": "", "toy_slow/plugin.py": code}
    distribution("toy-slow", "2.0", {"slow": "toy_slow.plugin"}, files)
    answer = python(
        "from genzoo.registry.discovery import registry; print('slow' in registry().callbacks)"
    )
    assert answer.stdout.strip() == "True"
    assert answer.stderr.count("(toy-slow 2.0) imports torch to be listed") == 1
