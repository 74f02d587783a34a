"""What the golden files hold: on two small random checkpoints, torch's numbers for the runs below.

`scripts/make_goldens.py` writes them with torch, `test_goldens.py` repeats the runs without.
"""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "goldens"
STEPS, VARIATIONS = 5, 2
SOURCES = ["a red house", "the grass"]
PROMPTS = ["a red house", "two blue balls on the grass"]
NEGATIVE = "monochrome"
SEEDS = [3, 2**32 - 1]

RUNS = {
    "variation": ("sd1_like", "target", {}),
    "editing": (
        "sd1_like",
        "current",
        {"initial": "inverted", "reference": "paired", "attention_start": 700, "t_align": 300, "guidance_scale": 5.0},
    ),
    "v_prediction": ("sd2_like", "target", {"align": "latent", "initial": "gaussian"}),
}
"""Name -> checkpoint, timestep convention, options of `vary`."""


def photos() -> np.ndarray:
    """Two smooth pictures with different colours, uint8 (2, 32, 32, 3)."""
    y, x = np.mgrid[0:32, 0:32]
    waves = [[np.sin((a * x + b * y) / 9 + c) for c in range(3)] for a, b in ((1, 2), (-2, 1))]
    return np.moveaxis(np.round(127.5 + 100 * np.asarray(waves)), 1, -1).astype(np.uint8)
