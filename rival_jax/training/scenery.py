"""Backgrounds of the world: landscapes of a ground under a sky, and plain or patterned ones."""

from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from rival_jax.training.colours import BLACK, RGB, WHITE, jitter, mix

GROUNDS: dict[str, RGB] = {
    "grass": (104, 184, 72),
    "sand": (234, 208, 140),
    "snow": (238, 243, 250),
    "water": (56, 146, 206),
    "soil": (156, 112, 74),
}
SKIES: dict[str, tuple[RGB, RGB]] = {
    "day": ((92, 168, 240), (196, 228, 250)),
    "sunset": ((134, 78, 140), (255, 164, 84)),
    "night": ((20, 24, 66), (58, 66, 130)),
    "cloudy": ((146, 154, 168), (206, 211, 217)),
}
"""Colours at the zenith and at the horizon."""

_LIGHT: dict[str, tuple[RGB, float]] = {
    "day": (WHITE, 0.0),
    "sunset": ((150, 70, 70), 0.2),
    "night": ((14, 18, 60), 0.5),
    "cloudy": ((110, 114, 124), 0.18),
}
"""What a sky's light mixes into the ground, and how much of it."""


@cache
def _ramp(width: int, height: int) -> Image.Image:
    return Image.linear_gradient("L").resize((width, height))


def _gradient(width: int, height: int, top: RGB, bottom: RGB) -> Image.Image:
    upper, lower = (Image.new("RGB", (width, height), colour) for colour in (top, bottom))
    return Image.composite(lower, upper, _ramp(width, height))


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, rx: float, ry: float, colour: RGB) -> None:
    draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=colour)


def _cloud(draw: ImageDraw.ImageDraw, side: int, colour: RGB, rng: np.random.Generator) -> None:
    x, y, width = rng.uniform(0, 1) * side, rng.uniform(0.06, 0.3) * side, rng.uniform(0.09, 0.14) * side
    for dx, dy, r in ((-1.0, 0.1, 0.55), (0, -0.15, 0.75), (0.9, 0.12, 0.5)):
        _disc(draw, x + dx * width, y + dy * width, r * width * 1.25, r * width * 0.8, colour)


def _fill_sky(draw: ImageDraw.ImageDraw, side: int, sky: str, sun: bool, rng: np.random.Generator) -> None:
    if sky == "night":
        for x, y in rng.uniform(0, 1, (14, 2)) * (side, 0.55 * side):
            _disc(draw, x, y, 0.009 * side, 0.009 * side, (240, 240, 210))
    if sun:
        low = sky == "sunset"
        x = (0.14 if rng.random() < 0.5 else 0.86) + rng.uniform(-0.05, 0.05)
        y = rng.uniform(0.36, 0.46) if low else rng.uniform(0.12, 0.18)
        colour = {"sunset": (255, 226, 130), "night": (244, 242, 214)}.get(sky, (255, 232, 90))
        _disc(draw, x * side, y * side, 0.09 * side, 0.09 * side, colour)
    clouds = {"day": rng.integers(0, 3), "cloudy": 4}.get(sky, 0)
    for _ in range(clouds):
        _cloud(draw, side, WHITE if sky == "day" else (226, 229, 234), rng)


def _fill_ground(
    draw: ImageDraw.ImageDraw, side: int, top: float, ground: str, colour: RGB, rng: np.random.Generator
) -> None:
    dark, light = mix(colour, BLACK, 0.16), mix(colour, WHITE, 0.3)
    for x, y in rng.uniform(0, 1, (16, 2)):
        px, py = x * side, (top + 0.03 + y * (1 - top)) * side
        if ground == "grass":
            draw.line([(px, py), (px + 0.012 * side, py - 0.045 * side)], fill=dark, width=max(1, side // 80))
        elif ground == "water":
            draw.line([(px - 0.06 * side, py), (px + 0.06 * side, py)], fill=light, width=max(1, side // 70))
        elif ground != "snow":
            _disc(draw, px, py, 0.014 * side, 0.009 * side, dark)


def landscape(side: int, ground: str, sky: str, sun: bool, rng: np.random.Generator) -> Image.Image:
    """A (side, side) view of `ground` under `sky`, `sun` putting a sun (at night a moon) into it."""
    horizon = rng.uniform(0.54, 0.66)
    top, bottom = (jitter(colour, rng) for colour in SKIES[sky])
    line = round(horizon * side)
    image = Image.new("RGB", (side, side))
    image.paste(_gradient(side, line, top, bottom), (0, 0))
    draw = ImageDraw.Draw(image)
    _fill_sky(draw, side, sky, sun, rng)
    tint, share = _LIGHT[sky]
    colour = mix(jitter(GROUNDS[ground], rng), tint, share)
    hill = 0.0 if ground == "water" else rng.uniform(0, 0.05) * side
    hill_x = rng.uniform(-0.2, 0.7) * side
    image.paste(_gradient(side, side - line, mix(colour, WHITE, 0.12), mix(colour, BLACK, 0.1)), (0, line))
    draw.pieslice((hill_x, line - hill, hill_x + 0.8 * side, line + hill), 180, 360, fill=mix(colour, WHITE, 0.12))
    _fill_ground(draw, side, horizon, ground, colour, rng)
    return image


def backdrop(side: int, pattern: str, colour: RGB, rng: np.random.Generator) -> Image.Image:
    """A (side, side) "plain", "striped" or "dotted" backdrop of `colour`."""
    image = _gradient(side, side, mix(colour, WHITE, 0.08), mix(colour, BLACK, 0.08))
    other = mix(colour, WHITE, 0.42) if sum(colour) < 600 else mix(colour, BLACK, 0.16)
    draw = ImageDraw.Draw(image)
    pitch = side / rng.integers(5, 8)
    start = rng.uniform(0, 1) * pitch
    if pattern == "striped":
        for step in range(-1, 9):
            left = start + step * pitch
            draw.rectangle((left, 0, left + 0.45 * pitch, side), fill=other)
    elif pattern == "dotted":
        for row in range(-1, 9):
            for column in range(-1, 9):
                shift = 0.5 * (row % 2)
                x, y = start + (column + shift) * pitch, start + row * pitch
                _disc(draw, x, y, 0.24 * pitch, 0.24 * pitch, other)
    return image
