"""Photos and prompts in, variations out: the whole of RIVAL behind three calls."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from rival_jax import checks
from rival_jax.alignment import initial_latents
from rival_jax.checkpoint import device_dtype, plans
from rival_jax.codec import decode, encode
from rival_jax.errors import InputError
from rival_jax.images import load_images
from rival_jax.inversion import Chain, invert
from rival_jax.models.network import Network
from rival_jax.options import CONVENTIONS, NUM_INFERENCE_STEPS, Align, DType, Initial, Reference, TimestepConvention
from rival_jax.sampling import Prompts, Stage, Watch, generate, stages
from rival_jax.schedule import Schedule
from rival_jax.shapes import Pixels, TextEmbedding, VariationLatents, VariationPixels
from rival_jax.steps import Progress, silent
from rival_jax.text import Tokenizer, embed
from rival_jax.weights import load_state


@dataclass(frozen=True)
class Variations:
    """What `vary` returns.

    images: (E, N, H, W, 3) uint8.
    latents: (E, N, h, w, c) float32, scaled; what generation ended on.
    chain: the exemplars' chain, ready for another `vary`.
    """

    images: VariationPixels
    latents: VariationLatents
    chain: Chain

    @property
    def pil(self) -> list[list[Image.Image]]:
        """PIL images, a list of N for each of E exemplars."""
        return [[Image.fromarray(picture) for picture in row] for row in self.images]


@dataclass(frozen=True)
class RivalPipeline:
    """A Stable Diffusion checkpoint that varies real photos without training. Made by `from_pretrained`."""

    unet: Network
    vae: Network
    text_encoder: Network
    tokenizer: Tokenizer
    schedule: Schedule
    directory: Path
    dtype: str

    @classmethod
    def from_pretrained(cls, model: str | Path = "tiny", dtype: DType | None = None) -> RivalPipeline:
        """Loads a model.

        Args:
            model: "tiny" (the embedded model), a directory in the diffusers layout, or a hub id.
            dtype: of the UNet and the text encoder: "float32" (full-precision matrix products too), "bfloat16",
                "float16", or None for what suits the device. The VAE is always float32.

        Raises InputError for a model that cannot be found or read, before any weight is loaded.
        """
        dtype = device_dtype() if dtype is None else dtype
        directory, schedule, parts = plans(model, dtype)
        tokenizer = Tokenizer.from_pretrained(directory / "tokenizer", parts[-1].config)
        unet, vae, text_encoder = (Network(part.graphdef, load_state(part), part.config) for part in parts)
        return cls(unet, vae, text_encoder, tokenizer, schedule, directory, dtype)

    @property
    def size(self) -> int:
        """The model's own picture size, in pixels."""
        return self.unet.config.sample_size * self.vae.config.factor

    @property
    def factor(self) -> int:
        """Heights and widths are multiples of this many pixels."""
        return self.unet.config.factor * self.vae.config.factor

    def invert(
        self,
        images,
        source_prompt: str | Sequence[str] = "",
        num_inference_steps: int = NUM_INFERENCE_STEPS,
        timestep_convention: TimestepConvention = "target",
        height: int | None = None,
        width: int | None = None,
        *,
        progress: Progress = silent,
    ) -> Chain:
        """Inverts photos along the DDIM chain, all in one batch.

        Args:
            images: one or many PIL images, paths or uint8 arrays of any mode, size and orientation;
                they are centre-cropped.
            source_prompt: what the photos show; one, or one an exemplar.
            num_inference_steps: T, the steps of the chain.
            timestep_convention: "target" (the authors' code) or "current" (Eq. 5 to the letter).
            height, width: of the pictures, in pixels, multiples of `factor`; None is the model's own size.
            progress: called with (stage, steps done, steps in all).

        Raises InputError for any argument out of its range, before anything is computed.
        Source: RIVAL section 3.2, Eq. 5.
        """
        checks.choice("timestep_convention", timestep_convention, CONVENTIONS)
        checks.count("num_inference_steps", num_inference_steps)
        self.schedule.timesteps(num_inference_steps)
        pixels = self._load(images, height, width)
        prompts = checks.per_exemplar("source_prompt", source_prompt, len(pixels))
        return self._invert(pixels, prompts, num_inference_steps, timestep_convention, progress)

    def vary(
        self,
        images_or_chain,
        prompt: str | Sequence[str],
        source_prompt: str | Sequence[str] | None = None,
        negative_prompt: str | Sequence[str] = "",
        num_variations: int = 1,
        num_inference_steps: int | None = None,
        guidance_scale: float = 5.0,
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
        *,
        progress: Progress = silent,
        watch: Watch | None = None,
    ) -> Variations:
        """Makes variations of photos, or of an inverted chain; E exemplars x N variations in one program.

        Args:
            images_or_chain: photos as for `invert`, or what it returned.
            prompt, negative_prompt: what to draw and what not; one, or one an exemplar.
            source_prompt: what the photos show; None is the chain's, or with photos the prompt itself.
            num_variations: N, of each exemplar.
            num_inference_steps: T; None is the chain's, or with photos 30.
            guidance_scale: weight of the prompt against the negative prompt.
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
            progress: called with (stage, steps done, steps in all).
            watch: called with (index into the chain, latents (E, N, h, w, c) there), from T down to 0.

        Raises InputError for any argument out of its range or at odds with the chain, before anything is computed.
        Source: RIVAL section 3, Eq. 2-8. Differs: the paper has `guidance_scale` 7, `t_early` 600, `align` "noise" and
        50 steps; ours kept more of the exemplar where we measured both (the model card of the embedded model).
        """
        given = images_or_chain if isinstance(images_or_chain, Chain) else None
        if given:
            self._check_chain(given, source_prompt, num_inference_steps, timestep_convention, height, width)
        pixels = given.pixels if given else self._load(images_or_chain, height, width)
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
            **boundaries,
        )
        target, negative = (
            checks.per_exemplar(name, value, len(pixels))
            for name, value in (("prompt", prompt), ("negative_prompt", negative_prompt))
        )
        seeds = checks.seeds(seed, len(pixels))
        asked = NUM_INFERENCE_STEPS if num_inference_steps is None else num_inference_steps
        steps = given.num_inference_steps if given else asked
        timesteps = self.schedule.timesteps(steps)
        start = initial
        if not isinstance(start, str):
            start = checks.initial_array(start, (len(pixels), num_variations, *self._latent_shape(pixels)))
        with self._precision():
            texts = {"target": target, "negative": negative, "empty": ("",) * len(pixels)}
            texts = {name: self._embed(text) for name, text in texts.items()}
            chain = given or self._invert(
                pixels,
                target if source_prompt is None else checks.per_exemplar("source_prompt", source_prompt, len(pixels)),
                steps,
                "target" if timestep_convention is None else timestep_convention,
                progress,
            )
            latents = jnp.asarray(chain.latents)
            if isinstance(start, str):
                start = initial_latents(latents[-1], seeds, initial=start, num_variations=num_variations)
            else:  # where the chain is, or jit would compile anew
                start = jax.device_put(start, latents.device)
            boundaries = {name: float(value) for name, value in boundaries.items()}
            final = generate(
                self.unet,
                self.schedule,
                latents,
                start,
                Prompts(source=self._embed(chain.source_prompt), **texts),
                stages(timesteps, **boundaries, align=align, reference=reference),
                guidance_scale=float(guidance_scale),
                progress=progress,
                watch=watch,
            )
            return Variations(np.asarray(decode(self.vae, final)), final, chain)

    def reconstruct(self, chain: Chain, *, progress: Progress = silent) -> Pixels:
        """The exemplars as plain DDIM draws them from the chain's end, uint8 (E, H, W, 3): how well they inverted.

        Told the source prompt, without guidance. Raises InputError for a chain of another model.
        """
        self._check_latents(chain)
        with self._precision():
            text = self._embed(chain.source_prompt)
            latents = jnp.asarray(chain.latents)
            final = generate(
                self.unet,
                self.schedule,
                latents,
                latents[-1][:, None],
                Prompts(source=text, target=text, negative=text, empty=text),
                [(Stage("plain", "none", references=0), len(latents) - 1)],
                guidance_scale=1.0,
                progress=progress,
            )
            return np.asarray(decode(self.vae, final))[:, 0]

    def _invert(self, pixels: Pixels, prompts: tuple[str, ...], steps: int, convention, progress: Progress) -> Chain:
        """The chain of pictures that are loaded already."""
        with self._precision():
            latents = invert(
                self.unet,
                self.schedule,
                encode(self.vae, pixels),
                self._embed(prompts),
                num_inference_steps=steps,
                timestep_convention=convention,
                progress=progress,
            )
        return Chain(latents, pixels, prompts, convention)

    def _load(self, images, height: int | None, width: int | None) -> np.ndarray:
        height = checks.side("height", height, self.size, self.factor)
        width = checks.side("width", width, self.size, self.factor)
        return load_images(images, height, width)

    def _check_chain(
        self, chain: Chain, source_prompt, num_inference_steps, timestep_convention, height, width
    ) -> None:
        """Raises InputError where an argument is at odds with the chain, or the chain with the model."""
        if source_prompt is not None:
            source_prompt = checks.per_exemplar("source_prompt", source_prompt, len(chain.pixels))
        checks.agrees("source_prompt", source_prompt, chain.source_prompt)
        checks.agrees("num_inference_steps", num_inference_steps, chain.num_inference_steps)
        checks.agrees("timestep_convention", timestep_convention, chain.timestep_convention)
        checks.agrees("height", height, chain.pixels.shape[1])
        checks.agrees("width", width, chain.pixels.shape[2])
        self._check_latents(chain)

    def _check_latents(self, chain: Chain) -> None:
        expected = self._latent_shape(chain.pixels)
        if chain.latents.shape[2:] != expected:
            raise InputError(
                f"The chain's latents are {chain.latents.shape[2:]}, but this model's would be {expected}."
            )

    def _latent_shape(self, pixels: np.ndarray) -> tuple[int, int, int]:
        """(h, w, c) of the latents of pixels (e, H, W, 3)."""
        factor = self.vae.config.factor
        return pixels.shape[1] // factor, pixels.shape[2] // factor, self.unet.config.in_channels

    def _precision(self) -> AbstractContextManager:
        """ "float32" means full-precision matrix products, also where a device would round their inputs."""
        return jax.default_matmul_precision("highest") if self.dtype == "float32" else nullcontext()

    def _embed(self, prompts: tuple[str, ...]) -> TextEmbedding:
        return embed(self.text_encoder, self.tokenizer(prompts))
