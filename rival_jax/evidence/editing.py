"""Does editing keep a picture's structure while it changes what it is told to? Against plain img2img."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.chain import Chain
from rival_jax.codec import decode
from rival_jax.conditioning import Conditioning
from rival_jax.course import Course
from rival_jax.evidence.experiment import Experiment
from rival_jax.generation import generate
from rival_jax.metrics.recogniser import Recogniser
from rival_jax.metrics.statistics import interval
from rival_jax.pipeline import RivalPipeline
from rival_jax.schedule import mix
from rival_jax.stages import Stage
from rival_jax.steps import Progress, silent
from rival_jax.training import world

_SEED = 4_000_003
"""Of scenes that no training draws."""
_STEPS, _GUIDANCE = 50, 7.0
_STARTS = (1000, 900, 800, 700, 600, 500)
_STRENGTHS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


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


def img2img(
    pipe: RivalPipeline, chain: Chain, prompts: Sequence[str], strength: float, guidance_scale: float
) -> np.ndarray:
    """Pictures (e, H, W, 3) uint8 drawn from the exemplars with `strength` of the noise (SDEdit), nothing attended to.

    Source: https://arxiv.org/abs/2108.01073.
    """
    exemplars, steps = len(chain.pixels), round(strength * chain.num_inference_steps)
    with pipe.precision():
        size = chain.pixels.shape[1:3]
        halves = pipe.embed(tuple(prompts), size), pipe.embed(("",) * exemplars, size)
        latents = jnp.asarray(chain.latents)
        noise = jax.random.normal(jax.random.key(0), latents[0].shape)
        start = mix(latents[0], noise, pipe.schedule.levels(chain.num_inference_steps)[steps])
        guidance = np.full((exemplars, 1), guidance_scale, np.float32)
        course = Course(latents, Conditioning.stacked(halves * 2), guidance)
        plan = [(Stage("plain", "none", references=0, backend=pipe.attention), steps)]
        final = generate((pipe.unet,), pipe.schedule, course, start[:, None], plan, progress=silent)
        return np.asarray(decode(pipe.vae, final))[:, 0]


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
    pipe, count, results = experiment.pipe, len(experiment.captions), {}
    recogniser = Recogniser.from_pretrained()
    pictures, sources, targets, wanted = recoloured(count, pipe.size)
    chains: dict[str, Chain] = {}

    def chain(source: str) -> Chain:
        if source not in chains:
            chains[source] = pipe.invert(pictures, sources if source == "caption" else "", _STEPS)
        return chains[source]

    def edited(source: str, start: int) -> np.ndarray:
        return pipe.edit(chain(source), targets, attention_start=start, guidance_scale=_GUIDANCE).images[:, 0]

    def plain(strength: float) -> np.ndarray:
        return img2img(pipe, chain("empty"), targets, strength, _GUIDANCE)

    settings = {f"edit, source {source}, attention_start {start}": (source, start)
                for source in ("empty", "caption") for start in _STARTS}  # fmt: skip
    settings |= {f"img2img, strength {strength}": ("", strength) for strength in _STRENGTHS}
    for number, (name, (source, value)) in enumerate(settings.items(), start=1):

        def measured(source: str = source, value: float = value) -> dict[str, list[float]]:
            made = edited(source, int(value)) if source else plain(value)
            changed = recogniser(made)[1] == wanted
            return {"structure": structure(made, pictures).tolist(), "changed": changed.astype(float).tolist()}

        kept = experiment.store.kept(name, ["editing", name, count, _STEPS, _GUIDANCE, pipe.dtype], measured)
        results[name] = {measure: np.asarray(values) for measure, values in kept.items()}
        progress("editing", number, len(settings))
    return results


def editing_markdown(results: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """A table of them; of each edit also the most structure that img2img keeps where it changes as much, or more."""
    plain = [scores for name, scores in results.items() if name.startswith("img2img")]
    lines = ["| setting | new colour recognised | structure | img2img's at equal change |", "|---" * 4 + "|"]
    for name, scores in results.items():
        changed, kept = scores["changed"].mean(), scores["structure"]
        low, high = interval(kept)
        alike = [own["structure"].mean() for own in plain if own["changed"].mean() >= changed]
        equal = f"{max(alike):.3f}" if alike and name.startswith("edit") else "-"
        lines.append(f"| {name} | {changed:.1%} | {kept.mean():.3f} [{low:.3f}, {high:.3f}] | {equal} |")
    return "\n".join(lines) + "\n"
