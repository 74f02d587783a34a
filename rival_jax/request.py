"""What a generation is asked for, checked and made whole before anything is computed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, Self

from rival_jax import checks
from rival_jax.chain import Chain
from rival_jax.conditioning import Conditioner
from rival_jax.errors import InputError
from rival_jax.options import NUM_INFERENCE_STEPS, Align, Backend, Reference, Solver
from rival_jax.sampling import Watch
from rival_jax.schedule import Schedule
from rival_jax.stages import Stages, stages
from rival_jax.steps import Progress, silent


@dataclass(frozen=True)
class Request:
    """The arguments of `RivalPipeline.vary`, which explains them; the other applications change some defaults.

    What is Any may be left open, or be given in several forms, until it is `completed`.
    """

    prompt: Any
    source_prompt: Any = None
    negative_prompt: Any = ""
    num_variations: int = 1
    num_inference_steps: Any = None
    guidance_scale: Any = 5.0
    t_align: float = 600
    t_early: float = 300
    attention_start: float = 1000
    initial: Any = "shuffle"
    reference: Reference = "shared"
    align: Align = "latent"
    seed: Any = 0
    timestep_convention: Any = None
    height: int | None = None
    width: int | None = None
    cache_reference: Any = None
    solver: Solver = "ddim"
    fixed_point_steps: Any = None
    controlnet: Any = None
    control_image: Any = None
    controlnet_scale: Any = 1.0
    noise_level: int = 0
    strength: float = 1.0
    progress: Progress = silent
    watch: Watch | None = None

    def completed(
        self, exemplars: int, latents: tuple[int, int, int], chain: Chain | None, conditioner: Conditioner
    ) -> Self:
        """The same with nothing left open: texts and seeds an exemplar, guidance a variation, arrays in float32.

        Args:
            exemplars: E. latents: (h, w, c). chain: the one that was given, whose arguments are the request's own.
            conditioner: the model's, which says what it is told.

        Raises InputError for any argument out of its range or at odds with the chain or the model.
        """
        prompt = self._prompt(conditioner)
        inverted = chain or self  # which says how the photos are, or were, inverted
        if chain:
            self._check_chain(exemplars, latents, chain)
            if chain.null is not None:
                checks.no_negative_prompt(self.negative_prompt, exemplars)
        given = {name: getattr(self, name) for name in _CHECKED} | {"prompt": prompt}
        checks.variation(exemplars, **given, cache_reference=inverted.cache_reference)
        guidance = checks.guidance(self.guidance_scale, exemplars, self.num_variations)
        is_inverted = isinstance(self.initial, str) and self.initial == "inverted"
        if is_inverted and self.num_variations != 1 and (guidance == guidance[:, :1]).all():
            warnings.warn("All variations that start from the inverted latents are the same picture.", stacklevel=4)
        initial = self.initial
        if not isinstance(initial, str):
            initial = checks.initial_array(initial, (exemplars, self.num_variations, *latents))
        source = chain.source_prompt if chain else prompt if self.source_prompt is None else self.source_prompt
        return replace(
            self,
            prompt=checks.per_exemplar("prompt", prompt, exemplars),
            source_prompt=checks.per_exemplar("source_prompt", source, exemplars),
            negative_prompt=checks.per_exemplar("negative_prompt", self.negative_prompt, exemplars),
            num_inference_steps=inverted.num_inference_steps or NUM_INFERENCE_STEPS,
            guidance_scale=guidance,
            initial=initial,
            seed=checks.seeds(self.seed, exemplars),
            timestep_convention=inverted.timestep_convention or "target",
            cache_reference=bool(inverted.cache_reference),
            fixed_point_steps=inverted.fixed_point_steps or 0,
        )

    def _prompt(self, conditioner: Conditioner) -> Any:
        """The prompt, which some models can do without and others cannot read."""
        if not conditioner.texts:
            for name in ("prompt", "source_prompt", "negative_prompt"):
                if getattr(self, name):
                    raise InputError(f"{name} is {getattr(self, name)!r}, but the model reads none: leave it out.")
        if self.prompt is None and not conditioner.pictures:
            raise InputError("prompt is missing: say what the pictures show.")
        if self.noise_level and not (conditioner.pictures and conditioner.pictures.noising):
            raise InputError(f"noise_level is {self.noise_level!r}, but only Stable unCLIP has one; accepted: 0.")
        return "" if self.prompt is None else self.prompt

    def _check_chain(self, exemplars: int, latents: tuple[int, int, int], chain: Chain) -> None:
        """Raises InputError where the chain is of another model, or was inverted otherwise than is asked for."""
        source = self.source_prompt
        checks.chain(
            chain,
            latents,
            source_prompt=None if source is None else checks.per_exemplar("source_prompt", source, exemplars),
            num_inference_steps=self.num_inference_steps,
            timestep_convention=self.timestep_convention,
            cache_reference=self.cache_reference,
            fixed_point_steps=self.fixed_point_steps,
            height=self.height,
            width=self.width,
        )

    @property
    def num_generation_steps(self) -> int:
        """Of a completed request: from where in the chain generation starts."""
        return max(round(self.strength * self.num_inference_steps), 1)

    def stages(self, schedule: Schedule, backend: Backend | None) -> Stages:
        """The plan of a completed request.

        Raises InputError for noise alignment at a level without signal, from which no noise tells the picture.
        """
        if self.align == "noise" and schedule.levels(self.num_inference_steps)[-1] == 0:
            raise InputError(
                "align is 'noise', but the model's noisiest level is noise alone (rescale_betas_zero_snr); "
                "accepted: 'latent', 'none'."
            )
        return stages(
            schedule.timesteps(self.num_inference_steps)[: self.num_generation_steps],
            t_align=float(self.t_align),
            t_early=float(self.t_early),
            attention_start=float(self.attention_start),
            align=self.align,
            reference=self.reference,
            kept=self.cache_reference,
            backend=backend,
        )


_CHECKED = (
    *("prompt", "source_prompt", "negative_prompt", "num_variations", "num_inference_steps", "guidance_scale"),
    *("t_align", "t_early", "attention_start", "initial", "reference", "align", "seed", "timestep_convention"),
    *("solver", "fixed_point_steps", "noise_level", "strength"),
)
"""What is in its range or not whatever the model is."""
