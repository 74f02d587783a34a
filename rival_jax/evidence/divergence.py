"""Fig. 12: how far the two chains' latents are apart at every step, and how much attention falls on the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.attend import FromReference
from rival_jax.chain import Chain
from rival_jax.kernels import KeysValues
from rival_jax.models.attention import Attention
from rival_jax.models.network import Network
from rival_jax.pipeline import RivalPipeline


def gaussian_kl(latents: np.ndarray, others: np.ndarray) -> np.ndarray:
    """KL divergence (...,) of the channels' normal distributions over the positions, summed over the channels.

    latents, others: (..., h, w, c).
    """
    (mean, variance), (other_mean, other_variance) = (
        (x.mean(axis=(-3, -2)), x.var(axis=(-3, -2)) + 1e-8) for x in (latents, others)
    )
    terms = (
        variance / other_variance + (mean - other_mean) ** 2 / other_variance - 1 - np.log(variance / other_variance)
    )
    return 0.5 * terms.sum(axis=-1)


@dataclass(frozen=True)
class Share:
    """Attention of generated rows to a reference and themselves (concat) that also says how much fell on the reference.

    Rows come in pairs: reference, generated.
    """

    shares: list

    def __call__(self, layer: Attention, x_bsd: jax.Array, text: KeysValues | None) -> jax.Array:
        if text is None:
            q, (k, _) = layer.q(x_bsd), layer.kv(x_bsd)
            both = jnp.concatenate([k[0::2], k[1::2]], axis=1)
            scores = jnp.einsum("bshk,bmhk->bhsm", q[1::2], both).astype(jnp.float32) / np.float32(q.shape[-1] ** 0.5)
            self.shares.append(jax.nn.softmax(scores)[..., : k.shape[1]].sum(axis=-1).mean())
        return FromReference(rows=2, keep_own=True)(layer, x_bsd, text)


@jax.jit
def _share(unet: Network, generated: jax.Array, reference: jax.Array, timestep: jax.Array, text: jax.Array):
    """The mean share over layers, heads and queries; generated, reference (b, h, w, c)."""
    shares: list[Any] = []
    rows = jnp.stack([reference, generated], axis=1).reshape(-1, *generated.shape[1:])
    texts = jnp.repeat(text, 2, axis=0)
    unet.module()(rows, jnp.full(rows.shape[0], timestep), texts, attend=Share(shares))
    return jnp.stack(shares).mean()


def divergence(
    pipe: RivalPipeline, chain: Chain, captions: Sequence[str], **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Of a generation with these options: the KL divergence to the chain and the share of attention that the reference
    would get beside the row itself, at chain indices T ... 0 and T ... 1, means over exemplars.

    Differs from the paper's Fig. 12: the share is of a further pass over both chains' latents, whatever the generation
    itself attended to, and the mean of all layers, not the bottleneck's.
    """
    timesteps = pipe.schedule.timesteps(chain.num_inference_steps)
    text = pipe.embed(tuple(captions), chain.pixels.shape[1:3]).tokens
    kls, shares = [], []

    def watch(index: int, latents: jax.Array) -> None:
        kls.append(gaussian_kl(np.asarray(latents[:, 0]), np.asarray(chain.latents[index])).mean())
        if index:
            arguments = latents[:, 0], jnp.asarray(chain.latents[index]), np.int32(timesteps[index - 1]), text
            with jax.default_matmul_precision("highest"):
                shares.append(float(_share(pipe.unet, *arguments)))

    pipe.vary(chain, list(captions), watch=watch, seed=list(range(len(captions))), **options)
    return np.asarray(kls), np.asarray(shares)
