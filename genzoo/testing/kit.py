"""The base class of a plugin's own tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from genzoo.testing.checks import Check, run
from genzoo.testing.subjects import Subject, subjects

__all__ = ["PluginTests"]


class PluginTests:
    """Subclass it in a plugin's tests, and pytest runs every check as a test of its own.

        from genzoo.testing import PluginTests

        class TestSNGAN(PluginTests):
            distribution = "genzoo-sngan"

    The distribution must be installed, editable or not.
    """

    distribution: ClassVar[str]
    """The name that pip knows it by."""
    skip: ClassVar[Mapping[str, str]] = {}
    """Checks that it cannot pass, each with the reason, which pytest shows."""

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Give `test_conformance` a case for each check of each thing that is brought."""
        if "subject" in metafunc.fixturenames:
            cases = [(s, check) for s in subjects(self.distribution) for check in s.checks]
            names = [f"{subject}: {check.name}" for subject, check in cases]
            metafunc.parametrize(("subject", "check"), cases, ids=names)

    def test_conformance(self, subject: Subject, check: Check[Any]) -> None:
        """Fail with what the check found, and how to mend it."""
        import pytest  # not a package that genzoo itself needs

        if check.name in self.skip:
            pytest.skip(self.skip[check.name])
        outcome = run(check, subject.value, str(subject))
        if outcome.status == "skipped":
            pytest.skip(outcome.detail)
        if outcome.status == "failed":
            pytest.fail(f"{outcome.detail}\nTo mend: {outcome.mend}", pytrace=False)
