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


def _spotlight(pixels: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]] / np.array(pixels.shape[:2])[:, None, None]
    light = np.exp(-((x - 0.5) ** 2 + (y - 0.6) ** 2) / 0.09)[..., None]
    return pixels * (0.1 + 1.1 * light * (1.0, 0.86, 0.55))


def _two_lamps(pixels: np.ndarray) -> np.ndarray:
    x = np.linspace(0, 1, pixels.shape[1])[None, :, None]
    return (0.25 + 0.75 * pixels) * ((1 - x) * (1.0, 0.15, 0.75) + x * (0.1, 0.75, 1.0))


def _poster(pixels: np.ndarray) -> np.ndarray:
    luma = np.digitize(pixels @ _LUMA, (0.33, 0.66))
    return np.array([(0.35, 0.05, 0.2), (0.9, 0.3, 0.25), (1.0, 0.85, 0.6)])[luma]


def _chalk(pixels: np.ndarray) -> np.ndarray:
    luma = pixels @ _LUMA
    edges = np.hypot(np.gradient(luma, axis=0), np.gradient(luma, axis=1))[..., None]
    return np.array((0.1, 0.22, 0.16)) + 3.0 * np.clip(edges - 0.02, 0, 1) + 0.12 * pixels


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
    "spotlight": _spotlight,
    "two_lamps": _two_lamps,
    "poster": _poster,
    "chalk": _chalk,
}

ODD_GRADES: tuple[str, ...] = tuple(_ODD)
"""Held out of training, far outside `sample_grade`'s range: they make the exemplars' "real" photos.

Palettes: dark: under-exposed; washed_out: faded; sepia; negative: inverted; swapped: channels (r, g, b) from
(b, r, g); cyan_magenta: a duotone; teal_orange: strong split toning; acid: violet shadows, lime lights.
Lightings: red_room: a darkroom's red lamp; moonlight: a blue monochrome; spotlight: a warm lamp in the dark;
two_lamps: magenta from the left, cyan from the right. Styles: poster: three flat inks; chalk: light lines on green.
"""


def grade_odd(image: Image.Image, kind: str) -> Image.Image:
    """`image` (RGB) in an odd grading, one of `ODD_GRADES`."""
    return _on_pixels(image, _ODD[kind])
