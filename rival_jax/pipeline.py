"""Photos and prompts in, variations out: the whole of RIVAL behind three calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from rival_jax import options
from rival_jax.alignment import first_latents
from rival_jax.chain import Chain
from rival_jax.codec import decode
from rival_jax.conditioning import Conditioning, Shown
from rival_jax.controlnet import ControlNet
from rival_jax.controls import with_controls
from rival_jax.course import Course
from rival_jax.generation import generate
from rival_jax.images import check_images
from rival_jax.interpolator import Interpolator
from rival_jax.masks import composite, feather, holes, load_masks
from rival_jax.options import Align, Initial, Reference, Solver, TimestepConvention
from rival_jax.request import Request
from rival_jax.sampling import Watch
from rival_jax.steps import Progress, silent
from rival_jax.variations import Variations


@dataclass(frozen=True)
class RivalPipeline(Interpolator):
    """A Stable Diffusion checkpoint that varies real photos without training. Made by `from_pretrained`.

    SD 1.x, 2.x, SDXL, SD image variations or Stable unCLIP.
    """

    def vary(
        self,
        images_or_chain,
        prompt: str | Sequence[str] | None = None,
        source_prompt: str | Sequence[str] | None = None,
        negative_prompt: str | Sequence[str] = "",
        num_variations: int = 1,
        num_inference_steps: int | None = None,
        guidance_scale: ArrayLike = 5.0,
        t_align: float = 600,
        t_early: float = 300,
        attention_start: float = 1000,
        initial: Initial | np.ndarray | jax.Array = "shuffle",
        reference: Reference = "shared",
        align: Align = "latent",
        seed: int | Sequence[int] = 0,
        timestep_convention: TimestepConvention | None = None,
        height: int | None = None,
        width: int | None = None,
        cache_reference: bool | None = None,
        solver: Solver = "ddim",
        fixed_point_steps: int | None = None,
        controlnet: ControlNet | Sequence[ControlNet] | None = None,
        control_image=None,
        controlnet_scale: float | Sequence[float] = 1.0,
        noise_level: int = 0,
        strength: float = 1.0,
        *,
        progress: Progress = silent,
        watch: Watch | None = None,
    ) -> Variations:
        """Makes variations of photos, or of an inverted chain; E exemplars x N variations, as many at once as fit.

        Args:
            images_or_chain: photos as for `invert`, or what it returned.
            prompt, negative_prompt: what to draw and what not; one, or one an exemplar. Models that are shown the
                exemplars in place of prompts (SD image variations) take none, Stable unCLIP may do without.
            source_prompt: what the photos show; None is the chain's, or with photos the prompt itself.
            num_variations: N, 1 ... 10000, of each exemplar.
            num_inference_steps: T, 1 ... 999; None is the chain's, or with photos 30.
            guidance_scale: weight of the prompt against the negative prompt, any finite number; one, one an exemplar
                (E,), or one a variation (E, N). Other values compile nothing.
            t_align: 0 ... 1000, training timesteps; above it self-attention reads the exemplar alone, from it down
                the exemplar and itself. Smaller keeps more of the exemplar.
            t_early: 0 ... 1000; above it the statistics are aligned.
            attention_start: 0 ... 1000; above it self-attention is ordinary.
            initial: "shuffle", "gaussian", "inverted" (all N alike but for their guidance), "random",
                or latents (E, N, h, w, c).
            reference: "shared" (one reference row) or "paired" (the negative half reads one of the empty prompt).
            align: "noise" (Eq. 7-8), "latent" (the latents themselves, after the step) or "none".
            seed: 0 ... 2**32 - 1; one, or one an exemplar. A variation's noise follows from its exemplar's seed and
                its index alone.
            timestep_convention: None is the chain's, or with photos "target".
            height, width: as for `invert`; None is the chain's, or with photos the model's own size.
            cache_reference: as for `invert`; None is the chain's, or with photos False.
            solver: "ddim", or "dpm++" (DPM-Solver++ of second order) for the steps of the generation.
            fixed_point_steps: as for `invert`; None is the chain's, or with photos 0.
            controlnet: one or several that steer the structure of what is generated.
            control_image: what a ControlNet is shown: a path, a PIL image or a uint8 array (H, W, 3) of the pictures'
                aspect, or one of these an exemplar; with several ControlNets a list with such an entry for each.
            controlnet_scale: weight of a ControlNet, any finite number; one, or one a ControlNet. Other values compile
                nothing.
            noise_level: 0 ... 999, how much noise hides of the exemplars that Stable unCLIP is shown.
            strength: above 0, at most 1: the share of the steps, down to the last, that generation from the inverted
                latents takes. Less keeps more of the exemplar.
            progress: called with (stage, steps done, steps in all).
            watch: called with (index into the chain, latents (E, N, h, w, c) there), from T down to 0.

        Raises InputError for any argument out of its range or at odds with the chain, before anything is computed.
        Source: RIVAL section 3, Eq. 2-8. Differs: the paper has `guidance_scale` 7, `t_early` 600, `align` "noise" and
        50 steps; ours kept more of the exemplar where we measured both (the model card of the embedded model).
        """
        request = Request(
            *(prompt, source_prompt, negative_prompt, num_variations, num_inference_steps, guidance_scale),
            *(t_align, t_early, attention_start, initial, reference, align, seed, timestep_convention),
            *(height, width, cache_reference, solver, fixed_point_steps),
            *(controlnet, control_image, controlnet_scale, noise_level, strength, progress, watch),
        )
        return self._draw(images_or_chain, request)

    def generate(self, images_or_chain, prompt: str | Sequence[str], **settings: Any) -> Variations:
        """Makes pictures of any prompt in the style of photos (text-driven generation).

        `vary` whose attention to the photo begins at `attention_start` 960 and whose `source_prompt` is empty.

        Args:
            images_or_chain, prompt: as for `vary`.
            settings: any other argument of `vary`; they win.

        Raises InputError as `vary` does. Source: RIVAL section 4.2.
        """
        return self._draw(images_or_chain, Request(prompt, **_preset(options.GENERATE, images_or_chain, settings)))

    def edit(
        self,
        images_or_chain,
        prompt: str | Sequence[str],
        source_prompt: str | Sequence[str] | None = None,
        **settings: Any,
    ) -> Variations:
        """Changes what the prompt says otherwise than the photo, and keeps its structure.

        `vary` that starts from the inverted latents; attention to the photo begins at `attention_start` 900. A smaller
        one changes more, a smaller `strength` less.

        Args:
            images_or_chain: as for `vary`.
            prompt: what the edited photo shows.
            source_prompt: what the photo shows; None is the chain's, or with photos empty.
            settings: any other argument of `vary`; they win.

        Raises InputError as `vary` does. Source: RIVAL section 4.2.
        """
        if source_prompt is not None:
            settings["source_prompt"] = source_prompt
        return self._draw(images_or_chain, Request(prompt, **_preset(options.EDIT, images_or_chain, settings)))

    def inpaint(self, images_or_chain, masks, prompt: str | Sequence[str] | None = None, **settings: Any) -> Variations:
        """Fills what masks show with what the prompt says, in the photo's own look.

        Noise is shuffled inside the hole only; outside, the latents follow the chain. In `images` pixels outside the
        feathered masks are the exemplars' own; `latents` are those before that.

        Args:
            images_or_chain: as for `vary`.
            masks: one, or one an exemplar: paths, PIL images or arrays (H, W), bool or uint8, of the photo's own size
                (with a chain, of its pictures). White, from 128 on, is filled; a latent cell is if any pixel of it is.
            prompt: what the photo shall show; as for `vary`.
            settings: any other argument of `vary`; they win. `initial` may be latents (E, N, h, w, c) too, used inside
                the hole.

        Raises InputError as `vary` does, and for a mask of another size or with colours. Source: RIVAL section 4.2.
        """
        return self._draw(
            images_or_chain, Request(prompt, **_preset(options.INPAINT, images_or_chain, settings)), masks
        )

    def _draw(self, images_or_chain, request: Request, masks: object = None) -> Variations:
        """What is asked for; of photos or a chain, in masks if there are any."""
        given = images_or_chain if isinstance(images_or_chain, Chain) else None
        pixels = given.pixels if given else self._load(images_or_chain, request.height, request.width)
        exemplars, (height, width) = len(pixels), pixels.shape[1:3]
        asked = request.completed(exemplars, self.latent_shape(height, width), given, self.conditioner)
        plan = asked.stages(self.schedule, self.attention)
        networks, controls = with_controls(self.unet, asked, exemplars, height, width, self.vae.config.factor)
        weights = hole = None
        if masks is not None:
            sizes = [(width, height)] * exemplars if given else check_images(images_or_chain)
            filled = load_masks(masks, sizes, height, width)
            weights, hole = feather(filled), holes(filled, self.vae.config.factor)
        with self.precision():
            chain = given or self._invert(pixels, asked)
            latents = jnp.asarray(chain.latents)
            target = self.embed(asked.prompt, (height, width), Shown(pixels, asked.noise_level, asked.seed))
            negative = self.embed(asked.negative_prompt, (height, width))
            told = Conditioning.stacked([*self._of_source(pixels, asked.source_prompt), target, negative])
            course = Course(latents, told, asked.guidance_scale, chain.kept, hole, chain.null, controls, asked.solver)
            noisy = latents[asked.num_generation_steps]
            start = first_latents(noisy, asked.initial, asked.seed, hole, asked.num_variations)
            final = generate(
                networks,
                self.schedule,
                course,
                start,
                plan,
                progress=asked.progress,
                watch=asked.watch,
                once=self.stands_in,
            )
            pictures = np.asarray(decode(self.vae, final))
        if weights is not None:
            pictures = composite(pictures, pixels, weights)
        return Variations(pictures, final, chain, *self._judged(pictures), weights)

    def warmup(self, num_exemplars: int = 1, prompt: str = "", *, progress: Progress = silent, **arguments) -> None:
        """Compiles what `vary` will run, and `reconstruct` after it; runs a few steps of each kind.

        Args:
            num_exemplars: E, 1 or more.
            prompt: any; needed by models that read one.
            progress: called with (stage, steps done, steps in all).
            arguments: any other of `vary`.

        Raises InputError as `vary` does.
        """
        gray = np.full((num_exemplars, 64, 64, 3), 128, np.uint8)  # cropped to whatever is asked for
        short = replace(self, stands_in=True)
        out = short.vary(gray, prompt, **arguments, progress=progress)
        short.reconstruct(out.chain, progress=progress)

    def _judged(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
        """The safety checker's verdicts and scores, (E, N) each, of pictures (E, N, H, W, 3)."""
        if self.safety_checker is None:
            return None, None
        nsfw, scores = self.safety_checker(pictures.reshape(-1, *pictures.shape[2:]))
        return nsfw.reshape(pictures.shape[:2]), scores.reshape(pictures.shape[:2])


def _preset(preset: Mapping[str, Any], images_or_chain, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings over an application's own; a chain has its source prompt already."""
    kept = {
        name: value
        for name, value in preset.items()
        if name != "source_prompt" or not isinstance(images_or_chain, Chain)
    }
    return kept | dict(settings)
