"""Does editing keep a picture's structure while it changes what it is told to? Against plain img2img."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial

import numpy as np

from rival_jax.baselines.methods import Task, img2img
from rival_jax.chain import Chain
from rival_jax.evidence.experiment import Experiment
from rival_jax.metrics.recogniser import Recogniser
from rival_jax.metrics.statistics import interval
from rival_jax.steps import Progress
from rival_jax.training import world

_SEED = 4_000_003
"""Of scenes that no training draws."""
_STEPS, _GUIDANCE = 50, 7.0
_STRENGTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_EDITS = {
    "the paper's": {},
    **{f"attention_start {start}": {"attention_start": start} for start in (1000, 700, 500)},
}


def recoloured(count: int, size: int) -> tuple[np.ndarray, list[str], list[str], np.ndarray]:
    """Drawings (n, size, size, 3) uint8 of one thing each, what they show, the same in another colour, and that."""
    pictures, sources, targets, wanted = [], [], [], []
    index = 0
    while len(pictures) < count:
        rng = np.random.default_rng([_SEED, index])
        scene, index = world.sample_scene(rng, graded=False), index + 1
        if scene.count > 1:
            continue
        others = [colour for colour in world.COLOURS if colour not in (scene.colour, scene.backdrop)]
        colour = str(rng.choice(others))
        pictures.append(np.asarray(world.draw(scene, size)))
        sources.append(world.describe(scene))
        targets.append(world.describe(replace(scene, colour=colour)))
        wanted.append(colour)
    return np.stack(pictures), sources, targets, np.asarray(wanted)


def structure(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Correlation (n,) of the edge maps of pictures (n, H, W, 3) uint8: 1 where edges are the same."""

    def edges(rgb: np.ndarray) -> np.ndarray:
        down, right = np.gradient(rgb.astype(np.float64).mean(axis=-1), axis=(1, 2))
        maps = np.hypot(down, right).reshape(len(rgb), -1)
        return maps - maps.mean(axis=1, keepdims=True)

    one, other = edges(pictures), edges(others)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / np.maximum(lengths, 1e-12)


def editing(experiment: Experiment, progress: Progress) -> dict[str, dict[str, np.ndarray]]:
    """By setting: `structure` to the exemplars, and whether the new colour was recognised, (e,) each."""
    pipe, count = experiment.pipe, len(experiment.captions)
    recogniser = Recogniser.from_pretrained()
    pictures, sources, targets, wanted = recoloured(count, pipe.size)

    @cache
    def chain() -> Chain:
        return pipe.invert(pictures, sources, _STEPS)

    def edited(negative: list[str] | str = "", **options) -> np.ndarray:
        more = {"guidance_scale": _GUIDANCE, "negative_prompt": negative}
        return pipe.edit(chain(), targets, **more, **options).images[:, 0]

    def plain(strength: float) -> np.ndarray:
        return img2img(Task(pipe, chain(), targets, 1, _GUIDANCE, range(count)), strength)[:, 0]

    settings = {f"edit, {name}": partial(edited, **options) for name, options in _EDITS.items()}
    for negative, against in (("", ""), (sources, ", against the source")):
        settings |= {f"edit, strength {s}{against}": partial(edited, negative, strength=s) for s in _STRENGTHS[:6]}
    settings |= {f"img2img, strength {strength}": partial(plain, strength) for strength in _STRENGTHS}

    def measured(draw: Callable[[], np.ndarray]) -> dict[str, list[float]]:
        made = draw()
        changed = recogniser(made)[1] == wanted
        return {"structure": structure(made, pictures).tolist(), "changed": changed.astype(float).tolist()}

    question = [count, _STEPS, _GUIDANCE, pipe.dtype]
    rows = {name: (["editing", name, *question], partial(measured, draw)) for name, draw in settings.items()}
    return experiment.rows("editing", rows, progress)


def editing_markdown(results: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """A table of them; each edit beside the img2img that changes as much, or more, and keeps most."""
    plain = {name: scores for name, scores in results.items() if name.startswith("img2img")}
    lines = ["| setting | new colour recognised | structure | img2img at equal change | difference |", "|---" * 5 + "|"]
    for name, scores in results.items():
        changed, kept = scores["changed"].mean(), scores["structure"]
        cells = [name, f"{changed:.1%}", f"{kept.mean():.3f}", "-", "-"]
        alike = [own["structure"] for own in plain.values() if own["changed"].mean() >= changed]
        if alike and name not in plain:
            best = max(alike, key=np.mean)
            low, high = interval(kept - best)
            cells[3:] = f"{best.mean():.3f}", f"[{low:+.3f}, {high:+.3f}]"
        lines.append(f"| {' | '.join(cells)} |")
    legend = (
        'Structure: correlation of edge maps with the exemplar\'s. "Difference" is the 95 % bootstrap interval of the '
        "paired one to the img2img that keeps most of those that change no less."
    )
    return "\n".join(lines) + f"\n\n{legend}\n"
