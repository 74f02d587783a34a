"""The rows of one UNet call, for each exemplar, with N variations of it:

    reference rows R     all rows                              rows before the first cross-attention
    0                    [pos x N | neg x N]                   [N]         nothing of the chain runs along
    1 ("shared")         [ref | pos x N | neg x N]             [ref | N]   one group: all read the one reference
    2 ("paired")         [ref | pos x N] [empty ref | neg x N] [ref | N]   two groups: each half reads its own

Rows that differ in their prompt alone are the same before the UNet reads prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Layout:
    """Where reference and generated rows lie."""

    references: int
    num_variations: int

    @property
    def group(self) -> int:
        """Rows of a group."""
        return 1 + 2 * self.num_variations // self.references

    def latents(self, reference_e: jax.Array | None, generated_en: jax.Array) -> jax.Array:
        """The rows before the first cross-attention: of references (e, ...) and generated latents (e, n, ...)."""
        parts = [generated_en] if self.references == 0 or reference_e is None else [reference_e[:, None], generated_en]
        return _flat(jnp.concatenate(parts, axis=1))

    def spread(self, rows: jax.Array) -> jax.Array:
        """All rows, of those before the first cross-attention."""
        referred = min(self.references, 1)
        rows = rows.reshape(-1, referred + self.num_variations, *rows.shape[1:])
        return self.join(
            jnp.repeat(rows[:, :referred], self.references, axis=1) if self.references else rows[:, :0],
            jnp.stack([rows[:, referred:]] * 2, axis=1),
        )

    def join(self, references: jax.Array, halves: jax.Array) -> jax.Array:
        """References (e, R, ...) and the generated rows' two halves (e, 2, n, ...) as rows (b, ...)."""
        e, _, n, *rest = halves.shape
        if self.references == 2:
            return jnp.concatenate([references[:, :, None], halves], axis=2).reshape(-1, *rest)
        return _flat(jnp.concatenate([references, halves.reshape(e, 2 * n, *rest)], axis=1))

    def generated(self, rows: jax.Array) -> jax.Array:
        """All rows, of the generated ones' (e * 2 n, ...); references have zeros."""
        halves = rows.reshape(-1, 2, self.num_variations, *rows.shape[1:])
        return self.join(jnp.zeros((halves.shape[0], self.references, *rows.shape[1:]), rows.dtype), halves)

    def split(self, rows: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The reverse of `join`: reference of the source prompt (e, 0 or 1, ...), positive and negative (e, n, ...)."""
        n, rest = self.num_variations, rows.shape[1:]
        if self.references == 2:
            rows = rows.reshape(-1, 2, 1 + n, *rest)
            return rows[:, 0, :1], rows[:, 0, 1:], rows[:, 1, 1:]
        rows = rows.reshape(-1, self.references + 2 * n, *rest)
        generated = rows[:, self.references :]
        return rows[:, : self.references], generated[:, :n], generated[:, n:]

    def texts(self, own: jax.Array, halves: jax.Array) -> jax.Array:
        """What belongs to prompts as rows: of the references' (e, 2, ...) and of the two halves' (e, 2, ...)."""
        each = jnp.repeat(halves[:, :, None], self.num_variations, axis=2)
        return self.join(own[:, : self.references], each)


def _flat(x_er: jax.Array) -> jax.Array:
    return x_er.reshape(-1, *x_er.shape[2:])
