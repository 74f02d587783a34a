"""A drawn, captioned world for training a tiny latent diffusion model: one to three things before a background."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from rival_jax.training.colours import BLACK, COLOURS, jitter
from rival_jax.training.grading import ODD_GRADES, Grade, grade, grade_odd, sample_grade
from rival_jax.training.objects import FLOATING, OBJECTS, draw_object
from rival_jax.training.scenery import GROUNDS, SKIES, backdrop, landscape

__all__ = ["ODD_GRADES", "Scene", "caption", "describe", "draw", "example", "grade_odd", "sample_scene"]

_OVERSAMPLING = 4

SIZES = {"small": (0.20, 0.24), "middling": (0.27, 0.32), "large": (0.33, 0.37)}
"""Half an object's width, in shares of the picture's."""

POSITIONS = {"left": 0.3, "middle": 0.5, "right": 0.7}
GROUPS = {1: (0.0,), 2: (-0.24, 0.24), 3: (-0.31, 0.0, 0.31)}
"""Where the things of a group stand, from its position; a group's things are small enough to stand apart."""
GROUP_SIZES = {2: (0.19, 0.23), 3: (0.135, 0.15)}
STYLES = ("photo", "drawing")
PATTERNS = ("plain", "striped", "dotted")


@dataclass(frozen=True)
class Scene:
    """What a picture shows.

    object, colour, size, position, style: keys of OBJECTS, COLOURS, SIZES, POSITIONS, STYLES.
    ground, sky: of a landscape, keys of GROUNDS and SKIES, with a sun (a moon at night) or not; else "".
    pattern, backdrop: of any other background, a key of PATTERNS and of COLOURS; else "".
    count: of the objects, 1 to 3; several are of one kind and colour, small, in a row in the middle.
    grade: the tone grading, if any. seed: of the details (tints, clouds, tilt).
    """

    object: str
    colour: str
    size: str
    position: str
    style: str
    ground: str = ""
    sky: str = ""
    sun: bool = False
    pattern: str = ""
    backdrop: str = ""
    count: int = 1
    grade: Grade | None = None
    seed: int = 0


def _choose(rng: np.random.Generator, items: Iterable[str], weights: tuple[float, ...] | None = None) -> str:
    items = tuple(items)
    return items[rng.choice(len(items), p=weights)]


def sample_scene(rng: np.random.Generator, *, graded: bool = True) -> Scene:
    """A scene of the training distribution; three in ten have a grade, or none at all."""
    colour = _choose(rng, COLOURS)
    count = int(rng.choice((1, 2, 3), p=(0.86, 0.09, 0.05)))
    size = _choose(rng, SIZES, (0.2, 0.45, 0.35)) if count == 1 else "middling"
    position = "middle" if size == "large" or count > 1 else _choose(rng, POSITIONS, (0.2, 0.6, 0.2))
    if rng.random() < 0.66:
        sky = _choose(rng, SKIES, (0.46, 0.18, 0.18, 0.18))
        sun = bool(sky != "cloudy" and rng.random() < 0.4)
        background: dict[str, Any] = {"ground": _choose(rng, GROUNDS), "sky": sky, "sun": sun}
    else:
        pattern = _choose(rng, PATTERNS, (0.6, 0.2, 0.2))
        background = {"pattern": pattern, "backdrop": _choose(rng, (name for name in COLOURS if name != colour))}
    return Scene(
        object=_choose(rng, OBJECTS),
        colour=colour,
        size=size,
        position=position,
        style=_choose(rng, STYLES, (0.7, 0.3)),
        **background,
        count=count,
        grade=sample_grade(rng) if graded and rng.random() < 0.3 else None,
        seed=int(rng.integers(2**31)),
    )


SIZE_WORDS = {"small": ("small",), "middling": ("",), "large": ("large", "big", "")}
POSITION_WORDS = {"left": "on the left", "middle": "in the middle", "right": "on the right"}
GROUND_WORDS = {
    "grass": ("green grass", "grass", "the grass"),
    "sand": ("yellow sand", "sand", "a sand beach"),
    "snow": ("white snow", "snow", "the snow"),
    "water": ("blue water", "water", "the water"),
    "soil": ("brown soil", "soil", "the soil"),
}
SKY_WORDS = {
    "day": ("under a blue sky", "under a blue sky", "on a bright day"),
    "sunset": ("under an orange sunset sky", "under an orange sky", "at sunset"),
    "night": ("under a dark night sky", "under a night sky", "at night"),
    "cloudy": ("under a gray sky", "under a cloudy sky", "on a cloudy day"),
}
SUN_WORDS = {"day": "with the sun", "sunset": "with the sun", "night": "with the moon"}
PATTERN_WORDS = {
    "plain": ("plain {} background", "{} background", "{} background"),
    "striped": ("striped {} background", "{} background with stripes", "striped {} background"),
    "dotted": ("dotted {} background", "{} background with dots", "dotted {} background"),
}
COUNT_WORDS = {2: "two", 3: "three"}
PLURALS = {name: {"fish": "fishes", "butterfly": "butterflies"}.get(name, f"{name}s") for name in OBJECTS}
OPENINGS = {
    "photo": ("a photo of", "a photo of", "a picture of", "an image of"),
    "drawing": ("a drawing of", "a drawing of", "a picture of", "an image of"),
}


def _article(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _place(scene: Scene, rng: np.random.Generator) -> str:
    if scene.pattern:
        name = "" if rng.random() < 0.2 else scene.backdrop
        words = " ".join(_choose(rng, PATTERN_WORDS[scene.pattern]).format(name).split())
        preposition = _choose(rng, ("on", "in front of"), (0.8, 0.2))
        return f"{preposition} {_article(words)}"
    ground = f"on {_choose(rng, GROUND_WORDS[scene.ground], (0.6, 0.2, 0.2))}"
    sky = _choose(rng, SKY_WORDS[scene.sky], (0.4, 0.35, 0.25))
    if scene.sun and rng.random() < 0.6:
        sky += f" {SUN_WORDS[scene.sky]}"
    kept = rng.random()
    return ground if kept < 0.3 else sky if kept < 0.38 else f"{ground} {sky}"


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of the scene's captions; it may leave things out, and never tells of the grading."""
    size = _choose(rng, SIZE_WORDS[scene.size])
    colour = "" if rng.random() < 0.2 else scene.colour
    number, name = COUNT_WORDS.get(scene.count, ""), scene.object if scene.count == 1 else PLURALS[scene.object]
    thing = " ".join(word for word in (number, size, colour, name) if word)
    thing = thing if number else _article(thing)
    if rng.random() < (0.08 if scene.position == "middle" else 0.8):
        thing += f" {POSITION_WORDS[scene.position]}"
    opening = f"{_choose(rng, OPENINGS[scene.style])} " if rng.random() < 0.4 else ""
    kept = rng.random()
    if kept < 0.08:
        return opening + thing
    place = _place(scene, rng)
    return f"{place}, {thing}" if not opening and kept > 0.94 else f"{opening}{thing} {place}"


def describe(scene: Scene, *, coloured: bool = True) -> str:
    """All that a scene shows, always in the same words; without colours and sky for a picture that has got others."""
    number, several = COUNT_WORDS.get(scene.count, ""), scene.count > 1
    name = PLURALS[scene.object] if several else scene.object
    thing = " ".join(word for word in (number, scene.colour if coloured else "", name) if word)
    thing = thing if several else _article(thing)
    if scene.pattern:
        backdrop = f"{scene.pattern} {scene.backdrop}" if coloured else scene.pattern
        return f"{thing} on a {backdrop} background"
    ground, sky = GROUND_WORDS[scene.ground], SKY_WORDS[scene.sky]
    return f"{thing} on {ground[0]} {sky[0]}" if coloured else f"{thing} on {ground[1]}"


@cache
def _glow(side: int) -> Image.Image:
    """Light from the upper left: white around (0.3, 0.25) of the side, down to 160 of 255 far from it."""
    full = ImageChops.invert(Image.radial_gradient("L")).resize((2 * side, 2 * side))
    left, top = round(0.7 * side), round(0.75 * side)
    light = full.crop((left, top, left + side, top + side)).point([min(255, 160 + level // 2) for level in range(256)])
    return Image.merge("RGB", (light, light, light))


def _shade(layer: Image.Image) -> Image.Image:
    """The layer (RGB under an alpha mask) lit from the upper left."""
    return ImageChops.multiply(layer.convert("RGB"), _glow(layer.width))


def _background(scene: Scene, side: int, rng: np.random.Generator) -> Image.Image:
    if scene.pattern:
        return backdrop(side, scene.pattern, jitter(COLOURS[scene.backdrop], rng), rng)
    return landscape(side, scene.ground, scene.sky, scene.sun, rng)


def _objects(scene: Scene, side: int, rng: np.random.Generator) -> Image.Image:
    """The scene's things on one transparent layer."""
    half = rng.uniform(*GROUP_SIZES.get(scene.count, SIZES[scene.size]))
    main = jitter(COLOURS[scene.colour], rng)
    layer = Image.new("RGBA", (side, side))
    for place in GROUPS[scene.count]:
        x = POSITIONS[scene.position] + place + rng.uniform(-0.03, 0.03) / scene.count
        x = min(max(x, half + 0.02), 0.98 - half)
        base = min(0.94, 0.5 + half + rng.uniform(0.1, 0.16))
        if scene.pattern or scene.object in FLOATING:
            base = 0.5 + half + rng.uniform(-0.04, 0.04)
        thing = draw_object(scene.object, side, (x, base), half, main, scene.style == "drawing", rng)
        layer.alpha_composite(thing)
    return layer


def draw(scene: Scene, size: int = 48) -> Image.Image:
    """The (size, size) RGB picture of a scene; the same composition at every size."""
    side = _OVERSAMPLING * size
    rng = np.random.default_rng(scene.seed)
    image = _background(scene, side, rng)
    layer = _objects(scene, side, rng)
    if scene.style == "photo":
        alpha = layer.getchannel("A")
        shadow = alpha.filter(ImageFilter.BoxBlur(0.02 * side)).point([round(0.4 * level) for level in range(256)])
        shift = round(0.025 * side)
        image.paste(BLACK, (shift, shift), shadow)
        image.paste(_shade(layer), (0, 0), alpha)
    else:
        image.paste(layer, (0, 0), layer)
    image = image.resize((size, size), Image.Resampling.BOX)
    return grade(image, scene.grade) if scene.grade else image


def example(seed: int, index: int) -> tuple[Scene, str]:
    """Scene and caption number `index` of the data set with this seed."""
    rng = np.random.default_rng([seed, index])
    scene = sample_scene(rng)
    return scene, caption(scene, rng)
