"""Strict numerics, runtime type checks and two devices for every test."""

import os
import sys

import jax
import pytest
from jaxtyping import install_import_hook

assert "rival_jax.pipeline" not in sys.modules, "rival_jax was imported before its type checks were switched on"
CHECKED = ("alignment", "attend", "inversion", "models", "sampling", "schedule", "text")
"""The front (pipeline, command, photos) checks its own arguments, with sentences for users."""

install_import_hook([f"rival_jax.{name}" for name in CHECKED], "beartype.beartype")

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)
os.environ["RIVAL_CACHE"] = "off"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """Nothing a test writes by default lands in the checkout."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A tiny random checkpoint in the diffusers layout: pictures 16 x 16, latents 8 x 8 x 4; not to be written to."""
    from checkpoint import Model

    return Model(tmp_path_factory.mktemp("model")).directory


@pytest.fixture(scope="session")
def pipe(checkpoint):
    """The pipeline of `checkpoint`, one for all tests, so that each of its programs compiles once."""
    from rival_jax import RivalPipeline

    return RivalPipeline.from_pretrained(checkpoint, "float32")
