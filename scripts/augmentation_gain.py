"""Does a classifier gain from a job's variations? On the embedded world, with ten originals a class.

    python scripts/augmentation_gain.py [--out gain] [--seeds 3]

For each seed: ten drawings of each of twelve things; a job makes variations of them (its label filter on); a small
convolutional network is trained from nothing on the originals alone, and on originals and variations, for as many steps
of as many pictures, mirrored at random; both name the things in 2,000 new drawings. Prints accuracies, the gain of each
seed and its 95 % interval over the test pictures (paired bootstrap) and the mean over seeds. A stopped run goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import nnx
from PIL import Image
from rich.console import Console

from rival_jax.jobs import Plan, Worker, finalize, make_plan, run, status
from rival_jax.jobs.job import make_job
from rival_jax.jobs.rows import read_rows
from rival_jax.metrics.recogniser import Classifier, ClassifierConfig
from rival_jax.progress import shown_on
from rival_jax.training.datasets import Labelled, labelled

_TEST_SEED = 900_001


@dataclass(frozen=True)
class Options:
    """What is measured."""

    out: Path = Path("gain")
    """Folder for the datasets; what is there is not made again."""
    seeds: int = 3
    """Of originals, noise and training."""
    originals: int = 10
    """Drawings of each thing."""
    num_variations: int = 4
    """Variations of each drawing."""
    steps: int = 1500
    """Of training, with 64 pictures each."""
    test: int = 2000
    """New drawings to be named."""


def main(options: Options) -> None:
    """Makes the datasets, trains and prints."""
    test = labelled(options.test, _TEST_SEED)
    names = tuple(sorted(set(test.objects.tolist())))
    gains = []
    for seed in range(options.seeds):
        originals = _originals(options, names, seed)
        plan = _job(options, originals, seed)
        pictures, things = _variations(plan)
        print(f"seed {seed}: {len(originals.pictures)} originals, variations {dict(status(plan).pictures)}", flush=True)
        both = np.concatenate([originals.pictures, pictures]), np.concatenate([originals.objects, things])
        alone = _named(options, names, originals.pictures, originals.objects, test, seed) == test.objects
        helped = _named(options, names, *both, test, seed) == test.objects
        gains.append(helped.mean() - alone.mean())
        low, high = _interval(helped.astype(float) - alone)
        print(
            f"seed {seed}: originals {100 * alone.mean():.1f} %, with variations {100 * helped.mean():.1f} %, "
            f"gain {100 * gains[-1]:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]",
            flush=True,
        )
    spread = np.std(gains, ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
    print(f"mean gain {100 * np.mean(gains):+.1f} points, standard error over seeds {100 * spread:.1f}")


def _originals(options: Options, names: tuple[str, ...], seed: int) -> Labelled:
    """The first so many drawings of each thing."""
    drawn = labelled(options.originals * len(names) * 4, seed=700_000 + seed)
    chosen = np.concatenate([np.flatnonzero(drawn.objects == name)[: options.originals] for name in names])
    if len(chosen) < options.originals * len(names):
        raise SystemExit("Too few drawings of some thing were made; ask for fewer originals.")
    captions = tuple(drawn.captions[index] for index in chosen)
    return Labelled(drawn.pictures[chosen], captions, drawn.objects[chosen], drawn.colours[chosen])


def _job(options: Options, originals: Labelled, seed: int) -> Plan:
    """The originals in class folders, and their job, run."""
    folder = options.out / f"originals-{seed}"
    for number, (picture, thing) in enumerate(zip(originals.pictures, originals.objects, strict=True)):
        (folder / thing).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / thing / f"{number:04d}.png")
    plan = make_plan(
        make_job(
            {
                "input": {"path": str(folder)},
                "output": {"path": str(options.out / f"augmented-{seed}")},
                "caption": {"template": "a {label}"},
                "recipe": [{"preset": "balanced", "guidance_scale": [3.0, 7.0]}, {"preset": "free"}],
                "num_variations": options.num_variations,
                "filters": {"labels": True},
                "shard_size": 24,
                "seed": seed,
            }
        )
    )
    if plan.pending():
        with shown_on(Console(stderr=True)) as progress:
            run(plan, Worker.load(plan), progress=progress)
    finalize(plan)
    return plan


def _variations(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, H, W, 3) uint8 and their labels."""
    rows = [row for shard in range(plan.num_shards) for row in read_rows(plan.rows_file(shard))]
    kept = [row for row in rows if row.status == "success"]
    pictures = [np.asarray(Image.open(plan.data / str(row.file_name))) for row in kept]
    return np.stack(pictures), np.array([row.label for row in kept])


def _named(
    options: Options, names: tuple[str, ...], pictures: np.ndarray, things: np.ndarray, test: Labelled, seed: int
) -> np.ndarray:
    """What a network that was trained on these pictures calls the test's."""
    config = ClassifierConfig(pictures.shape[1], (16, 32, 64), names, ("",))
    graph, state = nnx.split(Classifier(config, rngs=nnx.Rngs(seed)))
    optimiser = optax.adamw(optax.cosine_decay_schedule(2e-3, options.steps), weight_decay=1e-2)
    rng = np.random.default_rng(seed)
    targets = np.searchsorted(names, things)

    @jax.jit
    def update(state, memory, pixels, target):
        def loss(state):
            logits = nnx.merge(graph, state)(pixels)[0]
            return optax.softmax_cross_entropy_with_integer_labels(logits, target).mean()

        changes, memory = optimiser.update(jax.grad(loss)(state), memory, state)
        return optax.apply_updates(state, changes), memory

    memory = optimiser.init(state)
    for _ in range(options.steps):
        chosen = rng.integers(0, len(pictures), 64)
        batch = _scaled(pictures[chosen])
        mirrored = rng.random((64, 1, 1, 1)) < 0.5
        state, memory = update(state, memory, np.where(mirrored, batch[:, :, ::-1], batch), targets[chosen])
    logits = jax.jit(partial(_logits, graph))
    parts = [
        np.asarray(logits(state, _scaled(test.pictures[start : start + 200])))
        for start in range(0, len(test.pictures), 200)
    ]
    return np.asarray(names)[np.concatenate(parts).argmax(-1)]


def _logits(graph, state, pixels):
    return nnx.merge(graph, state)(pixels)[0]


def _scaled(pictures: np.ndarray) -> np.ndarray:
    return pictures.astype(jnp.float32) / 127.5 - 1


def _interval(differences: np.ndarray) -> tuple[float, float]:
    """95 % of means of as many differences, drawn again 2,000 times."""
    drawn = np.random.default_rng(0).integers(0, len(differences), (2000, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
