"""Strict numerics, runtime type checks and two devices for every test."""

import os
import shutil
import sys
from importlib.metadata import version

import jax
import numpy as np
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


def pytest_configure(config):
    """flax annotates with an older spelling than beartype likes; and programs are compiled in a hurry.

    Compiling takes most of the tests' time, running what is compiled little, but for slow tests. XLA since 0.11 lacks
    the second option, and ends at its sight.
    """
    config.addinivalue_line("filterwarnings", "ignore::beartype.roar.BeartypeDecorHintPep585DeprecationWarning")
    if "not slow" in config.option.markexpr:
        flags = ["--xla_backend_optimization_level=0"]
        if version("jaxlib").startswith(("0.7.", "0.8.", "0.9.", "0.10.")):
            flags.append("--xla_cpu_use_fusion_emitters=false")
        os.environ["XLA_FLAGS"] = " ".join([*flags, os.environ.get("XLA_FLAGS", "")])


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


@pytest.fixture(scope="session")
def photos():
    """Two pictures of the tiny checkpoint's size, uint8 (2, 16, 16, 3)."""
    return np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)


@pytest.fixture(scope="session")
def chain(pipe, photos):
    """The pictures' chain of 4 steps: timesteps 1, 251, 501, 751, of which only the last is above the boundaries."""
    return pipe.invert(photos, ["a red house", "a blue car"], num_inference_steps=4)


@pytest.fixture(scope="module")
def chromium():
    """A browser without a window."""
    api = pytest.importorskip("playwright.sync_api", reason="needs pip install playwright")
    if (program := shutil.which("chromium")) is None:
        pytest.skip("needs a chromium: apt-get install chromium")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def compilations():
    """A function that says how many programs XLA has compiled so far."""
    seen = []

    def listen(event, *_, **__):
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    return lambda: len(seen)
