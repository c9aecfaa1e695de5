"""What genzoo asks of every plugin, one test for each check."""

from genzoo.testing import PluginTests


class TestPlugin(PluginTests):
    distribution = "genzoo-flow-matching"
