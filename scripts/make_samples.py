"""Draw the sample exemplars shipped with the package, most of them in colours the model has never seen.

Usage: python scripts/make_samples.py
"""

import json
from pathlib import Path

from rival_jax.training.world import Scene, draw, grade_odd

SIZE = 192
SAMPLES = Path(__file__).parent.parent / "rival_jax" / "assets" / "samples"


def _outside(thing: str, ground: str, sky: str, seed: int, sun: bool = False, style: str = "photo") -> Scene:
    colour, name = thing.split()
    return Scene(name, colour, "large", "middle", style, ground=ground, sky=sky, sun=sun, seed=seed)


def _inside(thing: str, pattern: str, backdrop: str, seed: int, style: str = "photo") -> Scene:
    colour, name = thing.split()
    return Scene(name, colour, "large", "middle", style, pattern=pattern, backdrop=backdrop, seed=seed)


EXEMPLARS: dict[str, tuple[Scene, str | None, str]] = {
    "house": (_outside("red house", "grass", "day", 11, sun=True), None, "a red house on green grass under a blue sky"),
    "boat": (_outside("yellow boat", "water", "sunset", 12), None, "a yellow boat on blue water at sunset"),
    "cup": (_inside("blue cup", "striped", "yellow", 13), None, "a blue cup on a striped yellow background"),
    "house-dark": (_outside("white house", "snow", "night", 14, sun=True), "dark", "a house on snow at night"),
    "car-faded": (_outside("green car", "sand", "day", 15), "washed_out", "a green car on sand under a blue sky"),
    "tree-sepia": (_outside("orange tree", "grass", "cloudy", 16), "sepia", "a tree on grass under a cloudy sky"),
    "flower-negative": (_outside("red flower", "grass", "day", 17), "negative", "a flower on grass"),
    "mushroom-swapped": (_outside("red mushroom", "soil", "day", 18), "swapped", "a mushroom on soil"),
    "fish-duotone": (_inside("white fish", "plain", "blue", 19), "cyan_magenta", "a fish on a plain background"),
    "butterfly-red-room": (_inside("yellow butterfly", "dotted", "gray", 20), "red_room", "a butterfly"),
    "boat-teal": (_outside("white boat", "water", "sunset", 21, sun=True), "teal_orange", "a boat on water at sunset"),
    "heart-acid": (_inside("black heart", "striped", "white", 22), "acid", "a heart on a striped background"),
    "car-moonlight": (_outside("red car", "grass", "day", 23), "moonlight", "a car on grass"),
}
"""File stem -> what is drawn, its odd grading if any, and the caption; a colour is named only if it still shows."""


def main() -> None:
    SAMPLES.mkdir(parents=True, exist_ok=True)
    for stem, (scene, grading, _) in EXEMPLARS.items():
        picture = draw(scene, SIZE)
        (grade_odd(picture, grading) if grading else picture).save(SAMPLES / f"{stem}.png", optimize=True)
    captions = {f"{stem}.png": caption for stem, (_, _, caption) in EXEMPLARS.items()}
    (SAMPLES / "captions.json").write_text(json.dumps(captions, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
