"""The rows of one UNet call, for each exemplar, with N variations of it:

    reference rows R     all rows                              rows before the first cross-attention
    0                    [pos x N | neg x N]                   [N]         nothing of the chain runs along
    1 ("shared")         [ref | pos x N | neg x N]             [ref | N]   one group: all read the one reference
    2 ("paired")         [ref | pos x N] [empty ref | neg x N] [ref | N]   two groups: each half reads its own
    2, which are ends    [start | end | pos x N | neg x N]     [start | end | N]   one group; only pos reads them

Rows that differ in their prompt alone are the same before the UNet reads prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Layout:
    """Where reference and generated rows lie.

    ends: whether the two references are of different latents, between which the generated rows lie.
    """

    references: int
    num_variations: int
    ends: bool = False

    @property
    def group(self) -> int:
        """Rows of a group."""
        return 1 + 2 * self.num_variations // self.references

    def latents(self, references_er: jax.Array | None, generated_en: jax.Array) -> jax.Array:
        """The rows before the first cross-attention: of latents of references (e, 1 or 2, ...) and generated ones
        (e, n, ...)."""
        parts = [generated_en] if self.references == 0 or references_er is None else [references_er, generated_en]
        return _flat(jnp.concatenate(parts, axis=1))

    def spread(self, rows: jax.Array) -> jax.Array:
        """All rows, of those before the first cross-attention."""
        referred = self.references if self.ends else min(self.references, 1)
        rows = rows.reshape(-1, referred + self.num_variations, *rows.shape[1:])
        return self.join(
            jnp.repeat(rows[:, :referred], self.references // max(referred, 1), axis=1),
            jnp.stack([rows[:, referred:]] * 2, axis=1),
        )

    def join(self, references: jax.Array, halves: jax.Array) -> jax.Array:
        """References (e, R, ...) and the generated rows' two halves (e, 2, n, ...) as rows (b, ...)."""
        e, _, n, *rest = halves.shape
        if self._is_paired:
            return jnp.concatenate([references[:, :, None], halves], axis=2).reshape(-1, *rest)
        return _flat(jnp.concatenate([references, halves.reshape(e, 2 * n, *rest)], axis=1))

    def generated(self, rows: jax.Array) -> jax.Array:
        """All rows, of the generated ones' (e * 2 n, ...); references have zeros."""
        halves = rows.reshape(-1, 2, self.num_variations, *rows.shape[1:])
        return self.join(jnp.zeros((halves.shape[0], self.references, *rows.shape[1:]), rows.dtype), halves)

    def referred(self, rows: jax.Array) -> jax.Array:
        """Of all rows each group's reference in place of its generated ones."""
        grouped = rows.reshape(-1, self.group, *rows.shape[1:])
        return _flat(jnp.broadcast_to(grouped[:, :1], grouped.shape))

    def split(self, rows: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The reverse of `join`: references (e, 0 ... 2, ...), positive and negative (e, n, ...).

        Of paired references the one of the source prompt.
        """
        n, rest = self.num_variations, rows.shape[1:]
        if self._is_paired:
            rows = rows.reshape(-1, 2, 1 + n, *rest)
            return rows[:, 0, :1], rows[:, 0, 1:], rows[:, 1, 1:]
        rows = rows.reshape(-1, self.references + 2 * n, *rest)
        generated = rows[:, self.references :]
        return rows[:, : self.references], generated[:, :n], generated[:, n:]

    def texts(self, told: jax.Array, own: jax.Array | None = None) -> jax.Array:
        """What belongs to prompts as rows: (e, 4, ...) of the references, the target and the negative prompt.

        own: (e, n, ...), of each variation in place of the target.
        """
        n, (positive, negative) = self.num_variations, (told[:, 2:3], told[:, 3:])
        halves = [positive if own is None else own, negative]
        each = [jnp.broadcast_to(half, (len(half), n, *half.shape[2:])) for half in halves]
        return self.join(told[:, : self.references], jnp.stack(each, axis=1))

    @property
    def _is_paired(self) -> bool:
        return self.references == 2 and not self.ends


def _flat(x_er: jax.Array) -> jax.Array:
    return x_er.reshape(-1, *x_er.shape[2:])
