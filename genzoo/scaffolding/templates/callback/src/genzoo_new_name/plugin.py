"""What this distribution brings to genzoo. It is imported to be listed: no torch here."""

import genzoo


@genzoo.hookimpl
def genzoo_callbacks() -> list[genzoo.Callback]:
    """Return `new-name`."""
    return [
        genzoo.Callback(
            name="new-name",
            summary="SUMMARY",
            factory="genzoo_new_name.callback:NewNameCallback",
        )
    ]
