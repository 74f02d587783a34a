"""Draws the README's pictures of the applications with the embedded model: docs/generate.png, edit.png and so on.

`python scripts/draw_applications.py edit inpaint` draws some of them, without names all.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from rival_jax import RivalPipeline, learn_concept, samples
from rival_jax.evidence.concepts import concept
from rival_jax.images import load_images
from rival_jax.sheets import grid

DOCS = Path(__file__).parents[1] / "docs"
STYLES = ("heart-acid.png", "boat-teal.png", "tree-sepia.png")
SCENES = ("a house on grass", "a cup on a plain background", "a car on sand")
EDITS = {
    "house.png": "a blue house on green grass under a blue sky",
    "cup.png": "a red cup on a striped yellow background",
    "car-faded.png": "a yellow car on sand under a blue sky",
}
FILLED = {
    "house.png": "a yellow star on green grass under a blue sky",
    "car-moonlight.png": "a ball on grass",
    "boat-teal.png": "a fish on water at sunset",
}
PAIR = "house.png", "boat.png"


def pictures(names) -> np.ndarray:
    """The samples' pictures (E, 48, 48, 3)."""
    return load_images([samples.DIRECTORY / name for name in names], 48, 48)


def generate(pipe: RivalPipeline) -> None:
    styles = pictures(STYLES)
    made = np.stack([pipe.generate(styles, scene, seed=range(3)).images[:, 0] for scene in SCENES], axis=1)
    save("generate", np.concatenate([styles[:, None], made], axis=1), ["exemplar", *SCENES])


def edit(pipe: RivalPipeline) -> None:
    captions = samples.captions()
    photos, prompts = pictures(EDITS), list(EDITS.values())
    chain = pipe.invert(photos, [captions[name] for name in EDITS], 50)
    strengths, starts = (0.3, 0.5, 0.8), (900, 500)
    made = [pipe.edit(chain, prompts, strength=strength).images[:, 0] for strength in strengths]
    made += [pipe.edit(chain, prompts, attention_start=start).images[:, 0] for start in starts]
    made = np.stack(made, axis=1)
    columns = ["exemplar", *(f"strength {value}" for value in strengths), *(f"attention_start {t}" for t in starts)]
    save("edit", np.concatenate([photos[:, None], made], axis=1), columns)


def inpaint(pipe: RivalPipeline) -> None:
    photos = pictures(FILLED)
    mask = np.zeros(photos.shape[1:3], bool)
    mask[8:45, 5:44] = True
    out = pipe.inpaint(photos, mask, list(FILLED.values()), num_variations=3, seed=range(3))
    shown = np.where(mask[None, :, :, None], np.uint8(255), photos)
    columns = ["exemplar", "mask", "inpainted 1", "inpainted 2", "inpainted 3"]
    save("inpaint", np.concatenate([photos[:, None], shown[:, None], out.images], axis=1), columns)


def interpolate(pipe: RivalPipeline) -> None:
    """Two prompts; two photos; the same, held to the statistics that lie between theirs."""
    captions = samples.captions()
    start, end = (pipe.invert(pictures([name]), captions[name]) for name in PAIR)
    made = [pipe.interpolate("a red ball on green grass", "a blue car on yellow sand", 7)]
    made += [pipe.interpolate(start, end, 7, warmup_ratio=1.0, align=align) for align in ("none", "latent")]
    save("interpolate", np.concatenate([out.images for out in made]), ["start", *map(str, range(2, 7)), "end"])


def learnt(pipe: RivalPipeline) -> None:
    drawings, _, _ = concept(0, pipe.size)
    with TemporaryDirectory() as folder:
        knowing = pipe.load_textual_inversion(learn_concept(pipe, list(drawings), folder, token="<it>", num_steps=300))
    made = knowing.generate(pictures(STYLES), "a photo of <it>", seed=range(3)).images[:, 0]
    columns = [*(f"photo {n}" for n in range(1, 5)), *(f"<it> in look {n}" for n in range(1, 4))]
    save("concept", np.concatenate([drawings, made])[None], columns)


def save(name: str, cells: np.ndarray, columns: list[str]) -> None:
    grid(cells, columns).save(DOCS / f"{name}.png", optimize=True)


DRAWN = {"generate": generate, "edit": edit, "inpaint": inpaint, "interpolate": interpolate, "concept": learnt}

if __name__ == "__main__":
    tiny = RivalPipeline.from_pretrained("tiny")
    for wanted in sys.argv[1:] or DRAWN:
        DRAWN[wanted](tiny)
