"""Ours against torch: one checkpoint, the same photos and permutations, outputs compared first, then turn by turn."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.alignment import initial_latents
from rival_jax.bench.stages import PROMPT, Timing, Workload, once
from rival_jax.errors import InputError
from rival_jax.pipeline import RivalPipeline
from rival_jax.steps import Progress

VARIANTS = {
    "authors": "the authors' scheme, one variation at a time",
    "eager": "our algorithm, eager",
    "compiled": "our algorithm, torch.compile (on GPUs)",
}
_PEER = Path(__file__).with_name("peer.py")
"""A program of its own: it imports torch, which need not be here."""
_BOUND = 1e-3
"""Relative difference of final latents in float32, above which it is not the same work."""
_FEW = 4
"""Steps, and variations, of that comparison."""


@dataclass(frozen=True)
class Rival:
    """One of torch's variants: its turns, ours between them, and how far apart the latents were."""

    theirs: Timing
    ours: Timing
    difference: float


class Disagreement(Exception):
    """The two sides do not compute the same."""


def check_torch() -> None:
    """Raises InputError where torch or diffusers is not installed, or would not run on the same device."""
    missing = [name for name in ("torch", "diffusers") if find_spec(name) is None]
    if missing:
        raise InputError(f"--against torch needs {' and '.join(missing)}; pip install 'rival-jax[parity]' has both.")
    if jax.default_backend() == "tpu":
        raise InputError("--against torch compares on CPUs and GPUs; this device is a TPU.")
    if jax.default_backend() == "gpu" and jax.local_device_count() > 1:
        raise InputError("--against torch compares on one GPU, here are more; CUDA_VISIBLE_DEVICES=0 leaves one.")


def against_torch(pipe: RivalPipeline, work: Workload, repeats: int, progress: Progress) -> dict[str, Rival]:
    """Each variant's times beside ours. Raises Disagreement where the two sides do not compute the same."""
    pixels = work.photos()
    compare(pipe, work)
    results = {}
    variants = [name for name in VARIANTS if name != "compiled" or jax.default_backend() == "gpu"]
    with TemporaryDirectory() as folder, _Process(pipe, Path(folder), inputs_of(pipe, work)) as torch:
        for number, variant in enumerate(variants):
            difference = difference_of(pipe, work, torch, variant)
            torch.seconds(variant)
            pipe.vary(pixels, PROMPT, **work.arguments)  # both have now run twice and compiled what they compile
            turns = []
            for turn in range(repeats):
                ours = once(lambda: pipe.vary(pixels, PROMPT, **work.arguments).latents)
                turns.append((torch.seconds(variant), ours))
                progress(f"torch {variant}", turn + 1, repeats)
            theirs, ours = zip(*turns, strict=True)
            results[variant] = Rival(Timing(theirs, 0), Timing(ours, 0), difference)
            progress("against torch", number + 1, len(variants))
    return results


def compare(pipe: RivalPipeline, work: Workload) -> None:
    """A few steps in float32 on both sides. Raises Disagreement where their latents differ."""
    exact = pipe if pipe.dtype == "float32" else RivalPipeline.from_pretrained(pipe.directory, "float32")
    steps, variations = min(work.num_inference_steps, _FEW), min(work.num_variations, _FEW)
    few = replace(work, num_inference_steps=steps, num_variations=variations)
    with TemporaryDirectory() as folder, _Process(exact, Path(folder), inputs_of(exact, few)) as torch:
        for variant in ("authors", "eager"):
            difference = difference_of(exact, few, torch, variant)
            if not difference <= _BOUND:
                raise Disagreement(f"In float32 the latents of torch ({variant}) and ours differ by {difference:.2g}.")


def difference_of(pipe: RivalPipeline, work: Workload, torch: _Process, variant: str) -> float:
    """Relative difference of the final latents of both sides."""
    arguments: dict[str, Any] = work.arguments | {"reference": "paired" if variant == "authors" else "shared"}
    found = np.asarray(pipe.vary(work.photos(), PROMPT, **arguments).latents)
    expected = torch.outputs(variant)["latents"]
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def inputs_of(pipe: RivalPipeline, work: Workload) -> dict[str, Any]:
    """What both sides are given; the permutations are ours for seed 0."""
    e, (h, w, _) = work.exemplars, pipe.latent_shape(work.height, work.width)
    positions = jnp.broadcast_to(jnp.arange(h * w, dtype=jnp.float32).reshape(h, w, 1), (e, h, w, 1))
    seeds = np.zeros(e, np.uint32)
    shuffled = initial_latents(positions, seeds, initial="shuffle", num_variations=work.num_variations)
    return {
        "pixels": work.photos(),
        "prompt": pipe.tokenizer((PROMPT,) * e),
        "empty": pipe.tokenizer(("",) * e),
        "permutations": np.asarray(shuffled).reshape(e, work.num_variations, h * w).astype(np.int64),
        **{name: work.arguments[name] for name in ("num_inference_steps", "guidance_scale", "t_align", "t_early")},
    }


class _Process:
    """The peer, with a memory of its own; it is told what to run by one JSON line and answers by another."""

    def __init__(self, pipe: RivalPipeline, folder: Path, inputs: dict[str, Any]):
        self.inputs, self.out = folder / "inputs.npz", folder / "out.npz"
        np.savez(self.inputs, **inputs)
        device = "cuda" if jax.default_backend() == "gpu" else "cpu"
        command = [sys.executable, str(_PEER), str(pipe.directory), device, pipe.dtype]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> _Process:
        self._read()
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.communicate()

    def outputs(self, variant: str) -> dict[str, np.ndarray]:
        """One run's latents (e, n, h, w, c) and pixels."""
        self._ask(variant, str(self.out))
        return dict(np.load(self.out))

    def seconds(self, variant: str) -> float:
        """One run's time."""
        return self._ask(variant, "")["seconds"]

    def _ask(self, variant: str, out: str) -> dict[str, Any]:
        line = json.dumps({"variant": variant, "inputs": str(self.inputs), "out": out})
        print(line, file=self.process.stdin, flush=True)
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise Disagreement("The torch process has died; what it said is above.")
        return json.loads(line)
