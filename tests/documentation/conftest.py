"""The quick run takes fewer steps than users do by default; with the slow tests, pages run exactly as they stand."""

import sys

from rival_jax import options

STEPS = 6
"""Every kind of step is among them."""


def pytest_configure(config):
    """Before anything has read the default; that is why these tests are named by their folder."""
    if "not slow" in config.option.markexpr and "rival_jax.arguments" not in sys.modules:
        options.NUM_INFERENCE_STEPS = STEPS
