"""The reference run on a checkpoint from pictures and prompts, in the shapes that the pipeline gives."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from . import reference as rival
from .comparison import nchw, nhwc


@dataclass(frozen=True)
class Oracle:
    """A checkpoint's torch models; as in the pipeline, the autoencoder is float32 whatever the others are."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    embed: rival.Embed
    scheduler_config: dict

    @classmethod
    def load(cls, directory: Path, dtype: torch.dtype = torch.float32) -> "Oracle":
        text_encoder = CLIPTextModel.from_pretrained(directory / "text_encoder").to(dtype)
        return cls(
            UNet2DConditionModel.from_pretrained(directory / "unet").to(dtype),
            AutoencoderKL.from_pretrained(directory / "vae"),
            rival.embedder(CLIPTokenizer.from_pretrained(directory / "tokenizer"), text_encoder),
            json.loads((directory / "scheduler" / "scheduler_config.json").read_text()),
        )

    def invert(self, pixels: np.ndarray, source_prompts: list[str], steps: int, convention: str) -> np.ndarray:
        """Pictures (E, H, W, 3) uint8 to their chains (T+1, E, h, w, c)."""
        clean = rival.encode(self.vae, nchw(pixels.astype(np.float32) / 127.5 - 1))
        chains = [
            rival.invert(self.unet, latent, self.embed(source), self.scheduler_config, steps, convention)
            for latent, source in zip(clean, source_prompts, strict=True)
        ]
        return nhwc(torch.stack(chains, dim=1))

    def vary(
        self,
        chain: np.ndarray,
        source_prompts: list[str],
        prompts: list[str],
        negative_prompt: str,
        seeds: list[int],
        variations: int,
        *,
        initial: str = "shuffle",
        reference: str = "shared",
        hole: np.ndarray | None = None,
        controls: Sequence[tuple[ControlNetModel, np.ndarray, float]] = (),
        null: np.ndarray | None = None,
        **settings,
    ) -> np.ndarray:
        """Chains (T+1, E, h, w, c) to the final latents (E, N, h, w, c).

        `hole` is (E, h, w), `null` (T, E, m, d); a control is a network, pictures (E, H, W, 3) in [0, 1] and a scale.
        """
        results = []
        for exemplar, (source, prompt, seed) in enumerate(zip(source_prompts, prompts, seeds, strict=True)):
            latents = nchw(chain[:, exemplar])
            start = torch.stack([self.start(latents[-1], initial, seed, n) for n in range(variations)])
            options = dict(settings)
            if hole is not None:
                options["hole"] = torch.from_numpy(hole[exemplar])
                start = torch.stack([self.inside(latents[-1], hole[exemplar], seed, n) for n in range(variations)])
            if null is not None:
                options["null"] = torch.from_numpy(np.array(null[:, exemplar]))
            options["controls"] = [
                rival.Control(network, nchw(pictures[exemplar : exemplar + 1].astype(np.float32)), scale)
                for network, pictures, scale in controls
            ]
            texts = [self.embed(text) for text in (source, prompt, negative_prompt)]
            empty = self.embed("") if reference == "paired" else None
            levels = rival.generate(self.unet, latents, start, *texts, self.scheduler_config, empty=empty, **options)
            results.append(levels[0])
        return nhwc(torch.stack(results))

    @staticmethod
    def start(latent: Tensor, initial: str, seed: int, variation: int) -> Tensor:
        """The initial latent (c, h, w) of one variation, from the random numbers that the package promises for it."""
        key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), variation)
        c, h, w = latent.shape
        if initial == "inverted":
            return latent
        if initial == "shuffle":
            permutation = torch.from_numpy(np.array(jax.random.permutation(key, h * w)))
            return rival.shuffled(latent, permutation[None])[0]
        noise = torch.from_numpy(np.array(jax.random.normal(key, (h * w, c)))).T.reshape(c, h, w)
        return noise if initial == "random" else rival.gaussian(latent, noise[None])[0]

    @staticmethod
    def inside(latent: Tensor, hole: np.ndarray, seed: int, variation: int) -> Tensor:
        """`start` by shuffling the positions of a hole (h, w) among themselves."""
        key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), variation)
        filled = hole.ravel()
        order = [position for position in np.asarray(jax.random.permutation(key, filled.size)) if filled[position]]
        flat = latent.flatten(1).clone()
        flat[:, np.flatnonzero(filled)] = latent.flatten(1)[:, order]
        return flat.reshape(latent.shape)

    def pictures(self, latents: np.ndarray) -> np.ndarray:
        """Latents (E, N, h, w, c) to pictures (E, N, H, W, 3) uint8."""
        decoded = rival.decode(self.vae, nchw(latents).flatten(0, 1)).unflatten(0, latents.shape[:2])
        return np.round(np.clip(nhwc(decoded) * 127.5 + 127.5, 0, 255)).astype(np.uint8)
