"""Where generation starts and how its statistics are held to the chain's."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.options import Initial
from rival_jax.shapes import ExemplarLatents, Guidance, Hole, Seeds, VariationLatents


def adain(x_enyxc: jax.Array, references_eryxc: jax.Array, between_en: Guidance | None = None) -> jax.Array:
    """Moves x to the mean and deviation of its reference, per channel over the positions, in float32.

    between_en: where x lies between two references; their statistics are mixed so.

    Source: RIVAL Eq. 7 and 8; the deviation is sqrt(unbiased variance + 1e-5).
    """
    mean, deviation = _statistics(x_enyxc)
    wanted = _statistics(references_eryxc)
    if between_en is not None:
        t = between_en[:, :, None, None, None]
        wanted = [(1 - t) * both[:, :1] + t * both[:, 1:] for both in wanted]
    wanted_mean, wanted_deviation = wanted
    return (x_enyxc.astype(jnp.float32) - mean) / deviation * wanted_deviation + wanted_mean


def _statistics(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    x = x.astype(jnp.float32)
    variance = x.var(axis=(-3, -2), ddof=1, keepdims=True)
    return x.mean(axis=(-3, -2), keepdims=True), jnp.sqrt(variance + 1e-5)


def first_latents(
    noisy_eyxc: ExemplarLatents,
    initial: Initial | np.ndarray | jax.Array,
    seeds_e: Seeds | np.ndarray,
    hole_eyx1: Hole | None,
    num_variations: int,
) -> VariationLatents:
    """`initial_latents`, or those that are given (e, n, y, x, c); where there is a hole, they are used inside."""
    if isinstance(initial, str):
        return initial_latents(noisy_eyxc, seeds_e, hole_eyx1, initial=initial, num_variations=num_variations)
    given = jnp.asarray(initial)
    return given if hole_eyx1 is None else jnp.where(hole_eyx1[:, None], given, noisy_eyxc[:, None])


@partial(jax.jit, static_argnames=("initial", "num_variations"))
def initial_latents(
    noisy_eyxc: ExemplarLatents, seeds_e: Seeds, hole_eyx1: Hole | None = None, *, initial: Initial, num_variations: int
) -> VariationLatents:
    """The latents (e, n, y, x, c) that generation starts from, made of the chain's last ones (e, y, x, c).

    Where there is a hole, what is outside of it stays as it is, and positions are permuted inside alone.

    The noise of a variation follows from its exemplar's seed and its own index alone.

    Source: RIVAL Eq. 6. "shuffle": one random permutation of the positions for all channels; "gaussian": normal with
    the mean and the full covariance over the positions; "inverted": the chain's own; "random": standard normal.
    """

    def one(noisy_yxc, seed, hole_yx1, index):
        made = drawn(noisy_yxc, seed, hole_yx1, index)
        return made if hole_yx1 is None else jnp.where(hole_yx1, made, noisy_yxc)

    def drawn(noisy_yxc, seed, hole_yx1, index):
        key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), index)
        positions = noisy_yxc.reshape(-1, noisy_yxc.shape[-1])
        if initial == "shuffle":
            order = jax.random.permutation(key, len(positions))
            return positions[order if hole_yx1 is None else _inside(hole_yx1.ravel(), order)].reshape(noisy_yxc.shape)
        if initial == "inverted":
            return noisy_yxc
        noise = jax.random.normal(key, positions.shape)
        if initial == "gaussian":
            with jax.default_matmul_precision("highest"):
                values, vectors = jnp.linalg.eigh(jnp.cov(positions, rowvar=False))
                root = (vectors * jnp.sqrt(jnp.maximum(values, 0.0))[None]) @ vectors.T
                noise = noise @ root + positions.mean(axis=0, keepdims=True)
        return noise.reshape(noisy_yxc.shape)

    variations = jax.vmap(one, in_axes=(None, None, None, 0))
    return jax.vmap(variations, in_axes=(0, 0, 0, None))(noisy_eyxc, seeds_e, hole_eyx1, jnp.arange(num_variations))


def _inside(hole_s: jax.Array, order_s: jax.Array) -> jax.Array:
    """A permutation (s,) that moves positions of the hole alone, in the order in which `order_s` has them."""
    places = jnp.argsort(~hole_s)  # those of the hole first; the sort is stable
    chosen = order_s[jnp.argsort(~hole_s[order_s])]
    return jnp.zeros_like(order_s).at[places].set(chosen)
