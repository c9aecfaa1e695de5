"""Where an image has edges, and what is drawn of what was looked at."""

from __future__ import annotations

import torch

from genzoo.attention import edges, overlay


def test_edges_are_spread_over_the_rows_that_have_some() -> None:
    image = torch.zeros(1, 20, 12)
    image[:, 6:16, 4] = 1
    places = edges(image, 5)
    assert [row for row, _ in places] == sorted({row for row, _ in places})
    assert len(places) == 5
    assert all(5 <= row <= 15 for row, _ in places)
    assert all(column in (3, 4) for _, column in places)


def test_every_image_has_as_many_places_however_little_is_on_it() -> None:
    dot = torch.zeros(3, 16, 16)
    dot[:, 3, 3] = 1
    for image in (torch.zeros(3, 16, 16), torch.ones(3, 16, 16), dot, torch.rand(3, 16, 16)):
        assert len(set(edges(image, 5))) == 5
    assert len(edges(torch.rand(1, 3, 8), 5)) == 3


def test_the_brightest_is_what_was_looked_at_most_and_the_place_is_marked() -> None:
    image = torch.zeros(1, 8, 8)
    looked = torch.zeros(1, 8, 8)
    looked[0, 1, 2], looked[0, 5, 5] = 0.8, 0.2
    plain, picture = overlay(image, looked, [(6, 6)])
    scale = plain.shape[1] // 8
    heat = picture.sum(0)[scale // 2 :: scale, scale // 2 :: scale]
    assert not plain.any()
    assert int(heat.argmax()) == 1 * 8 + 2
    assert 0 < heat[5, 5] < heat[1, 2]
    assert (heat > 0).sum() == 2
    corner = picture[:, 6 * scale, 6 * scale]
    assert corner[2] > corner[0]  # the mark is of another colour
