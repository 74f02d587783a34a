"""Photos and prompts in, variations out: the whole of RIVAL behind three calls."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from rival_jax import checks
from rival_jax.alignment import initial_latents
from rival_jax.chain import Chain
from rival_jax.checkpoint import StableDiffusion
from rival_jax.codec import decode, encode
from rival_jax.generation import generate
from rival_jax.images import load_images
from rival_jax.inversion import invert, kept_bytes
from rival_jax.options import CONVENTIONS, NUM_INFERENCE_STEPS, Align, Initial, Reference, TimestepConvention
from rival_jax.sampling import Prompts, Stage, Watch, stages
from rival_jax.shapes import Pixels, VariationLatents, VariationPixels
from rival_jax.steps import Progress, silent


@dataclass(frozen=True)
class Variations:
    """What `vary` returns.

    images: (E, N, H, W, 3) uint8.
    latents: (E, N, h, w, c) float32, scaled; what generation ended on.
    chain: the exemplars' chain, ready for another `vary`.
    nsfw: bool (E, N), what the checkpoint's safety checker flags; None where it has none. Pictures stay as they are.
    nsfw_scores: (E, N) float32, above 0 where flagged; None as above.
    """

    images: VariationPixels
    latents: VariationLatents
    chain: Chain
    nsfw: np.ndarray | None = None
    nsfw_scores: np.ndarray | None = None

    @property
    def pil(self) -> list[list[Image.Image]]:
        """PIL images, a list of N for each of E exemplars."""
        return [[Image.fromarray(picture) for picture in row] for row in self.images]


@dataclass(frozen=True)
class RivalPipeline(StableDiffusion):
    """A Stable Diffusion checkpoint that varies real photos without training. Made by `from_pretrained`."""

    def invert(
        self,
        images,
        source_prompt: str | Sequence[str] = "",
        num_inference_steps: int = NUM_INFERENCE_STEPS,
        timestep_convention: TimestepConvention = "target",
        height: int | None = None,
        width: int | None = None,
        cache_reference: bool = False,
        *,
        progress: Progress = silent,
    ) -> Chain:
        """Inverts photos along the DDIM chain, in as few batches as memory allows.

        Args:
            images: one or many PIL images, paths or uint8 arrays of any mode, size and orientation;
                they are centre-cropped.
            source_prompt: what the photos show; one, or one an exemplar.
            num_inference_steps: T, the steps of the chain.
            timestep_convention: "target" (the authors' code) or "current" (Eq. 5 to the letter).
            height, width: of the pictures, in pixels, multiples of `factor`; None is the model's own size.
            cache_reference: keep what a reference row would compute again in every generation from this chain, as
                many bytes as `cache_bytes` says. Exact under "current", an approximation under "target".
            progress: called with (stage, steps done, steps in all).

        Raises InputError for any argument out of its range, before anything is computed.
        Source: RIVAL section 3.2, Eq. 5.
        """
        checks.choice("timestep_convention", timestep_convention, CONVENTIONS)
        checks.count("num_inference_steps", num_inference_steps)
        checks.flag("cache_reference", cache_reference)
        self.schedule.timesteps(num_inference_steps)
        pixels = self._load(images, height, width)
        prompts = checks.per_exemplar("source_prompt", source_prompt, len(pixels))
        return self._invert(pixels, prompts, num_inference_steps, timestep_convention, cache_reference, progress)

    def vary(
        self,
        images_or_chain,
        prompt: str | Sequence[str],
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
        *,
        progress: Progress = silent,
        watch: Watch | None = None,
    ) -> Variations:
        """Makes variations of photos, or of an inverted chain; E exemplars x N variations, as many at once as fit.

        Args:
            images_or_chain: photos as for `invert`, or what it returned.
            prompt, negative_prompt: what to draw and what not; one, or one an exemplar.
            source_prompt: what the photos show; None is the chain's, or with photos the prompt itself.
            num_variations: N, of each exemplar.
            num_inference_steps: T; None is the chain's, or with photos 30.
            guidance_scale: weight of the prompt against the negative prompt; one, one an exemplar (E,), or one a
                variation (E, N). Other values compile nothing.
            t_align: 0 ... 1000, training timesteps; above it self-attention reads the exemplar alone, from it down
                the exemplar and itself. Smaller keeps more of the exemplar.
            t_early: 0 ... 1000; above it the statistics are aligned.
            attention_start: 0 ... 1000; above it self-attention is ordinary.
            initial: "shuffle", "gaussian", "inverted" (all N alike, with a warning), "random", or latents
                (E, N, h, w, c).
            reference: "shared" (one reference row) or "paired" (the negative half reads one of the empty prompt).
            align: "noise" (Eq. 7-8), "latent" (the latents themselves, after the step) or "none".
            seed: 0 ... 2**32 - 1; one, or one an exemplar. A variation's noise follows from its exemplar's seed and
                its index alone.
            timestep_convention: None is the chain's, or with photos "target".
            height, width: as for `invert`; None is the chain's, or with photos the model's own size.
            cache_reference: as for `invert`; None is the chain's, or with photos False.
            progress: called with (stage, steps done, steps in all).
            watch: called with (index into the chain, latents (E, N, h, w, c) there), from T down to 0.

        Raises InputError for any argument out of its range or at odds with the chain, before anything is computed.
        Source: RIVAL section 3, Eq. 2-8. Differs: the paper has `guidance_scale` 7, `t_early` 600, `align` "noise" and
        50 steps; ours kept more of the exemplar where we measured both (the model card of the embedded model).
        """
        given = images_or_chain if isinstance(images_or_chain, Chain) else None
        pixels = given.pixels if given else self._load(images_or_chain, height, width)
        if given:
            if source_prompt is not None:
                source_prompt = checks.per_exemplar("source_prompt", source_prompt, len(pixels))
            checks.chain(
                given,
                self.latent_shape(*pixels.shape[1:3]),
                source_prompt=source_prompt,
                num_inference_steps=num_inference_steps,
                timestep_convention=timestep_convention,
                cache_reference=cache_reference,
                height=height,
                width=width,
            )
        if isinstance(initial, str) and initial == "inverted" and num_variations != 1:
            warnings.warn("All variations that start from the inverted latents are the same picture.", stacklevel=2)
        boundaries = {"t_align": t_align, "t_early": t_early, "attention_start": attention_start}
        checks.variation(
            len(pixels),
            prompt=prompt,
            source_prompt=source_prompt,
            negative_prompt=negative_prompt,
            num_variations=num_variations,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            initial=initial,
            reference=reference,
            align=align,
            seed=seed,
            timestep_convention=timestep_convention,
            cache_reference=given.cache_reference if given else cache_reference,
            **boundaries,
        )
        target, negative = (
            checks.per_exemplar(name, value, len(pixels))
            for name, value in (("prompt", prompt), ("negative_prompt", negative_prompt))
        )
        seeds = checks.seeds(seed, len(pixels))
        guidance = checks.guidance(guidance_scale, len(pixels), num_variations)
        asked = NUM_INFERENCE_STEPS if num_inference_steps is None else num_inference_steps
        steps = given.num_inference_steps if given else asked
        timesteps = self.schedule.timesteps(steps)
        start = initial
        if not isinstance(start, str):
            start = checks.initial_array(start, (len(pixels), num_variations, *self.latent_shape(*pixels.shape[1:3])))
        with self.precision():
            texts = {"target": target, "negative": negative, "empty": ("",) * len(pixels)}
            texts = {name: self.embed(text) for name, text in texts.items()}
            chain = given or self._invert(
                pixels,
                target if source_prompt is None else checks.per_exemplar("source_prompt", source_prompt, len(pixels)),
                steps,
                "target" if timestep_convention is None else timestep_convention,
                bool(cache_reference),
                progress,
            )
            latents = jnp.asarray(chain.latents)
            if isinstance(start, str):
                start = initial_latents(latents[-1], seeds, initial=start, num_variations=num_variations)
            start = jnp.asarray(start)
            boundaries = {name: float(value) for name, value in boundaries.items()}
            final = generate(
                self.unet,
                self.schedule,
                latents,
                start,
                Prompts(source=self.embed(chain.source_prompt), **texts),
                guidance,
                stages(
                    timesteps,
                    **boundaries,
                    align=align,
                    reference=reference,
                    kept=chain.cache_reference,
                    backend=self.attention,
                ),
                kept=chain.kept,
                progress=progress,
                watch=watch,
                once=self.stands_in,
            )
            pictures = np.asarray(decode(self.vae, final))
            return Variations(pictures, final, chain, *self._judged(pictures))

    def cache_bytes(
        self,
        num_exemplars: int = 1,
        num_inference_steps: int = NUM_INFERENCE_STEPS,
        height: int | None = None,
        width: int | None = None,
    ) -> int:
        """Bytes on the device that `cache_reference` keeps of so many photos. Raises InputError as `invert` does."""
        for name, value in (("num_exemplars", num_exemplars), ("num_inference_steps", num_inference_steps)):
            checks.count(name, value)
        shape = self.latent_shape(*self._sides(height, width))
        text = self.tokenizer.length, self.unet.config.cross_attention_dim
        return num_exemplars * kept_bytes(self.unet, shape, text, num_inference_steps)

    def reconstruct(self, chain: Chain, *, progress: Progress = silent) -> Pixels:
        """The exemplars as plain DDIM draws them from the chain's end, uint8 (E, H, W, 3): how well they inverted.

        Told the source prompt, without guidance. Raises InputError for a chain of another model.
        """
        checks.chain(chain, self.latent_shape(*chain.pixels.shape[1:3]))
        with self.precision():
            text = self.embed(chain.source_prompt)
            latents = jnp.asarray(chain.latents)
            final = generate(
                self.unet,
                self.schedule,
                latents,
                latents[-1][:, None],
                Prompts(source=text, target=text, negative=text, empty=text),
                np.ones((latents.shape[1], 1), np.float32),
                [(Stage("plain", "none", references=0, backend=self.attention), len(latents) - 1)],
                progress=progress,
                once=self.stands_in,
            )
            return np.asarray(decode(self.vae, final))[:, 0]

    def warmup(self, num_exemplars: int = 1, prompt: str = "", *, progress: Progress = silent, **arguments) -> None:
        """Compiles what `vary` of so many photos with these arguments will run, and `reconstruct` after it.

        Runs a few steps of each kind. Raises InputError as `vary` does.
        """
        gray = np.full((num_exemplars, 64, 64, 3), 128, np.uint8)  # cropped to whatever is asked for
        short = replace(self, stands_in=True)
        out = short.vary(gray, prompt, **arguments, progress=progress)
        short.reconstruct(out.chain, progress=progress)

    def _invert(
        self, pixels: Pixels, prompts: tuple[str, ...], steps: int, convention, keep: bool, progress: Progress
    ) -> Chain:
        """The chain of pictures that are loaded already."""
        with self.precision():
            latents, kept = invert(
                self.unet,
                self.schedule,
                encode(self.vae, pixels),
                self.embed(prompts),
                num_inference_steps=steps,
                timestep_convention=convention,
                keep=keep,
                backend=self.attention,
                progress=progress,
                once=self.stands_in,
            )
        return Chain(latents, pixels, prompts, convention, kept)

    def _judged(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
        """The safety checker's verdicts and scores, (E, N) each, of pictures (E, N, H, W, 3)."""
        if self.safety_checker is None:
            return None, None
        nsfw, scores = self.safety_checker(pictures.reshape(-1, *pictures.shape[2:]))
        return nsfw.reshape(pictures.shape[:2]), scores.reshape(pictures.shape[:2])

    def _load(self, images, height: int | None, width: int | None) -> np.ndarray:
        return load_images(images, *self._sides(height, width))

    def _sides(self, height: int | None, width: int | None) -> tuple[int, int]:
        """What is asked for, or the model's own."""
        sides = (("height", height), ("width", width))
        high, wide = (checks.side(name, value, self.size, self.factor) for name, value in sides)
        return high, wide
