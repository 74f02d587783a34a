"""Photos to chains and back: inversion, what refines it, and how well it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from rival_jax import checks
from rival_jax.chain import Chain
from rival_jax.checkpoint import StableDiffusion
from rival_jax.codec import decode, encode
from rival_jax.conditioning import Conditioning, Shown
from rival_jax.course import Course
from rival_jax.generation import generate
from rival_jax.images import load_images
from rival_jax.inversion import invert, kept_bytes
from rival_jax.null_text import optimise
from rival_jax.options import NUM_INFERENCE_STEPS, SOLVERS, Solver, TimestepConvention
from rival_jax.request import Request
from rival_jax.shapes import Pixels
from rival_jax.stages import Stage
from rival_jax.steps import Progress, silent


@dataclass(frozen=True)
class Inverter(StableDiffusion):
    """A checkpoint that inverts photos."""

    def invert(
        self,
        images,
        source_prompt: str | Sequence[str] = "",
        num_inference_steps: int = NUM_INFERENCE_STEPS,
        timestep_convention: TimestepConvention = "target",
        height: int | None = None,
        width: int | None = None,
        cache_reference: bool = False,
        fixed_point_steps: int = 0,
        *,
        progress: Progress = silent,
    ) -> Chain:
        """Inverts photos along the DDIM chain, in as few batches as memory allows.

        Args:
            images: one or many paths, PIL images of any mode or uint8 arrays (H, W), (H, W, 1), (H, W, 3) or (H, W, 4),
                of any size and orientation; an array (E, H, W, C) is E photos. They are centre-cropped.
            source_prompt: what the photos show; one, or one an exemplar.
            num_inference_steps: T, 1 ... 999, the steps of the chain.
            timestep_convention: "target" (the authors' code) or "current" (Eq. 5 to the letter).
            height, width: of the pictures, in pixels, multiples of `factor`; None is the model's own size.
            cache_reference: keep what a reference row would compute again in every generation from this chain, as
                many bytes as `cache_bytes` says. Exact under "current", an approximation under "target".
            fixed_point_steps: 0 ... 100, how often each step is taken again with the noise found where it led to. The
                chain then leads back to the photo more exactly; each costs as much as the inversion itself.
            progress: called with (stage, steps done, steps in all).

        Raises InputError for any argument out of its range, before anything is computed.
        Source: RIVAL section 3.2, Eq. 5.
        """
        pixels = self._load(images, height, width)
        request = Request(
            prompt="",
            source_prompt=source_prompt,
            num_inference_steps=num_inference_steps,
            timestep_convention=timestep_convention,
            cache_reference=cache_reference,
            fixed_point_steps=fixed_point_steps,
            progress=progress,
        )
        asked = request.completed(len(pixels), self.latent_shape(*pixels.shape[1:3]), None, self.conditioner)
        self.schedule.timesteps(num_inference_steps)
        return self._invert(pixels, asked)

    def optimise_null_text(
        self, chain: Chain, guidance_scale: ArrayLike = 7.5, num_inner_steps: int = 10, *, progress: Progress = silent
    ) -> Chain:
        """The same chain with embeddings in place of the negative prompt under which guidance draws the exemplars.

        Args:
            chain: what `invert` returned.
            guidance_scale: at which generation shall follow the chain, any finite number; one, or one an exemplar (E,).
            num_inner_steps: 1 ... 10000, of Adam for each step of the chain; fewer are taken where the chain is met
                before.
            progress: called with (stage, steps done, steps in all).

        Raises InputError for any argument out of its range or a chain of another model.
        Source: Mokady et al. (https://arxiv.org/abs/2211.09794); RIVAL Appendix D.
        """
        checks.chain(chain, self.latent_shape(*chain.pixels.shape[1:3]))
        checks.count("num_inner_steps", num_inner_steps)
        guidance = checks.guidance(guidance_scale, len(chain.pixels), 1)[:, 0]
        with self.precision():
            null = optimise(
                self.unet,
                self.schedule,
                chain.latents,
                *self._of_source(chain.pixels, chain.source_prompt),
                guidance,
                num_inner_steps=num_inner_steps,
                backend=self.attention,
                progress=progress,
                once=self.stands_in,
            )
        return replace(chain, null=null)

    def reconstruct(
        self, chain: Chain, guidance_scale: float = 1.0, solver: Solver = "ddim", *, progress: Progress = silent
    ) -> Pixels:
        """The exemplars as plain sampling draws them from the chain's end, uint8 (E, H, W, 3): how well they inverted.

        Args:
            chain: what `invert` returned; its source prompt is told.
            guidance_scale: any finite number; 1 is no guidance, else it is against the empty prompt or the chain's null
                text.
            solver: "ddim", or "dpm++", as for `vary`.
            progress: called with (stage, steps done, steps in all).

        Raises InputError for any argument out of its range or a chain of another model.
        """
        checks.chain(chain, self.latent_shape(*chain.pixels.shape[1:3]))
        checks.choice("solver", solver, SOLVERS)
        guidance = checks.guidance(guidance_scale, len(chain.pixels), 1)
        with self.precision():
            told = Conditioning.stacked(self._of_source(chain.pixels, chain.source_prompt) * 2)
            latents = jnp.asarray(chain.latents)
            course = Course(latents, told, guidance, null=chain.null, solver=solver)
            final = generate(
                (self.unet,),
                self.schedule,
                course,
                latents[-1][:, None],
                [(Stage("plain", "none", references=0, backend=self.attention), len(latents) - 1)],
                progress=progress,
                once=self.stands_in,
            )
            return np.asarray(decode(self.vae, final))[:, 0]

    def cache_bytes(
        self,
        num_exemplars: int = 1,
        num_inference_steps: int = NUM_INFERENCE_STEPS,
        height: int | None = None,
        width: int | None = None,
    ) -> int:
        """Bytes on the device that `cache_reference` keeps of photos.

        Args:
            num_exemplars: E, 1 ... 10000.
            num_inference_steps, height, width: as for `invert`.

        Raises InputError as `invert` does.
        """
        for name, value in (("num_exemplars", num_exemplars), ("num_inference_steps", num_inference_steps)):
            checks.count(name, value)
        shape = self.latent_shape(*self._sides(height, width))
        return num_exemplars * kept_bytes(self.unet, shape, self.text_shape, num_inference_steps)

    def _invert(self, pixels: Pixels, asked: Request) -> Chain:
        """The chain of pictures that are loaded already."""
        with self.precision():
            latents, kept = invert(
                self.unet,
                self.schedule,
                encode(self.vae, pixels),
                self.embed(asked.source_prompt, pixels.shape[1:3], Shown(pixels)),
                num_inference_steps=asked.num_inference_steps,
                timestep_convention=asked.timestep_convention,
                keep=asked.cache_reference,
                fixed_point_steps=asked.fixed_point_steps,
                backend=self.attention,
                progress=asked.progress,
                once=self.stands_in,
            )
        return Chain(latents, pixels, asked.source_prompt, asked.timestep_convention, kept, asked.fixed_point_steps)

    def _of_source(self, pixels: Pixels, source_prompt: tuple[str, ...]) -> tuple[Conditioning, Conditioning]:
        """What is told of exemplars and of nothing: prompts, and with some models the exemplars themselves."""
        size = pixels.shape[1:3]
        return self.embed(source_prompt, size, Shown(pixels)), self.embed(("",) * len(pixels), size)

    def _load(self, images, height: int | None, width: int | None) -> np.ndarray:
        return load_images(images, *self._sides(height, width))

    def _sides(self, height: int | None, width: int | None) -> tuple[int, int]:
        """What is asked for, or the model's own."""
        sides = (("height", height), ("width", width))
        high, wide = (checks.side(name, value, self.size, self.factor) for name, value in sides)
        return high, wide
