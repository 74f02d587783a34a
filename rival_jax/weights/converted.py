"""A converted copy of a large network's weights, kept by Orbax where the files hold another dtype than is wanted.

Restoring it takes about two thirds of the processor time that casting and transposing take, and reads half the bytes
where float32 becomes 16 bits. Weights already in their dtype are read from the checkpoint as fast (measured on SD 1.5).

Copies lie in `cache.cache_directory()`. A copy is named after its source's folder, dtype, files and shapes; one that no
longer fits its source is never read, and goes when the next is written.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import orbax.checkpoint as ocp
from flax import nnx

from rival_jax.cache import cache_directory
from rival_jax.devices import everywhere
from rival_jax.weights.load import Plan, read
from rival_jax.weights.rules import leaf_paths

_FORMAT = 1
_SMALL = 100_000_000
"""Bytes below which a network is not worth a copy."""

_log = logging.getLogger(__name__)


def load_state(plan: Plan) -> nnx.State:
    """A network's weights on every device: from the converted copy, or from the checkpoint, leaving a copy behind.

    A broken copy is replaced; a cache that cannot be written costs one warning.
    """
    root = cache_directory()
    if root is None or plan.nbytes < _SMALL or not plan.is_cast:
        return read(plan)
    copy = root / _name(plan)
    if copy.is_dir():
        try:
            return _restore(copy, plan)
        except Exception as error:  # noqa: BLE001 (whatever is wrong with the copy, the checkpoint is at hand)
            _log.warning("The converted copy %s is broken (%s) and is written anew.", copy, type(error).__name__)
            shutil.rmtree(copy, ignore_errors=True)
    state = read(plan)
    try:
        _save(copy, state)
    except Exception as error:  # noqa: BLE001 (the weights are loaded, only the next start is slower)
        _log.warning("No converted copy was kept in %s: %s.", root, error)
    return state


def _name(plan: Plan) -> str:
    """`<part>-<where it is from and its dtypes>-<what it was made of>`."""
    leaves = plan.leaves
    dtypes = sorted({str(leaf.dtype) for leaf in leaves.values()})
    files = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in plan.files]
    shapes = [(path, leaf.shape, str(leaf.dtype)) for path, leaf in leaves.items()]
    origin, content = (
        hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
        for parts in ((str(plan.folder.resolve()), dtypes), (_FORMAT, files, shapes))
    )
    return f"{plan.folder.name}-{origin}-{content}"


def _checkpointer() -> ocp.Checkpointer:
    """Weights hardly compress, and decompressing them costs more time than reading them."""
    return ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_compression=False))


def _restore(copy: Path, plan: Plan) -> nnx.State:
    devices = everywhere()
    leaves = plan.leaves.items()
    target = {path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=devices) for path, leaf in leaves}
    restore_args = ocp.checkpoint_utils.construct_restore_args(target)
    return plan.fill(_checkpointer().restore(copy, args=ocp.args.PyTreeRestore(target, restore_args=restore_args)))


def _save(copy: Path, state: nnx.State) -> None:
    """Writes a copy beside its place and moves it there whole; then removes what else was made from the same origin."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    same_origin = copy.name.rpartition("-")[0] + "-"
    with TemporaryDirectory(dir=copy.parent, prefix=".unfinished-") as scratch:
        written = Path(scratch) / "copy"
        _checkpointer().save(written, args=ocp.args.PyTreeSave(leaf_paths(state)))
        written.rename(copy)
    for other in copy.parent.glob(same_origin + "*"):
        if other != copy:
            shutil.rmtree(other, ignore_errors=True)
