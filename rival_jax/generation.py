"""Generation of any number of exemplars and variations, in as few batches as memory allows."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from rival_jax.batches import Batch, fitting, free_bytes, in_batches
from rival_jax.chain import Kept
from rival_jax.devices import mesh_for, share
from rival_jax.memory import temporary_bytes
from rival_jax.models.network import Network
from rival_jax.sampling import Prompts, Stage, Watch, follow, one_step
from rival_jax.schedule import Schedule
from rival_jax.shapes import ChainLatents, Guidance, VariationLatents
from rival_jax.steps import Progress


def generate(
    unet: Network,
    schedule: Schedule,
    chain_teyxc: ChainLatents,
    initial_enyxc: VariationLatents,
    prompts: Prompts,
    guidance_en: Guidance,
    plan: list[tuple[Stage, int]],
    *,
    kept: Kept | None = None,
    progress: Progress,
    watch: Watch | None = None,
    once: bool = False,
) -> VariationLatents:
    """The final latents (e, n, y, x, c) of a generation that starts at `initial_enyxc` and follows the chain.

    Batches are alike, so that one program serves them all. `watch` sees the start and what each step leaves; all is
    then one batch. `once` runs each program once, which is enough to have them compiled.
    """
    exemplars, variations = initial_enyxc.shape[:2]
    texts, steps = prompts.stacked(), len(chain_teyxc) - 1
    whole = exemplars, variations

    def run(batch: Batch) -> VariationLatents:
        def seen(index: int, latents: VariationLatents) -> None:
            progress("generation", (batch.done + 1) * steps - index, batch.count * steps)
            if watch:
                watch(index, latents)

        es, ns = batch.exemplars, batch.variations
        chain, own_kept = jax.tree.map(lambda x: x[:, es], (chain_teyxc, kept))
        own = own_kept, initial_enyxc[es, ns], texts[es], guidance_en[es, ns]
        options = {"sizes": batch.sizes, "watch": seen, "each_step": watch is not None, "once": once}
        return follow(unet, schedule, chain, *own, plan, **options)

    if watch:
        return run(Batch(slice(exemplars), slice(variations), whole, 0, 1))
    size = _together(unet, whole, chain_teyxc.shape[2:], texts.shape[2:], plan, kept)
    parts = in_batches(run, *whole, size)
    return jnp.concatenate([jnp.concatenate(columns, axis=1) for columns in parts])


def _together(
    unet: Network, whole: tuple[int, int], shape, text, plan: list[tuple[Stage, int]], kept: Kept | None
) -> tuple[int, int]:
    """How many exemplars and variations of each one program takes, on all devices."""
    mesh = mesh_for(*whole)
    sides = tuple(mesh.shape[name] for name in ("exemplars", "variations"))
    stage = max((stage for stage, _ in plan), key=lambda stage: (stage.attention == "concat", stage.references))
    copied = sum(x.nbytes for x in jax.tree.leaves(kept)) // whole[0]  # each batch has its own of what was kept

    def needed(variations: int) -> int:
        return copied + temporary_bytes(*one_step(unet, shape, text, stage, variations))

    fit = fitting(*share(*whole), needed, free_bytes())
    e, n = (min(count * side, most) for count, side, most in zip(fit, sides, whole, strict=True))
    return e, n
