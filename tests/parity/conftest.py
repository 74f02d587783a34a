"""Parity with torch and diffusers, which come with the extra `[parity]`; without them this folder is skipped."""

import os
from pathlib import Path

import pytest

# A failure has to be found in the log: what diffusers and transformers say of themselves is left out of it.
for name, value in {"DIFFUSERS_VERBOSITY": "error", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}.items():
    os.environ.setdefault(name, value)


def pytest_pycollect_makemodule() -> None:
    """Skips the folder's test files; unlike a skip of this file, it also holds where pytest is given the folder."""
    for package in ("torch", "diffusers"):
        pytest.importorskip(package, reason=f"the parity tests need {package}: pip install -e '.[parity]'")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items) -> None:
    """Marks this folder's tests, so that plain `pytest` leaves them out."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.parity)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """For networks as small as these twenty times faster on a busy machine."""
    import torch

    torch.set_num_threads(1)
