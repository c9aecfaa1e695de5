"""What this distribution brings to genzoo. It imports no torch, so that listing stays fast."""

import genzoo


@genzoo.hookimpl
def genzoo_extractors() -> list[genzoo.Extractor]:
    """Return `toy-filters`."""
    return [
        genzoo.Extractor(
            name="toy-filters",
            summary="Filters that nobody trained.",
            factory="genzoo_toy_extractor.filters:toy_filters",
            licence="Apache-2.0",
        )
    ]
