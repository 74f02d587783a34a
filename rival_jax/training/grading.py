"""Tone gradings: mild ones seen in training, and odd ones kept out of it for exemplars."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Grade:
    """A mild grading: tint (a gain per channel), brightness (a gain), gamma (a power) and saturation (1: none)."""

    gamma: float
    saturation: float
    brightness: float
    tint: tuple[float, float, float]


def sample_grade(rng: np.random.Generator) -> Grade:
    """A grading from the training range."""
    red, green, blue = rng.uniform(0.9, 1.08, 3).tolist()
    return Grade(
        gamma=float(rng.uniform(0.75, 1.35)),
        saturation=float(rng.uniform(0.65, 1.3)),
        brightness=float(rng.uniform(0.82, 1.08)),
        tint=(red, green, blue),
    )


def _on_pixels(image: Image.Image, change: Callable[[np.ndarray], np.ndarray]) -> Image.Image:
    pixels = change(np.asarray(image, np.float64) / 255)
    return Image.fromarray(np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def grade(image: Image.Image, by: Grade) -> Image.Image:
    """`image` (RGB) graded mildly."""

    def change(pixels: np.ndarray) -> np.ndarray:
        gray = (pixels @ _LUMA)[..., None]
        pixels = np.clip(gray + (pixels - gray) * by.saturation, 0, 1) ** by.gamma
        return pixels * (by.brightness * np.array(by.tint))

    return _on_pixels(image, change)


def _ramp(pixels: np.ndarray, dark: tuple[float, ...], light: tuple[float, ...]) -> np.ndarray:
    """The picture's luma, laid between two colours."""
    luma = (pixels @ _LUMA)[..., None]
    return np.array(dark) * (1 - luma) + np.array(light) * luma


def _teal_orange(pixels: np.ndarray) -> np.ndarray:
    return 0.3 * pixels + 0.7 * _ramp(np.clip(1.5 * pixels - 0.25, 0, 1), (0.0, 0.28, 0.34), (1.0, 0.72, 0.36))


_ODD: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "dark": lambda pixels: 0.34 * pixels**1.2,
    "washed_out": lambda pixels: 0.62 + 0.3 * pixels,
    "sepia": lambda pixels: _ramp(pixels, (0.16, 0.08, 0.02), (1.0, 0.88, 0.66)),
    "negative": lambda pixels: 1 - pixels,
    "swapped": lambda pixels: pixels[..., [2, 0, 1]],
    "cyan_magenta": lambda pixels: _ramp(pixels, (0.72, 0.0, 0.5), (0.35, 1.0, 1.0)),
    "red_room": lambda pixels: pixels * (1.0, 0.26, 0.2),
    "teal_orange": _teal_orange,
    "moonlight": lambda pixels: _ramp(pixels, (0.02, 0.03, 0.12), (0.5, 0.62, 0.86)),
    "acid": lambda pixels: _ramp(pixels**0.8, (0.2, 0.0, 0.4), (0.8, 1.0, 0.1)),
}

ODD_GRADES: tuple[str, ...] = tuple(_ODD)
"""Gradings far outside `sample_grade`'s range, never trained on: they make the exemplars' "real" photos.

dark: under-exposed; washed_out: faded; sepia; negative: inverted; swapped: channels (r, g, b) from (b, r, g);
cyan_magenta: a duotone; red_room: a darkroom's red lamp; teal_orange: strong split toning; moonlight: a blue
monochrome; acid: violet shadows, lime lights.
"""


def grade_odd(image: Image.Image, kind: str) -> Image.Image:
    """`image` (RGB) in an odd grading, one of `ODD_GRADES`."""
    return _on_pixels(image, _ODD[kind])
