"""Where this package keeps what it would otherwise make again: converted weights and compiled programs.

`$RIVAL_CACHE` names the folder ("off": nothing is kept); else it is `rival_jax` under `$XDG_CACHE_HOME` or `~/.cache`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

_WORTH_KEEPING = 0.1
"""Seconds that a program takes to compile."""


def cache_directory() -> Path | None:
    """The folder; None where the user wants none."""
    chosen = os.environ.get("RIVAL_CACHE")
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "rival_jax"


def keep_programs() -> None:
    """Lets JAX keep compiled programs from here on, unless it was told to keep them elsewhere, or not at all."""
    root = cache_directory()
    if root is None or getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    try:
        (root / "programs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        warnings.warn(f"Compiled programs cannot be kept in {root} ({error.strerror}).", stacklevel=2)
        return
    _keep_in(str(root / "programs"))


@contextmanager
def programs_in(folder: Path) -> Iterator[None]:
    """Programs are kept in `folder` meanwhile."""
    before = getattr(jax.config, "jax_compilation_cache_dir", None)
    _keep_in(str(folder))
    try:
        yield
    finally:
        _keep_in(before)


def _keep_in(folder: str | None) -> None:
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)
    jax.config.update("jax_compilation_cache_dir", folder)
    compilation_cache.reset_cache()  # another folder, or none, may be in use already
