"""What this distribution brings to genzoo. It is imported to be listed: no torch here."""

import genzoo


@genzoo.hookimpl
def genzoo_datasets() -> list[genzoo.Dataset]:
    """Return `new-name`."""
    return [
        genzoo.Dataset(
            name="new-name",
            summary="SUMMARY",
            config="genzoo_new_name.config:NewNameConfig",
            factory="genzoo_new_name.dataset:build",
            image=None,  # any size; else genzoo.ImageSpec(channels, height, width, classes)
            licence="LICENCE",
        )
    ]
