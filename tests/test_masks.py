"""Masks: how they are read, which cells they open, and how pictures are laid over their photos."""

import numpy as np
import pytest
from PIL import Image

from rival_jax import InputError
from rival_jax.masks import at_full_size, composite, feather, holes, load_masks


def box(height, width, top, bottom, left, right):
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def test_kinds_of_masks(tmp_path):
    """Paths, pictures and arrays; soft ones from 128 on; one for all or one an exemplar."""
    mask = box(20, 30, 5, 9, 10, 20)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    soft = np.where(mask, 128, 127).astype(np.uint8)
    rgb = Image.fromarray(soft).convert("RGB")
    for given in (mask, soft, rgb, tmp_path / "mask.png", str(tmp_path / "mask.png"), [mask], mask[None]):
        np.testing.assert_array_equal(load_masks(given, [(30, 20)], 20, 30)[0], mask)
    both = load_masks([mask, ~mask], [(30, 20)] * 2, 20, 30)
    np.testing.assert_array_equal(both, [mask, ~mask])
    assert load_masks(mask, [(30, 20)] * 3, 20, 30).shape == (3, 20, 30)


def test_a_mask_is_cropped_and_resized_like_its_photo():
    """And no pixel of it gets lost: a model's pixel is filled if anything is that it covers."""
    mask = box(40, 80, 7, 8, 33, 34)
    np.testing.assert_array_equal(np.argwhere(load_masks(mask, [(80, 40)], 8, 8)[0]), [[1, 2]])
    assert not load_masks(box(40, 80, 0, 40, 0, 20), [(80, 40)], 8, 8).any()  # cropped away
    larger = load_masks(box(4, 4, 1, 2, 1, 2), [(4, 4)], 8, 8)[0]
    np.testing.assert_array_equal(larger, box(8, 8, 2, 4, 2, 4))


@pytest.mark.parametrize(
    "mask, message",
    [
        (np.zeros((30, 20), bool), "mask 1 is 20 x 30 pixels, but its photo is 30 x 20; give a mask of the photo's"),
        (np.zeros((20, 30)), r"mask 1 is an array of float64 with shape \(20, 30\); give bool or uint8 of shape"),
        (np.zeros((20, 30, 3), np.uint8), r"mask 1 is an array of uint8|masks has 20 entries"),
        (Image.new("RGB", (30, 20), "red"), "mask 1 has colours, but a mask is black and white"),
        (Image.new("RGBA", (30, 20), (0, 0, 0, 0)), "mask 1 is transparent in places"),
        ("nowhere.png", "nowhere.png cannot be read"),
        ([np.zeros((20, 30), bool)] * 2, "masks has 2 entries, but the number of photos is 1"),
    ],
)
def test_bad_masks(mask, message):
    with pytest.raises(InputError, match=message):
        load_masks(mask, [(30, 20)], 20, 30)


def test_a_cell_is_open_if_any_of_its_pixels_is():
    np.testing.assert_array_equal(holes(box(8, 8, 3, 4, 0, 5)[None], 4)[0, ..., 0], [[True, True], [False, False]])
    assert holes(np.ones((1, 8, 8), bool), 4).all() and not holes(np.zeros((1, 8, 8), bool), 4).any()


def test_feathers_lie_around_the_mask():
    """Inside all is generated; outside weights fall to exactly 0 within twice the radius and a pixel."""
    mask = box(512, 512, 200, 300, 200, 300)
    weights = feather(mask[None])[0]
    assert (weights[mask] == 1).all() and weights.dtype == np.float32
    assert (weights[~box(512, 512, 191, 309, 191, 309)] == 0).all()
    edge = weights[250, 301:309]
    assert (np.diff(edge) < 0).all() and 0 < edge[-1] < edge[0] < 1
    assert (feather(np.zeros((1, 16, 16), bool)) == 0).all() and (feather(np.ones((1, 16, 16), bool)) == 1).all()


def test_kept_pixels_are_the_exemplar_s():
    draw = np.random.default_rng(0)
    exemplars, pictures = (
        draw.integers(0, 256, (2, 16, 16, 3), np.uint8),
        draw.integers(0, 256, (2, 3, 16, 16, 3), np.uint8),
    )
    masks = np.stack([box(16, 16, 4, 9, 4, 9), box(16, 16, 0, 3, 0, 3)])
    weights = feather(masks)
    mixed = composite(pictures, exemplars, weights)
    assert mixed.dtype == np.uint8
    for e in range(2):
        for n in range(3):
            np.testing.assert_array_equal(mixed[e, n][weights[e] == 0], exemplars[e][weights[e] == 0])
            np.testing.assert_array_equal(mixed[e, n][masks[e]], pictures[e, n][masks[e]])


def test_a_photo_of_any_size_keeps_its_pixels():
    """The hole is where it was drawn in the photo, filled with what was drawn there in the picture."""
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8))
    mask = box(90, 160, 30, 60, 70, 90)
    weights = feather(load_masks(mask, [photo.size], 64, 64))[0]
    red = np.zeros((64, 64, 3), np.uint8) + np.asarray([255, 0, 0], np.uint8)
    whole = np.asarray(at_full_size(photo, red, weights))
    changed = (whole != np.asarray(photo)).any(axis=-1)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert rows.min() >= 30 - 6 and rows.max() < 60 + 6 and columns.min() >= 70 - 6 and columns.max() < 90 + 6
    assert (whole[mask] == [255, 0, 0]).all()
