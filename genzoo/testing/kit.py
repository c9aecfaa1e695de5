"""The base class of a plugin's own tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from genzoo.errors import UnknownNameError, did_you_mean
from genzoo.testing.checks import Check, run_unless
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
    _blocked: ClassVar[dict[tuple[str, str], dict[str, str]]] = {}
    """Of each subject, the checks that failed or were left out: one fault fails one test."""

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Give `test_conformance` a case for each check of each thing that is brought."""
        if "subject" in metafunc.fixturenames:
            cases = [(s, check) for s in subjects(self.distribution) for check in s.checks]
            names = [f"{subject}: {check.name}" for subject, check in cases]
            known = {check.name for _, check in cases}
            if strange := sorted(set(self.skip) - known):
                raise UnknownNameError(
                    f"{type(self).__name__}.skip names no check: {strange[0]!r}.",
                    hint=did_you_mean(strange[0], known),
                )
            metafunc.parametrize(("subject", "check"), cases, ids=names)

    def test_conformance(self, subject: Subject, check: Check[Any]) -> None:
        """Fail with what the check found, and how to mend it."""
        import pytest  # not a package that genzoo itself needs

        if check.name in self.skip:
            pytest.skip(self.skip[check.name])
        blocked = self._blocked.setdefault((self.distribution, str(subject)), {})
        outcome = run_unless(blocked, check, subject.value, str(subject))
        if outcome.status == "skipped":
            pytest.skip(outcome.detail)
        if outcome.status == "failed":
            pytest.fail(f"{outcome.detail}\nTo mend: {outcome.mend}", pytrace=False)
