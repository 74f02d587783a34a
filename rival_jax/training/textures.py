"""Pictures of no world, for the autoencoder: with the statistics of photographs, so that photographs survive it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

_OVERSAMPLING = 2


def _colours(rng: np.random.Generator, count: int) -> np.ndarray:
    """`count` related colours (count, 3) in [0, 1]: around a random one, along random directions."""
    centre, spread = rng.uniform(0.15, 0.85, 3), rng.normal(0, 0.14, (3, 3))
    return np.clip(centre + rng.normal(size=(count, 3)) @ spread, 0, 1)


def noise(side: int, rng: np.random.Generator) -> np.ndarray:
    """Noise whose amplitude falls with frequency as in photographs (1/f to 1/f^1.6), (side, side, 3) uint8."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = np.inf
    shape = (*frequency.shape, 3)
    spectrum = (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / frequency[..., None] ** rng.uniform(1, 1.6)
    waves = np.fft.irfft2(spectrum, (side, side), axes=(0, 1))
    waves /= waves.std(axis=(0, 1))
    pixels = rng.uniform(0.2, 0.8, 3) + waves @ (rng.normal(0, 0.05, (3, 3)) + 0.07)
    return np.round(255 * np.clip(pixels, 0, 1)).astype(np.uint8)


def dead_leaves(side: int, rng: np.random.Generator) -> np.ndarray:
    """Shapes of all sizes over each other, shaded, the model of occlusion in photographs, (side, side, 3) uint8."""
    full = _OVERSAMPLING * side
    image = Image.new("RGB", (full, full), tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    count = int(rng.integers(30, 160))
    radii = np.sort(rng.uniform(0.012, 0.3, count) ** -2.0)[:, None] ** -0.5  # many small ones, drawn last
    places = rng.uniform(-0.1, 1.1, (count, 2))
    colours = np.round(255 * _colours(rng, count)).astype(int)
    for (x, y), radius, colour, kind in zip(full * places, full * radii, colours, rng.random(count), strict=True):
        reach = radius[0] * np.array([1.0, rng.uniform(0.4, 1.6)])
        if kind < 0.6:
            draw.ellipse((x - reach[0], y - reach[1], x + reach[0], y + reach[1]), fill=tuple(colour.tolist()))
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 6))))
            corners = np.stack([x + reach[0] * np.cos(angles), y + reach[1] * np.sin(angles)], axis=1)
            draw.polygon([tuple(corner) for corner in corners.tolist()], fill=tuple(colour.tolist()))
    pixels = np.asarray(image.resize((side, side), Image.Resampling.BOX), np.float64)
    shading = 1 + 0.25 * (noise(side, rng) / 127.5 - 1).mean(axis=2, keepdims=True)
    return np.round(np.clip(pixels * shading, 0, 255)).astype(np.uint8)


def make_textures(count: int, seed: int, side: int = 48) -> np.ndarray:
    """Noise and dead leaves by turns, uint8 (count, side, side, 3)."""
    kinds = (noise, dead_leaves)
    return np.stack([kinds[n % 2](side, np.random.default_rng([seed, n])) for n in range(count)])
