"""What this distribution brings to genzoo."""

import genzoo


@genzoo.hookimpl
def genzoo_objectives() -> list[genzoo.Objective]:
    """Return `toy-moments`."""
    return [
        genzoo.Objective(
            name="toy-moments",
            summary="A generator matches the mean and the deviation of every pixel.",
            config="genzoo_toy_parts.configs:MomentsConfig",
            factory="genzoo_toy_parts.objective:Moments",
        )
    ]


@genzoo.hookimpl
def genzoo_datasets() -> list[genzoo.Dataset]:
    """Return `toy-stripes`."""
    return [
        genzoo.Dataset(
            name="toy-stripes",
            summary="Stripes, upright and level.",
            config="genzoo_toy_parts.configs:StripesConfig",
            factory="genzoo_toy_parts.dataset:stripes",
            image=None,
            licence="CC0-1.0",
        )
    ]


@genzoo.hookimpl
def genzoo_callbacks() -> list[genzoo.Callback]:
    """Return `toy-note`."""
    return [
        genzoo.Callback(
            name="toy-note",
            summary="Notes in the run folder how many steps were taken.",
            factory="genzoo_toy_parts.callback:Note",
        )
    ]
