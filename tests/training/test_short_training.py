"""The whole training, every phase a few steps: what it writes is a model, a judge and a recogniser that load."""

import os
import subprocess
import sys

import numpy as np
import pytest

from rival_jax import RivalPipeline
from rival_jax.metrics.judge import Judge
from rival_jax.metrics.recogniser import Recogniser

PHASES = ("clip", "vae", "unet", "judge", "recogniser")


@pytest.mark.training
def test_a_short_training(tmp_path):
    """In the documented command; a second run finds all done; another recipe is refused in one sentence."""
    steps = [f"--recipe.{phase}.steps=2" for phase in PHASES]
    sizes = [f"--recipe.{name}=300" for name in ("pictures", "textures", "drawings")]
    command = [sys.executable, "-m", "rival_jax.training", f"--work={tmp_path / 'work'}", f"--out={tmp_path / 'out'}"]

    def run(*flags):
        environment = os.environ | {"XLA_FLAGS": ""}  # the tests' own make fast what compiles, and slow what trains
        return subprocess.run([*command, *sizes, *flags], capture_output=True, text=True, timeout=1500, env=environment)

    first = run(*steps)
    assert first.returncode == 0, first.stderr
    assert [line.split()[0] for line in first.stderr.splitlines()] == list(PHASES)
    weights = {file: file.read_bytes() for file in sorted((tmp_path / "out").rglob("*.safetensors"))}
    assert len(weights) == len(PHASES)

    pipe = RivalPipeline.from_pretrained(tmp_path / "out" / "tiny", "float32")
    picture = np.zeros((1, pipe.size, pipe.size, 3), np.uint8)
    assert pipe.vary(pipe.invert(picture, "a red house", 2), "a red house").images.shape[-3:] == picture.shape[1:]
    judge, recogniser = (
        kind.from_pretrained(tmp_path / "out" / name) for kind, name in ((Judge, "judge"), (Recogniser, "recogniser"))
    )
    assert judge.embed_images(picture).shape == (1, 128) and recogniser(picture)[0].shape == (1,)

    assert run(*steps).returncode == 0
    assert all(file.read_bytes() == data for file, data in weights.items())
    other = run(*steps[1:])
    assert other.returncode != 0 and "another recipe" in other.stderr and "Traceback" not in other.stderr
