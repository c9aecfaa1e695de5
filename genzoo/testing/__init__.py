"""The conformance kit: what every plugin must be able to do, checked on real networks.

`genzoo check DISTRIBUTION` runs it on what is installed; a plugin's own tests run it by
subclassing `PluginTests`.
"""

from __future__ import annotations

from genzoo.testing.checks import Check, Failed, Outcome, Skipped, Suite
from genzoo.testing.kit import PluginTests
from genzoo.testing.subjects import SUITES, Subject, distributions, subjects

__all__ = [
    "SUITES",
    "Check",
    "Failed",
    "Outcome",
    "PluginTests",
    "Skipped",
    "Subject",
    "Suite",
    "distributions",
    "subjects",
]
