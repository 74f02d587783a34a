"""What editing is measured with: recoloured drawings, the likeness of edges, equal change."""

import numpy as np

from rival_jax.evidence.editing import editing_markdown, recoloured, structure


def test_recoloured():
    """One word says what changes, and a longer list begins with the shorter."""
    pictures, sources, targets, wanted = recoloured(6, 48)
    assert pictures.shape == (6, 48, 48, 3) and pictures.dtype == np.uint8
    for source, target, colour in zip(sources, targets, wanted, strict=True):
        words = [(a, b) for a, b in zip(source.split(), target.split(), strict=True) if a != b]
        assert [b for _, b in words] == [colour]
    np.testing.assert_array_equal(pictures[:3], recoloured(3, 48)[0])


def test_structure():
    pictures = recoloured(4, 48)[0]
    noise = np.random.default_rng(0).integers(0, 256, pictures.shape, np.uint8)
    np.testing.assert_allclose(structure(pictures, pictures), 1)
    np.testing.assert_allclose(structure(pictures, 255 - pictures), 1)  # the edges are where they were
    np.testing.assert_allclose(structure(pictures, np.full_like(pictures, 7)), 0)
    assert (np.abs(structure(pictures, noise)) < 0.15).all()


def test_equal_change():
    """An edit is compared, pair by pair, with the img2img that keeps most and changes no less."""

    def scores(changed, kept):
        return {"changed": np.full(3, changed), "structure": np.full(3, kept)}

    results = {"edit, one": scores(0.5, 0.8), "edit, two": scores(1.0, 0.4)}
    results |= {f"img2img, {c}": scores(c, s) for c, s in ((0.4, 0.9), (0.6, 0.7), (0.8, 0.6))}
    cells = [line.strip("| ").split(" | ") for line in editing_markdown(results).splitlines()[2:7]]
    assert cells[0] == ["edit, one", "50.0%", "0.800", "0.700", "[+0.100, +0.100]"]
    assert [row[3:] for row in cells[1:]] == [["-", "-"]] * 4
