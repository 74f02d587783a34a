"""Null-text inversion: what to tell the unconditional branch, so that guidance draws the exemplar itself."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import Mesh

from rival_jax.attend import Plain
from rival_jax.conditioning import Conditioning
from rival_jax.devices import BY_EXEMPLAR, CHAIN, SAME, mesh_for, over, place
from rival_jax.models.network import Network
from rival_jax.options import Backend
from rival_jax.reading import READ, Read, read
from rival_jax.schedule import Schedule, mix, split
from rival_jax.shapes import ChainLatents
from rival_jax.steps import Progress, chunks

_RATE, _DECAY = 1e-2, 100.0
"""Adam's learning rate is _RATE (1 - i / _DECAY) in outer step i of T, the noisiest 0."""
_CLOSE, _CLOSER = 1e-5, 2e-5
"""An exemplar's embedding is left alone when its loss is below _CLOSE + _CLOSER i."""


def optimise(
    unet: Network,
    schedule: Schedule,
    chain_teyxc: ChainLatents,
    source: Conditioning,
    empty: Conditioning,
    guidance_e: np.ndarray,
    *,
    num_inner_steps: int,
    backend: Backend | None = None,
    progress: Progress,
    once: bool = False,
) -> jax.Array:
    """Tokens (T, e, m, d) that stand in for the empty prompt's, index t - 1 for the step from t.

    Args:
        source, empty: of the source prompt and the empty prompt (e, ...); the latter is where optimisation begins.
        guidance_e: guidance scales at which the chain shall be followed.
        num_inner_steps: steps of Adam at each of the chain's; fewer where an exemplar is close enough before.

    Source: Mokady et al., Null-text Inversion (https://arxiv.org/abs/2211.09794), algorithm 1; RIVAL Appendix D.
    Differs: several exemplars at once, each of which stops by itself.
    """
    steps, exemplars = len(chain_teyxc) - 1, chain_teyxc.shape[1]
    mesh = mesh_for(exemplars)
    chain, told, guidance = (
        place(mesh, *placed)
        for placed in (
            (jnp.asarray(chain_teyxc), CHAIN),
            (Conditioning.stacked([source, empty]), BY_EXEMPLAR),
            (jnp.asarray(guidance_e, jnp.float32), BY_EXEMPLAR),
        )
    )
    known = read(unet, told, schedule.timesteps(steps), mesh=mesh)
    repeats, length = chunks(steps)
    static = {"length": length, "prediction_type": schedule.prediction_type, "backend": backend, "mesh": mesh}
    constants = chain, known, schedule.levels(steps), guidance, np.int32(num_inner_steps)
    state, parts, left = (chain[-1], told.tokens[:, 1]), [], steps
    progress("null-text", 0, steps)
    for repeat in range(repeats):
        if repeat == 0 or not once:
            state, made = jax.block_until_ready(_descend(unet, state, np.int32(left), *constants, **static))
        parts.append(made)  # pyright: ignore[reportPossiblyUnboundVariable] (the first makes it)
        left -= length
        progress("null-text", steps - left, steps)
    return jnp.concatenate(parts)[::-1, :exemplars]


@partial(jax.jit, static_argnames=("length", "prediction_type", "backend", "mesh"))
def _descend(
    unet: Network,
    state: tuple[jax.Array, jax.Array],
    top: jax.Array,
    chain_teyxc: jax.Array,
    known: Read,
    levels: jax.Array,
    guidance_e: jax.Array,
    num_inner_steps: jax.Array,
    *,
    length: int,
    prediction_type: str,
    backend: Backend | None,
    mesh: Mesh,
):
    """`length` steps down from `top`: the latents and embeddings there, and the embeddings of all steps."""

    def program(unet, state, top, chain, known, levels, guidance, num_inner_steps):
        network, adam = unet.module(), optax.scale_by_adam()
        steps = len(levels) - 1

        def step(state, t):
            x, null = state
            level = levels[t]

            def predict(half, texts):
                time = known.times[t - 1][None]
                time = time if known.added is None else time + known.added[:, half]
                return network.predict(x, time, texts, attend=Plain(backend))

            conditional = predict(0, jax.tree.map(lambda x: x[:, 0], known.texts))
            rank = (steps - t).astype(jnp.float32)

            def stepped(null):
                negative = predict(1, network.read(null))
                guided = negative + guidance[:, None, None, None] * (conditional - negative)
                return mix(*split(guided, x, level, prediction_type), levels[t - 1])

            def errors(null):
                return jnp.square(stepped(null) - chain[t - 1]).mean(axis=(1, 2, 3))

            def improved(carry):
                number, null, moments, _ = carry
                (_, error), gradient = jax.value_and_grad(lambda null: _summed(errors(null)), has_aux=True)(null)
                is_far = error >= _CLOSE + _CLOSER * rank
                with jax.numpy_dtype_promotion("standard"):  # optax counts in whole numbers
                    update, moments = adam.update(gradient, moments)
                rate = jnp.where(is_far, _RATE * (1 - rank / _DECAY), 0.0)
                return number + 1, null - rate[:, None, None] * jnp.asarray(update), moments, is_far.any()

            start = jnp.int32(0), null, adam.init(null), jnp.bool_(True)
            _, null, _, _ = lax.while_loop(lambda carry: carry[3] & (carry[0] < num_inner_steps), improved, start)
            return (stepped(null), null), null

        return lax.scan(step, state, top - jnp.arange(length, dtype=top.dtype))

    shares = (SAME, BY_EXEMPLAR, SAME, CHAIN, READ, SAME, BY_EXEMPLAR, SAME)
    run = over(mesh, program, shares, (BY_EXEMPLAR, CHAIN))
    return run(unet, state, top, chain_teyxc, known, levels, guidance_e, num_inner_steps)


def _summed(errors_e: jax.Array) -> tuple[jax.Array, jax.Array]:
    return errors_e.sum(), errors_e
