"""From one condition to another: prompts, photos or both, in a sequence of pictures (AID, PAID)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from rival_jax import checks
from rival_jax.alignment import initial_latents
from rival_jax.chain import Chain
from rival_jax.codec import decode
from rival_jax.conditioning import Conditioning
from rival_jax.errors import InputError
from rival_jax.generation import generate, trajectory
from rival_jax.interpolation.adapted import Adapted, adapted
from rival_jax.interpolation.choosing import Frame, Frames, chooser
from rival_jax.interpolation.journey import Journey, end_alone, end_edited, frames_between
from rival_jax.interpolation.prompt_to_prompt import check_edit, counterparts, edited_stages
from rival_jax.interpolation.request import Distance, InterpolationRequest, mixing_steps
from rival_jax.interpolation.sequence import Interpolation
from rival_jax.inverter import Inverter
from rival_jax.ip_adapter import IPAdapter
from rival_jax.metrics.judge import Judge
from rival_jax.options import NUM_INFERENCE_STEPS, Align, Choice, Kind, SlerpAxis
from rival_jax.stages import Stage, Stages
from rival_jax.steps import Progress, silent


@dataclass(frozen=True)
class Interpolator(Inverter):
    """A checkpoint that draws what lies between two conditions."""

    def interpolate(
        self,
        start,
        end,
        num_frames: int = 7,
        guide_prompt: str | Sequence[str] | None = None,
        negative_prompt: str | Sequence[str] = "",
        num_inference_steps: int | None = None,
        guidance_scale: ArrayLike = 7.5,
        kind: Kind = "outer",
        fused: bool = True,
        warmup_ratio: float = 0.5,
        coefficients: Choice | ArrayLike = "explore",
        alpha: float = 3.0,
        beta: float = 3.0,
        exploration_size: int = 16,
        seed: int | Sequence[int] = 0,
        slerp_axis: SlerpAxis = "width",
        align: Align | None = None,
        t_early: float = 0,
        distance: Distance | None = None,
        height: int | None = None,
        width: int | None = None,
        ip_adapter: IPAdapter | None = None,
        image_start=None,
        image_end=None,
        ip_adapter_scale: float = 1.0,
        scale_control: bool = False,
        prompt_to_prompt: bool = False,
        *,
        progress: Progress = silent,
    ) -> Interpolation:
        """Draws sequences of pictures from one condition to another; E pairs of them, as many at once as fit.

        Args:
            start, end: prompts, one or E; or chains, as `invert` returns them, of E photos and of what these show. The
                ends of a sequence are what is drawn of prompts, from the same noise, and the photos themselves.
            num_frames: n, 3 or more, the ends included.
            guide_prompt: what the frames between the ends shall show, one or E (PAID); None is a mixture of the ends'.
            negative_prompt: what not to draw; one, or one a pair.
            num_inference_steps: T, 1 ... 999; None is the chains', or without any 30.
            guidance_scale: weight of the prompts against the negative one, any finite number; 1, or less, gives that
                none; one, or one a pair (E,).
            kind: "outer" mixes what attention makes of the two ends (AID-O), "inner" their keys and values (AID-I).
            fused: whether frames between the ends attend to themselves beside.
            warmup_ratio: 0 ... 1, the share of the steps, from the first, in which attention is so.
            coefficients: "explore" draws `exploration_size` frames where the sequence jumps most and returns the n that
                change most evenly, "search" looks for the Beta distribution that spaces three frames most evenly,
                "beta" takes its quantiles; or coefficients (n,) or (E, n) that rise from 0 to 1. Other ones compile
                nothing.
            alpha, beta: above 0, of the Beta distribution that is taken, or explored from first.
            exploration_size: n or more.
            seed: 0 ... 2**32 - 1; one, or one a pair.
            slerp_axis: what of a latent is one vector: "width", or "flat" for all of it.
            align: "latent" holds the latents' statistics to a mixture of both ends' while t > t_early, as `vary` does
                to a photo's; "none" leaves them; None is "latent" between two photos, else "none".
            t_early: a timestep, 0 ... 1000.
            distance: of pictures (n, H, W, 3) uint8 and as many others, (n,), such as LPIPS; None is the cosine
                distance of the CLIP that the model's safety checker has, or where there is none of the embedded one,
                which knows drawings only.
            height, width: of the pictures, in pixels; None is the chains', or the model's own size.
            ip_adapter: what shows the model pictures as conditions, beside the prompts.
            image_start, image_end: one, or one a pair: what it is shown at the ends, and a mixture of it between.
                Without image_start it is shown nothing there.
            ip_adapter_scale: weight of what it is shown, any finite number; 0 is none.
            scale_control: show image_end to all frames, with a weight that grows from 0 to 1.
            prompt_to_prompt: the end is the start, edited: `end` says what it then shows, it is drawn from the start's
                noise with the start's attention maps, and coefficients are levels of editing.
            progress: called with (stage, steps done, steps in all).

        Raises InputError for any argument out of its range, before anything is computed.
        Source: AID (https://arxiv.org/abs/2403.17924) section 3; PAID section 3.4. Differs: the ends are drawn first
            and alone, and frames between them read what they were at each step; photos' frames are aligned (RIVAL
            Eq. 7-8).
        """
        asked = InterpolationRequest(
            *(num_frames, kind, fused, warmup_ratio, coefficients, alpha, beta),
            *(exploration_size, slerp_axis, align, t_early),
        )
        asked.check()
        if guide_prompt is not None and not fused:
            warnings.warn("Without fused the guide prompt acts only after the warm-up.", stacklevel=2)
        if distance is not None and not callable(distance):
            raise InputError(f"distance is {distance!r}, but must be a function of pictures, such as LPIPS.")
        prompts, chains = _conditions(start, end)
        size, steps = self._dimensions(chains, num_inference_steps, height, width)
        plan = asked.stages(self.schedule.timesteps(steps), self.attention, of_photos=all(chains))
        pairs = len(prompts[0])
        prompts.append(checks.per_exemplar("negative_prompt", negative_prompt, pairs))
        guide = None if guide_prompt is None else checks.per_exemplar("guide_prompt", guide_prompt, pairs)
        guidance = np.maximum(checks.guidance(guidance_scale, pairs, 1), 1)
        seeds = checks.seeds(seed, pairs)
        shown = adapted(ip_adapter, image_start, image_end, ip_adapter_scale, scale_control, self.unet.config, pairs)
        words = self._words(prompts, chains, shown) if prompt_to_prompt else None
        choose = chooser(asked, pairs, mixing_steps(plan), distance or self.distance)
        with self.precision():
            told = Conditioning.stacked([self.embed(texts, size) for texts in prompts])
            middle = None if guide is None else self.embed(guide, size)
            seen = None if shown is None else shown.seen(pairs)
            blank = jnp.zeros((steps + 1, pairs, 2, *self.latent_shape(*size)))
            journey = Journey(blank, told, middle, jnp.asarray(guidance), slerp_axis, seen)
            noise = next((jnp.asarray(chain.latents[-1]) for chain in chains if chain), None)
            if noise is None:
                noise = initial_latents(blank[0, :, 0], jnp.asarray(seeds), initial="random", num_variations=1)[:, 0]
            journey = self._with_ends(journey, chains, noise, words, progress)
            ends = _frames(np.asarray(decode(self.vae, journey.latents[0])), journey.latents[0])
            return choose(ends, partial(self._between, journey, plan), progress)

    @property
    def distance(self) -> Distance:
        """How different pictures (n, H, W, 3) uint8 look from as many others, (n,), 0 ... 2.

        By the CLIP that is at hand: the safety checker's, or the embedded one.
        """
        return (self.safety_checker or Judge.from_pretrained()).distance

    def _dimensions(
        self, chains: list[Chain | None], num_inference_steps: int | None, height: int | None, width: int | None
    ) -> tuple[tuple[int, int], int]:
        """(height, width) and T, of the chains if there are any. Raises InputError where these are at odds."""
        found = [chain for chain in chains if chain]
        size = found[0].pixels.shape[1:3] if found else self._sides(height, width)
        wanted = NUM_INFERENCE_STEPS if num_inference_steps is None else num_inference_steps
        steps = found[0].num_inference_steps if found else wanted
        for chain in found:
            own = {"num_inference_steps": num_inference_steps if chain is found[0] else steps}
            checks.chain(chain, self.latent_shape(*size), **own, height=height, width=width)
        return size, steps

    def _words(self, prompts: list[tuple[str, ...]], chains: list[Chain | None], shown: Adapted | None) -> np.ndarray:
        """Which of the start's tokens the end's stand for. Raises InputError for what cannot be edited."""
        if chains[1] is not None:
            raise InputError("prompt_to_prompt edits the start; give a prompt as the end, not a chain.")
        check_edit(prompts[0], shown)
        start, end = map(self.conditioner.first.tokenizer, prompts[:2])
        return counterparts(start, end)

    def _with_ends(
        self,
        journey: Journey,
        chains: list[Chain | None],
        noise: jax.Array,
        words: np.ndarray | None,
        progress: Progress,
    ) -> Journey:
        """The same with both ends' latents: a chain's own, or what is drawn of a prompt from the noise."""
        steps = len(journey.latents) - 1
        for side, chain in enumerate(chains):
            if chain is not None:
                latents = jnp.asarray(chain.latents)
            else:
                plan, course = [(Stage("plain", "none", 0, self.attention), steps)], end_alone(journey, side=side)
                if side and words is not None:
                    plan, course = edited_stages(steps, self.attention), end_edited(journey, jnp.asarray(words))
                    course = replace(course, null=chains[0] and chains[0].null)
                ways = {"progress": progress, "once": self.stands_in}
                latents = trajectory((self.unet,), self.schedule, course, noise[:, None], plan, **ways)[:, :, 0]
            journey = replace(journey, latents=jnp.asarray(journey.latents).at[:, :, side].set(latents))
        return journey

    def _between(self, journey: Journey, plan: Stages, coefficients: np.ndarray, progress: Progress) -> Frames:
        """Frames at coefficients (E, m), above 0 and below 1."""
        course, noise = frames_between(journey, jnp.asarray(coefficients, jnp.float32))
        final = generate((self.unet,), self.schedule, course, noise, plan, progress=progress, once=self.stands_in)
        return _frames(np.asarray(decode(self.vae, final)), final)


def _frames(pictures: np.ndarray, latents: jax.Array) -> Frames:
    return [[Frame(*frame) for frame in zip(*row, strict=True)] for row in zip(pictures, latents, strict=True)]


def _conditions(start, end) -> tuple[list[tuple[str, ...]], list[Chain | None]]:
    """Prompts of both ends, E each, and their chains where they have such. Raises InputError for anything else."""
    prompts = []
    for name, given in (("start", start), ("end", end)):
        prompts.append(given.source_prompt if isinstance(given, Chain) else given)
        if not isinstance(prompts[-1], str | list | tuple) or not isinstance(given, Chain | str) and not given:
            raise InputError(f"{name} is {given!r}, but must be a prompt, several, or a chain as `invert` returns it.")
    pairs = max(1 if isinstance(texts, str) else len(texts) for texts in prompts)
    for name, texts in zip(("start", "end"), prompts, strict=True):
        if not isinstance(texts, str) and len(texts) != pairs:
            raise InputError(f"{name} has {len(texts)} entries, but the other end {pairs}; give as many.")
    named = zip(("start", "end"), prompts, strict=True)
    chains = [given if isinstance(given, Chain) else None for given in (start, end)]
    return [checks.per_exemplar(name, texts, pairs) for name, texts in named], chains
