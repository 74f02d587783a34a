"""The twelve objects of the world, each a few shapes in a box of half-size 1 (x to the right, y down)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import cos, pi, radians, sin

import numpy as np
from PIL import Image, ImageDraw

from rival_jax.training.colours import BLACK, RGB, WHITE, mix

Point = tuple[float, float]

CREAM: RGB = (244, 232, 206)
INK: RGB = (24, 22, 28)
GLASS: RGB = (176, 216, 238)
LEAF: RGB = (58, 142, 60)
RUBBER: RGB = (44, 44, 50)
WOOD: RGB = (112, 72, 40)


@dataclass(frozen=True)
class Pen:
    """Draws an object's shapes on a transparent layer.

    centre, half: where the object's box lies, in pixels of the layer. mirror: +1, or -1 to face the other way.
    tilt: degrees. main: the object's colour. ink: outline width in pixels, 0 for none.
    """

    layer: Image.Image
    centre: Point
    half: float
    mirror: int
    tilt: float
    main: RGB
    ink: int

    @property
    def dark(self) -> RGB:
        """A deeper shade of the object's colour; for a dark colour, a lighter one."""
        return mix(self.main, BLACK, 0.26) if sum(self.main) > 150 else mix(self.main, WHITE, 0.22)

    @property
    def light(self) -> RGB:
        """A paler shade of the object's colour."""
        return mix(self.main, WHITE, 0.42) if sum(self.main) > 150 else mix(self.main, WHITE, 0.3)

    def _place(self, points: Iterable[Point]) -> list[Point]:
        c, s = cos(radians(self.tilt)), sin(radians(self.tilt))
        (cx, cy), half = self.centre, self.half
        return [(cx + half * self.mirror * (x * c - y * s), cy + half * (x * s + y * c)) for x, y in points]

    def shape(self, points: Iterable[Point], colour: RGB) -> None:
        """A filled polygon, its outline half inside it."""
        placed = self._place(points)
        draw = ImageDraw.Draw(self.layer)
        draw.polygon(placed, fill=colour)
        if self.ink:
            draw.line([*placed, *placed[:2]], fill=INK, width=self.ink, joint="curve")

    def union(self, parts: Sequence[Iterable[Point]], colour: RGB) -> None:
        """Filled polygons with one outline around them all."""
        placed = [self._place(points) for points in parts]
        draw = ImageDraw.Draw(self.layer)
        if self.ink:
            for points in placed:
                draw.line([*points, *points[:2]], fill=INK, width=2 * self.ink, joint="curve")
        for points in placed:
            draw.polygon(points, fill=colour)

    def round(self, x: float, y: float, rx: float, ry: float, colour: RGB, turn: float = 0.0) -> None:
        """A filled ellipse at (x, y), turned by `turn` degrees."""
        self.shape(arc(x, y, rx, ry, 0, 360, turn), colour)

    def stroke(self, points: Sequence[Point], width: float, colour: RGB, outlined: bool = True) -> None:
        """A line through `points`, `width` in box units."""
        placed = self._place(points)
        draw = ImageDraw.Draw(self.layer)
        pixels = max(1, round(width * self.half))
        if self.ink and outlined:
            draw.line(placed, fill=INK, width=pixels + 2 * self.ink, joint="curve")
        draw.line(placed, fill=colour, width=pixels, joint="curve")


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float, turn: float = 0.0) -> list[Point]:
    """Points of an elliptic arc from `start` to `end` degrees (clockwise, 0 to the right)."""
    steps = max(4, round(abs(end - start) / 12))
    c, s = cos(radians(turn)), sin(radians(turn))
    angles = [radians(start + (end - start) * step / steps) for step in range(steps + 1)]
    local = [(rx * cos(angle), ry * sin(angle)) for angle in angles]
    return [(x + px * c - py * s, y + px * s + py * c) for px, py in local]


def box(left: float, top: float, right: float, bottom: float) -> list[Point]:
    """The corners of a rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def house(pen: Pen) -> None:
    roof = mix(pen.main, pen.dark, 0.6)
    pen.shape(box(0.42, -0.86, 0.66, -0.2), roof)
    pen.shape(box(-0.82, -0.26, 0.82, 1), pen.main)
    pen.shape([(-1, -0.22), (0, -0.96), (1, -0.22)], roof)
    pen.shape(box(-0.16, 0.4, 0.18, 1), WOOD)
    for x in (-0.5, 0.52):
        pen.shape(box(x - 0.16, 0.14, x + 0.16, 0.46), (255, 240, 170))


def car(pen: Pen) -> None:
    pen.shape([(-0.62, -0.02), (-0.42, -0.52), (0.3, -0.52), (0.6, -0.02)], pen.main)
    pen.shape([(-0.48, -0.06), (-0.34, -0.4), (-0.08, -0.4), (-0.08, -0.06)], GLASS)
    pen.shape([(0.04, -0.06), (0.04, -0.4), (0.23, -0.4), (0.44, -0.06)], GLASS)
    pen.shape([(-1, 0), (-0.9, -0.08), (0.66, -0.08), (0.96, 0.06), (1, 0.5), (-1, 0.5)], pen.main)
    pen.shape(box(-1, 0.34, 1, 0.5), pen.dark)
    for x in (-0.54, 0.54):
        pen.round(x, 0.5, 0.27, 0.27, RUBBER)
        pen.round(x, 0.5, 0.12, 0.12, (206, 208, 212))
    pen.round(0.92, 0.16, 0.08, 0.08, (255, 244, 170))


def boat(pen: Pen) -> None:
    pen.stroke([(-0.04, -0.96), (-0.04, 0.46)], 0.09, WOOD)
    pen.shape([(0.06, -0.92), (0.86, 0.26), (0.06, 0.26)], pen.main)
    pen.shape([(-0.14, -0.66), (-0.14, 0.26), (-0.72, 0.26)], pen.light)
    pen.shape([(-1, 0.38), (1, 0.38), (0.66, 0.94), (-0.6, 0.94)], pen.main)
    pen.shape([(-1, 0.38), (1, 0.38), (0.93, 0.52), (-0.9, 0.52)], CREAM if sum(pen.main) < 600 else pen.dark)


def tree(pen: Pen) -> None:
    pen.shape([(-0.13, 0.2), (0.13, 0.2), (0.2, 1), (-0.2, 1)], WOOD)
    crown = ((-0.48, -0.08, 0.42), (0.48, -0.08, 0.42), (0, -0.5, 0.48), (0, 0, 0.38))
    pen.union([arc(x, y, r, r, 0, 360) for x, y, r in crown], pen.main)
    for x, y in ((-0.5, 0.0), (0.32, 0.08), (0.1, -0.52), (-0.16, -0.3)):
        pen.stroke(arc(x, y, 0.12, 0.1, 30, 150), 0.08, pen.dark, outlined=False)


def flower(pen: Pen) -> None:
    pen.stroke([(0, 0), (0.03, 1)], 0.12, LEAF)
    pen.round(0.36, 0.72, 0.34, 0.13, LEAF, -28)
    pen.round(-0.3, 0.8, 0.32, 0.13, LEAF, 28)
    for petal in range(6):
        angle = petal * pi / 3 + pi / 6
        pen.round(0.42 * cos(angle), -0.34 + 0.42 * sin(angle), 0.3, 0.23, pen.main, angle * 180 / pi)
    yellow = pen.main[0] > 225 and pen.main[1] > 180 and pen.main[2] < 120
    pen.round(0, -0.34, 0.24, 0.24, (150, 84, 30) if yellow else (255, 212, 60))


def heart(pen: Pen) -> None:
    angles = [2 * pi * step / 48 for step in range(48)]
    wave = [(16 * sin(a) ** 3, -(13 * cos(a) - 5 * cos(2 * a) - 2 * cos(3 * a) - cos(4 * a))) for a in angles]
    pen.shape([(x / 16.5, y / 15.5 - 0.12) for x, y in wave], pen.main)
    pen.stroke(arc(-0.46, -0.42, 0.26, 0.26, 180, 265), 0.12, pen.light, outlined=False)


def ball(pen: Pen) -> None:
    panel = WHITE if sum(pen.main) < 640 else (150, 152, 160)
    pen.round(0, 0, 0.94, 0.94, pen.main)
    pole = (-0.3, -0.5)
    for start in (20, 140, 260):
        rim = arc(0, 0, 0.94, 0.94, start, start + 36)
        pen.shape([pole, *rim], panel)
    pen.round(*pole, 0.16, 0.14, panel)


def fish(pen: Pen) -> None:
    pen.shape([(-0.5, 0), (-1, -0.52), (-0.86, 0), (-1, 0.52)], pen.dark)
    pen.shape([(-0.3, -0.4), (0.1, -0.76), (0.38, -0.36)], pen.dark)
    pen.shape([(-0.1, 0.4), (0.06, 0.7), (0.26, 0.36)], pen.dark)
    pen.round(0.16, 0, 0.8, 0.5, pen.main)
    pen.shape([(0.02, 0.02), (-0.32, -0.12), (-0.28, 0.26)], pen.dark)
    pen.round(0.6, -0.12, 0.14, 0.14, WHITE)
    pen.round(0.63, -0.12, 0.07, 0.07, (20, 20, 24))


def mushroom(pen: Pen) -> None:
    pen.shape([(-0.24, 0), (0.24, 0), (0.34, 0.9), (0.2, 1), (-0.2, 1), (-0.34, 0.9)], CREAM)
    pen.shape([*arc(0, 0.08, 0.98, 0.98, 180, 360), *arc(0, 0.08, 0.98, 0.2, 0, 180)], pen.main)
    spot = WHITE if sum(pen.main) < 640 else (168, 150, 130)
    for x, y, r in ((-0.5, -0.22, 0.17), (0.08, -0.5, 0.2), (0.56, -0.16, 0.15)):
        pen.round(x, y, r, 0.85 * r, spot)


def butterfly(pen: Pen) -> None:
    for side in (-1, 1):
        pen.round(side * 0.52, -0.36, 0.5, 0.36, pen.main, side * -38)
        pen.round(side * 0.44, 0.42, 0.38, 0.3, pen.main, side * 48)
        pen.round(side * 0.6, -0.42, 0.17, 0.13, pen.light, side * -38)
        pen.round(side * 0.48, 0.44, 0.13, 0.11, pen.light, side * 48)
        pen.stroke([(0, -0.4), (side * 0.22, -0.86)], 0.06, RUBBER)
    pen.round(0, 0.06, 0.1, 0.56, RUBBER)


def cup(pen: Pen) -> None:
    handle = arc(0.6, 0.1, 0.36, 0.4, -90, 90)
    pen.stroke(handle, 0.18, pen.main)
    pen.shape([(-0.78, -0.62), (0.66, -0.62), (0.5, 0.8), (0.36, 0.94), (-0.48, 0.94), (-0.62, 0.8)], pen.main)
    pen.round(-0.06, -0.62, 0.72, 0.2, pen.light)
    pen.round(-0.06, -0.58, 0.58, 0.13, (92, 56, 36))


def star(pen: Pen) -> None:
    points = []
    for step in range(10):
        radius = 1.02 if step % 2 == 0 else 0.46
        points.append((radius * sin(step * pi / 5), 0.08 - radius * cos(step * pi / 5)))
    pen.shape(points, pen.main)


OBJECTS: dict[str, Callable[[Pen], None]] = {
    "house": house,
    "car": car,
    "boat": boat,
    "tree": tree,
    "flower": flower,
    "heart": heart,
    "ball": ball,
    "fish": fish,
    "mushroom": mushroom,
    "butterfly": butterfly,
    "cup": cup,
    "star": star,
}
FLOATING = frozenset({"heart", "fish", "butterfly", "star"})
"""Objects that hover, tilted either way; the others stand on their base."""

BASE = {"car": 0.77, "ball": 0.94, "boat": 0.94, "cup": 0.94, "heart": 0.9, "fish": 0.7, "butterfly": 0.75, "star": 0.9}
"""Where an object's lowest point lies in its box; 1 unless named."""


def draw_object(
    name: str, side: int, centre: Point, half: float, main: RGB, outlined: bool, rng: np.random.Generator
) -> Image.Image:
    """The object on a transparent (side, side) layer; `centre` and `half` in shares of the side, y at the base."""
    mirror = -1 if rng.random() < 0.5 else 1
    tilt = rng.uniform(-14, 14) if name in FLOATING else rng.uniform(-2, 2)
    layer = Image.new("RGBA", (side, side))
    x, base = centre[0] * side, centre[1] * side
    half_pixels = half * side
    ink = round(0.017 * side) if outlined else 0
    pen = Pen(layer, (x, base - BASE.get(name, 1.0) * half_pixels), half_pixels, mirror, tilt, main, ink)
    OBJECTS[name](pen)
    return layer
