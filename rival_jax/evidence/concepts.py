"""Is a concept that was learnt from four pictures in what is drawn with its token? Against the token unlearnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rival_jax.evidence.exemplars import draw_exemplars
from rival_jax.evidence.experiment import Experiment
from rival_jax.learning.concept import learn_concept
from rival_jax.learning.methods import TextualInversion
from rival_jax.metrics.recogniser import Recogniser
from rival_jax.metrics.statistics import interval
from rival_jax.steps import Progress
from rival_jax.training import world
from rival_jax.training.colours import COLOURS
from rival_jax.training.objects import OBJECTS

_SEED = 5_000_003
"""Of scenes that no training draws."""
_CONCEPTS, _PICTURES, _EXEMPLARS = 8, 4, 8
_TOKEN, _STEPS = "<sks>", 300


def concept(number: int, size: int) -> tuple[np.ndarray, str, str]:
    """Drawings (4, size, size, 3) uint8 of a thing of one colour in four places, the thing, and the colour."""
    rng = np.random.default_rng([_SEED, number])
    thing, colour = str(rng.choice(list(OBJECTS))), str(rng.choice(list(COLOURS)))
    drawn: list[np.ndarray] = []
    while len(drawn) < _PICTURES:
        scene = world.sample_scene(rng, graded=False)
        if scene.count == 1 and scene.backdrop != colour:
            drawn.append(np.asarray(world.draw(replace(scene, object=thing, colour=colour), size)))
    return np.stack(drawn), thing, colour


def concepts(experiment: Experiment, progress: Progress) -> dict[str, dict[str, np.ndarray]]:
    """Of the learnt and of the unlearnt token: image alignment to the four pictures, and whether thing and colour were
    recognised, (concepts,) each, means over what is drawn in the style of exemplars."""
    results: dict[str, dict[str, list[float]]] = {"learnt": {}, "unlearnt": {}}
    recogniser = Recogniser.from_pretrained()
    exemplars, _ = draw_exemplars(_EXEMPLARS, experiment.pipe.size)
    for number in range(_CONCEPTS):
        pictures, thing, colour = concept(number, experiment.pipe.size)

        def measured(number=number, pictures=pictures, thing=thing, colour=colour) -> dict[str, dict[str, float]]:
            folder = experiment.store.folder / f"concept-{number}"
            file = learn_concept(experiment.pipe, list(pictures), folder, token=_TOKEN, num_steps=_STEPS)
            known = experiment.pipe.load_textual_inversion(file)
            blank = TextualInversion.of(experiment.pipe, _TOKEN, None, 1).pipe
            found, wanted = {}, experiment.judge.embed_images(pictures)
            for name, pipe in (("learnt", known), ("unlearnt", blank)):
                images = pipe.generate(exemplars, f"a photo of {_TOKEN}", seed=range(_EXEMPLARS)).images[:, 0]
                alike = experiment.judge.embed_images(images) @ wanted.T
                things, colours = recogniser(images)
                found[name] = {
                    "alignment": float(alike.mean()),
                    "thing": float((things == thing).mean()),
                    "colour": float((colours == colour).mean()),
                }
            return found

        kept = experiment.store.kept(f"concept {number}", ["concepts", number, _STEPS, experiment.pipe.dtype], measured)
        for name, scores in kept.items():
            for measure, value in scores.items():
                results[name].setdefault(measure, []).append(value)
        progress("concepts", number + 1, _CONCEPTS)
    return {name: {key: np.asarray(value) for key, value in scores.items()} for name, scores in results.items()}


def concepts_markdown(results: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """A table of them; intervals are of the paired differences over concepts."""
    lines = ["| | learnt | unlearnt | difference |", "|---" * 4 + "|"]
    for measure, values in results["learnt"].items():
        before = results["unlearnt"][measure]
        low, high = interval(values - before)
        lines.append(f"| {measure} | {values.mean():.3f} | {before.mean():.3f} | [{low:+.3f}, {high:+.3f}] |")
    legend = (
        f"{_CONCEPTS} concepts, each learnt from {_PICTURES} drawings in {_STEPS} steps of textual inversion, then "
        f"drawn in the style of {_EXEMPLARS} exemplars with its token, learnt and as it was before. Alignment is the "
        'judge\'s cosine to the drawings; "difference" the 95 % bootstrap interval of the paired one over concepts.'
    )
    return "\n".join(lines) + f"\n\n{legend}\n"
