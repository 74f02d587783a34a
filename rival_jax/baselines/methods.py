"""Other ways to draw pictures like a photo, and RIVAL's own, all of one chain and one request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.alignment import initial_latents
from rival_jax.chain import Chain
from rival_jax.codec import decode
from rival_jax.conditioning import Conditioning
from rival_jax.course import Course
from rival_jax.generation import generate
from rival_jax.models.config import UNetConfig
from rival_jax.models.ip_adapter_config import cross_attention
from rival_jax.pipeline import RivalPipeline
from rival_jax.schedule import mix
from rival_jax.shapes import VariationPixels
from rival_jax.stages import Stage, Stages
from rival_jax.steps import Progress, silent

STRENGTH = 0.6
"""Of img2img: the share of the noise."""
_PLAIN_SHARE, _MASACTRL_LAYERS = 4 / 50, 10 / 16
_WEIGHTS_SHARE, _FEATURES_SHARE, _PNP_LAYERS = 0.5, 0.8, 8 / 16


@dataclass(frozen=True)
class Task:
    """What is drawn of E exemplars: N variations of each.

    pipe: what draws.
    chain: the exemplars', told what they show.
    prompts: (E,), what the variations show.
    num_variations: N, 1 ... 10000.
    guidance_scale: weight of the prompts, any finite number.
    seeds: (E,), 0 ... 2**32 - 1.
    progress: called with (stage, steps done, steps in all).
    """

    pipe: RivalPipeline
    chain: Chain
    prompts: Sequence[str]
    num_variations: int
    guidance_scale: float
    seeds: Sequence[int]
    progress: Progress = silent

    def vary(self, **settings) -> VariationPixels:
        """RIVAL's pictures (E, N, H, W, 3) uint8; `settings` of `RivalPipeline.vary` win.

        Raises InputError as `RivalPipeline.vary` does.
        """
        shared = {"num_variations": self.num_variations, "guidance_scale": self.guidance_scale, "seed": self.seeds}
        return self.pipe.vary(self.chain, self.prompts, **shared | settings, progress=self.progress).images

    def follow(self, plan: Stages, initial: jax.Array) -> VariationPixels:
        """Pictures (E, n, H, W, 3) uint8 of `initial` latents (E, n, h, w, c), which are noisy.

        They are as many steps above the clean end as `plan` has.

        Raises InputError for a chain of more steps than the model has timesteps.
        """
        pipe, chain = self.pipe, self.chain
        exemplars, size = len(chain.pixels), chain.pixels.shape[1:3]
        with pipe.precision():
            source, target, nothing = (
                pipe.embed(tuple(texts), size) for texts in (chain.source_prompt, self.prompts, [""] * exemplars)
            )
            told = Conditioning.stacked([source, nothing, target, nothing])
            guidance = np.full(initial.shape[:2], self.guidance_scale, np.float32)
            course = Course(jnp.asarray(chain.latents), told, guidance)
            final = generate((pipe.unet,), pipe.schedule, course, initial, plan, progress=self.progress)
            return np.asarray(decode(pipe.vae, final))

    def untold(self) -> Task:
        """The same of a chain under the empty prompt. Raises InputError as `RivalPipeline.invert` does."""
        chain, (height, width) = self.chain, self.chain.pixels.shape[1:3]
        if not any(chain.source_prompt):
            return self
        settings = (chain.num_inference_steps, chain.timestep_convention, height, width)
        refined = {"fixed_point_steps": chain.fixed_point_steps, "progress": self.progress}
        return replace(self, chain=self.pipe.invert(chain.pixels, "", *settings, **refined))

    def noises(self) -> jax.Array:
        """Standard normal latents (E, N, h, w, c), those that text-to-image starts from."""
        seeds = np.asarray(self.seeds, np.uint32)
        return initial_latents(self.chain.latents[-1], seeds, initial="random", num_variations=self.num_variations)


def text_to_image(task: Task) -> VariationPixels:
    """What the prompts of `task` say alone, (E, N, H, W, 3) uint8. Raises InputError as `RivalPipeline.vary` does."""
    return task.vary(attention_start=0, align="none", initial="random")


def img2img(task: Task, strength: float = STRENGTH) -> VariationPixels:
    """From the exemplars of `task` with a share of the noise on them, (E, N, H, W, 3) uint8.

    `strength` is that share, above 0 and at most 1.

    Raises InputError as `Task.follow` does.
    Source: SDEdit (https://arxiv.org/abs/2108.01073). The strength is our choice: of diffusers' pipeline it is 0.8.
    """
    total = task.chain.num_inference_steps
    steps = round(strength * total)
    level = jnp.asarray(task.pipe.schedule.levels(total)[steps])
    start = mix(jnp.asarray(task.chain.latents[0])[:, None], task.noises(), level)
    return task.follow([(Stage("plain", "none", 0, task.pipe.attention), steps)], start)


def masactrl(task: Task) -> VariationPixels:
    """From latents of `task` inverted under the empty prompt; after the first steps the decoder's layers read their
    chain in place of their own. One picture each, whatever the seed, (E, 1, H, W, 3) uint8.

    Raises InputError as `Task.follow` does.
    Source: MasaCtrl (https://arxiv.org/abs/2304.08465), section 3.2, without its masks; steps from the fifth of 50,
    layers from the eleventh of 16. Of an empty prompt both halves of guidance have the same source. Differs: its
    latents are the inversion's at every step, where the authors' code draws them again unless it is told not to.
    """
    task = task.untold()
    steps, backend = task.chain.num_inference_steps, task.pipe.attention
    first = round(_PLAIN_SHARE * steps)
    later = _layer(task.pipe.unet.config, _MASACTRL_LAYERS)
    mutual = Stage("replace", "none", 1, backend, later=later)
    return task.follow(_plan((Stage("plain", "none", 0, backend), first), (mutual, steps - first)), _inverted(task))


def plug_and_play(task: Task) -> VariationPixels:
    """From latents of `task` inverted under the empty prompt, with their chain's features and self-attention weights in
    the decoder's first steps. One picture each, whatever the seed, (E, 1, H, W, 3) uint8.

    Raises InputError as `Task.follow` does.
    Source: Plug-and-Play (https://arxiv.org/abs/2211.12572), section 4; weights of the decoder's blocks 4 to 11 in half
    of the steps, features of its block 4 in 80 %. Differs: the chain has as many steps as the generation, where the
    authors' has 1000; the negative prompt is empty.
    """
    task = task.untold()
    steps, backend = task.chain.num_inference_steps, task.pipe.attention
    weighed, injected = round(_WEIGHTS_SHARE * steps), round(_FEATURES_SHARE * steps)
    later = _layer(task.pipe.unet.config, _PNP_LAYERS)
    plan = _plan(
        (Stage("weights", "none", 1, backend, later=later, injects=True), weighed),
        (Stage("plain", "none", 1, backend, injects=True), injected - weighed),
        (Stage("plain", "none", 0, backend), steps - injected),
    )
    return task.follow(plan, _inverted(task))


def noised_reference(task: Task) -> VariationPixels:
    """RIVAL's attention alone, to the exemplars of `task` noised instead of inverted: from plain noise, with nothing
    aligned, (E, N, H, W, 3) uint8.

    One noise for all steps. Raises InputError as `RivalPipeline.vary` does.
    Source: "reference-only" (https://github.com/Mikubill/sd-webui-controlnet/discussions/1236). Differs: that reads the
    exemplar beside the picture itself from the first step on, RIVAL the exemplar alone there, which measured nearer.
    """
    latents = jnp.asarray(task.chain.latents)
    levels = jnp.asarray(task.pipe.schedule.levels(len(latents) - 1))[:, None, None, None, None]
    noise = jnp.stack([jax.random.normal(jax.random.key(seed), latents.shape[2:]) for seed in task.seeds])
    noised = replace(task.chain, latents=mix(latents[0][None], noise[None], levels), kept=None)
    return replace(task, chain=noised).vary(align="none", initial="random")


METHODS: Mapping[str, Callable[[Task], VariationPixels]] = {
    "RIVAL": Task.vary,
    "text-to-image": text_to_image,
    "img2img": img2img,
    "MasaCtrl": masactrl,
    "Plug-and-Play": plug_and_play,
    "noised photo": noised_reference,
}
"""By their names; each gives pictures (E, N, H, W, 3) uint8, or (E, 1, ...) where it knows but one."""


def _inverted(task: Task) -> jax.Array:
    return jnp.asarray(task.chain.latents[-1])[:, None]


def _layer(unet: UNetConfig, share: float) -> int:
    """The first self-attention layer after a share of all, in the order of use."""
    return max(round(share * len(cross_attention(unet))), 1)


def _plan(*stages: tuple[Stage, int]) -> Stages:
    return [(stage, count) for stage, count in stages if count]
