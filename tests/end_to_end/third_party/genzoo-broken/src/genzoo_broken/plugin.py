"""Raises when it is imported, as a plugin does whose dependency has changed under it."""

raise RuntimeError("the flux capacitor is missing")
