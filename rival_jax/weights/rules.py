"""The conversion engine: a key table takes a checkpoint's tensor names and layouts to the networks' leaves, and back.

    stored key --aliases--> today's key --the one matching rule--> leaf path, layout

Paths are dotted (`down_blocks.0.resnets.1.conv1.kernel`). Tables are data and live in `sd_keys`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from rival_jax.errors import InputError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """How a stored tensor becomes a leaf: its axes in this order, then the first `drop` axes, of length 1, left out.

    `axes=None` keeps a tensor of any rank as it is.
    """

    axes: tuple[int, ...] | None = None
    drop: int = 0

    def fits(self, shape: Shape) -> bool:
        """Whether a stored tensor of this shape can be in this layout."""
        if self.axes is None:
            return True
        return len(shape) == len(self.axes) and all(shape[axis] == 1 for axis in self.axes[: self.drop])

    def shape(self, stored: Shape) -> Shape:
        """The leaf's shape for a stored tensor's."""
        return stored if self.axes is None else tuple(stored[axis] for axis in self.axes[self.drop :])

    def leaf(self, stored: np.ndarray) -> np.ndarray:
        """The leaf as a strided view of the stored tensor, so that the device copy is the only one."""
        if self.axes is None:
            return stored
        return stored.transpose(self.axes).reshape(self.shape(stored.shape))

    def stored(self, leaf: np.ndarray) -> np.ndarray:
        """The inverse of `leaf`, contiguous."""
        return np.ascontiguousarray(leaf if self.axes is None else leaf.transpose(np.argsort(self.axes)))

    @property
    def is_canonical(self) -> bool:
        """Whether checkpoints are written in this layout; those that drop axes are read only."""
        return not self.drop


@dataclass(frozen=True)
class Rule:
    """`<modules>.<stored>` in a checkpoint is the leaf `<modules>.<leaf>`; `leaf=None` marks a tensor nobody needs.

    `modules` is a regular expression for the last components of the module's path.
    """

    modules: str
    stored: str
    leaf: str | None
    layout: Layout = Layout()

    def match(self, name: str, path: str) -> str | None:
        """The module's path where `path` is `<modules>.<name>`."""
        found = re.fullmatch(rf"((?:.+\.)?(?:{self.modules}))\.{name}", path)
        return found and found[1]


@dataclass(frozen=True)
class Table:
    """The rules of one architecture, and the other spellings under which its keys have been published.

    Each alias, a regular expression and its replacement, is applied in order before the rules; `prefix` is put before
    every key on export.
    """

    rules: tuple[Rule, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    prefix: str = ""


def dotted(path: tuple[str | int, ...]) -> str:
    """A leaf's path as one string."""
    return ".".join(map(str, path))


def leaf_paths(state: nnx.State) -> dict[str, Any]:
    """Every leaf of a module's state under its dotted path."""
    return {dotted(path): leaf for path, leaf in flatten_dict(nnx.to_pure_dict(state)).items()}


def with_leaves(state: nnx.State, leaves: Mapping[str, Any]) -> nnx.State:
    """A module's state with other values for the leaves under these dotted paths."""
    values = {path: leaves.get(dotted(path), leaf) for path, leaf in flatten_dict(nnx.to_pure_dict(state)).items()}
    changed = jax.tree.map(lambda leaf: leaf, state)
    nnx.replace_by_pure_dict(changed, unflatten_dict(values))
    return changed


def assign(
    table: Table,
    stored: Mapping[str, Shape],
    leaves: Mapping[str, Shape],
    owner: str,
    network: str = "the network its config.json describes",
) -> dict[str, tuple[str, Layout]]:
    """Finds for every leaf its stored key and layout.

    `stored` maps a checkpoint's keys to shapes, `leaves` a network's dotted paths to shapes; `owner` and `network` are
    what they are called. Raises one InputError that lists every key without a place, every leaf left without a value or
    with two, and every shape that differs.
    """
    sources: dict[str, tuple[str, Layout]] = {}
    unmapped, doubled, misshapen = [], [], []
    for key, shape in stored.items():
        path, layout = _translate(table, key, shape)
        if path is None:
            continue
        if path not in leaves:
            unmapped.append(key)
        elif path in sources:
            doubled.append(f"{path} ({sources[path][0]} and {key})")
        else:
            sources[path] = key, layout
            found = layout.shape(shape)
            if found != leaves[path]:
                misshapen.append(f"{key} (gives {list(found)}, needed {list(leaves[path])})")
    problems = (
        ("tensors that the network has no place for", unmapped),
        ("parameters that no tensor fills", [path for path in leaves if path not in sources]),
        ("parameters that two tensors fill", doubled),
        ("tensors of another shape", misshapen),
    )
    if any(names for _, names in problems):
        lists = "; ".join(f"{len(names)} {what}: {', '.join(names)}" for what, names in problems if names)
        raise InputError(f"The weights of {owner} do not fit {network}: {lists}.")
    return sources


def _translate(table: Table, key: str, shape: Shape) -> tuple[str | None, Layout]:
    """The leaf's path and layout for a key; path None where nobody needs it, "" where no rule knows it.

    Two matching rules are a bug in the table.
    """
    name = key
    for pattern, replacement in table.aliases:
        name = re.sub(pattern, replacement, name)
    found = [
        (rule.leaf and f"{module}.{rule.leaf}", rule.layout)
        for rule in table.rules
        if rule.layout.fits(shape) and (module := rule.match(rule.stored, name))
    ]
    assert len(found) <= 1, f"{key} matches {len(found)} rules"
    return found[0] if found else ("", Layout())


def export(table: Table, state: nnx.State) -> dict[str, np.ndarray]:
    """A module's state under the checkpoint's names and in its layouts, ready for `safetensors.numpy.save_file`."""
    exported = {}
    for path, leaf in leaf_paths(state).items():
        array = np.asarray(leaf)
        [(rule, module)] = [
            (rule, module)
            for rule in table.rules
            if rule.leaf and rule.layout.is_canonical and rule.layout.fits(array.shape)
            if (module := rule.match(rule.leaf, path))
        ]
        exported[f"{table.prefix}{module}.{rule.stored}"] = rule.layout.stored(array)
    return exported
