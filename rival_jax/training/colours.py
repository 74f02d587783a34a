"""The world's named colours, and how one is varied, mixed and shaded."""

import colorsys

import numpy as np

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (216, 36, 40),
    "orange": (244, 132, 24),
    "yellow": (250, 216, 44),
    "green": (44, 150, 64),
    "blue": (36, 86, 212),
    "purple": (128, 58, 172),
    "pink": (248, 132, 184),
    "brown": (126, 78, 42),
    "black": (32, 32, 36),
    "white": (246, 246, 243),
    "gray": (138, 140, 146),
}
BLACK: RGB = (0, 0, 0)
WHITE: RGB = (255, 255, 255)


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """The colour `share` of the way from `first` (0) to `second` (1)."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def jitter(colour: RGB, rng: np.random.Generator) -> RGB:
    """A colour near `colour` that still bears its name: hue +-0.012 turns, saturation +-12 %, value +-0.05."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))
    hue = (hue + rng.uniform(-0.012, 0.012)) % 1
    saturation = min(1.0, saturation * rng.uniform(0.88, 1.12))
    value = min(1.0, max(0.05, value + rng.uniform(-0.05, 0.05)))
    red, green, blue = (round(255 * channel) for channel in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue
