"""Write the golden files of the tests: two small random checkpoints and torch's numbers for runs on them.

Usage: python scripts/make_goldens.py   (needs the extra `parity`; the files are committed)
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from goldens import FOLDER, NEGATIVE, PROMPTS, RUNS, SEEDS, SOURCES, STEPS, VARIATIONS, photos  # noqa: E402

from tests.parity.checkpoints import write_checkpoint  # noqa: E402
from tests.parity.oracle import Oracle  # noqa: E402


def main() -> None:
    """Writes everything under tests/goldens anew."""
    torch.set_num_threads(1)
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    oracles, numbers = {}, {}  # of the seeds tried, one whose networks magnify rounding least
    for name, (kind, convention, options) in RUNS.items():
        if kind not in oracles:
            oracles[kind] = Oracle.load(write_checkpoint(kind, FOLDER / kind, seed=4, small=True))
        oracle = oracles[kind]
        chain = oracle.invert(photos(), SOURCES, STEPS, convention)
        latents = oracle.vary(chain, SOURCES, PROMPTS, NEGATIVE, SEEDS, VARIATIONS, **options)
        numbers |= {f"{name}/chain": chain, f"{name}/latents": latents, f"{name}/images": oracle.pictures(latents)}
    np.savez_compressed(FOLDER / "numbers.npz", allow_pickle=False, **numbers)
    size = sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file())
    print(f"{FOLDER}: {len(numbers)} arrays, {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
