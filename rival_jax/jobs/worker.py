"""What draws a shard: the model, loaded once, and what it makes of a batch of exemplars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from rival_jax.batches import undivided
from rival_jax.errors import JobError
from rival_jax.images import psnr
from rival_jax.jobs.inputs.captions import captioner
from rival_jax.jobs.job import Setting
from rival_jax.jobs.plan import Plan
from rival_jax.jobs.sample import Sample
from rival_jax.jobs.verdicts import LabelJudge
from rival_jax.pipeline import RivalPipeline
from rival_jax.weights.fingerprint import fingerprint


@dataclass(frozen=True)
class Exemplar:
    """A picture that is to be varied.

    sha256: of its file. size: its own (width, height). pixels: (height, width, 3) uint8, what the model sees.
    image: at its own size, where the output wants that.
    """

    sample: Sample
    sha256: str
    size: tuple[int, int]
    pixels: np.ndarray
    image: Image.Image | None

    @property
    def side(self) -> tuple[int, int]:
        """Height and width of its bucket."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True)
class Made:
    """A variation: its picture (H, W, 3) uint8, or the sentence that says why there is none.

    nsfw, nsfw_score: None where nothing was checked.
    """

    pixels: np.ndarray | None
    message: str = ""
    nsfw: bool | None = None
    nsfw_score: float | None = None


@dataclass(frozen=True)
class Varied:
    """What became of an exemplar: its caption, how well it inverted (dB), and its variations in order."""

    caption: str
    psnr: float | None
    variations: list[Made]


@dataclass(frozen=True)
class Worker:
    """The model of a plan's job, and what judges its pictures. Made by `load`.

    plan: the job's.
    pipe: what draws.
    model: fingerprint of the weights.
    judge: CLIP and the labels that it tells apart, where the job filters by labels, else None.
    caption: what makes captions of PIL images, where the job names a captioner, else None.
    """

    plan: Plan
    pipe: RivalPipeline
    model: str
    judge: LabelJudge | None
    caption: Callable[[list[Image.Image]], list[str]] | None

    @classmethod
    def load(cls, plan: Plan) -> Worker:
        """Loads what the job of `plan` names.

        Raises InputError where that cannot be loaded, or is not what the job began with.
        """
        job = plan.job
        caption = captioner(job.caption.captioner) if job.caption.captioner else None
        judge = LabelJudge.load(plan) if job.filters.labels else None
        pipe = RivalPipeline.from_pretrained(job.model.name, job.model.dtype, config=job.model.config)
        pipe = pipe if job.filters.nsfw else replace(pipe, safety_checker=None)
        model = fingerprint(pipe.directory, pipe.file)
        plan.check_networks(model, pipe.dtype)
        return cls(plan, pipe, model, judge, caption)

    @property
    def size(self) -> int:
        """Pictures have about this many pixels squared."""
        return self.plan.job.model.size or self.pipe.size

    def vary(self, batch: Sequence[Exemplar]) -> list[Varied]:
        """Varies a `batch` of up to `batch_size` exemplars of one size, always in the same shape.

        Where the batch fails, each exemplar is tried alone, so that one cannot fail the others. Raises JobError where
        memory does not suffice.
        """
        try:
            return self._vary(batch)
        except Exception as error:  # noqa: BLE001 (whatever it is, it belongs to the rows of these exemplars)
            if "RESOURCE_EXHAUSTED" in str(error):
                needs = "a smaller batch_size, size or num_variations, or bfloat16, need less"
                raise JobError(f"Too little memory on the device; {needs} (in a new output folder).") from error
            if len(batch) > 1:
                return [varied for exemplar in batch for varied in self.vary([exemplar])]
            failed = Made(None, _sentence(error))
            return [Varied(batch[0].sample.caption or "", None, [failed] * self.plan.job.num_variations)]

    def _vary(self, batch: Sequence[Exemplar]) -> list[Varied]:
        job, count = self.plan.job, len(batch)
        captions = self._captions(batch)
        filled = [*range(count), *[count - 1] * (job.batch_size - count)]
        pixels = np.stack([batch[place].pixels for place in filled])
        chains, drawn = {}, []
        with undivided():
            for number, setting in enumerate(job.recipe):
                steps = setting.num_inference_steps
                if steps not in chains:
                    height, width = pixels.shape[1:3]
                    source = [captions[place] for place in filled]
                    chains[steps] = self.pipe.invert(pixels, source, steps, height=height, width=width)
                drawn.append(self._drawn(number, setting, chains[steps], batch, captions, filled))
            decibels = [None] * count
            if job.filters.min_psnr:
                chain = next(iter(chains.values()))
                decibels = [float(value) for value in psnr(pixels, self.pipe.reconstruct(chain))[:count].round(3)]
        return [
            Varied(captions[place], decibels[place], _by_turns([made[place] for made in drawn], job.num_variations))
            for place in range(count)
        ]

    def _captions(self, batch: Sequence[Exemplar]) -> list[str]:
        if self.caption is None:
            return [exemplar.sample.caption or "" for exemplar in batch]
        return list(self.caption([Image.fromarray(exemplar.pixels) for exemplar in batch]))

    def _drawn(self, number: int, setting: Setting, chain, batch, captions, filled: list[int]) -> list[list[Made]]:
        """The variations of each exemplar of a batch by one setting of the recipe."""
        job, drawn = self.plan.job, range(number, self.plan.job.num_variations, len(self.plan.job.recipe))
        prompts = [prompt(setting, exemplar.sample, text) for exemplar, text in zip(batch, captions, strict=True)]
        guidance = [[guidance_scale(job.seed, setting, each.sample, v) for v in drawn] for each in batch]
        seeds = [exemplar.sample.seed(job.seed, number) for exemplar in batch]
        out = self.pipe.vary(
            chain,
            [prompts[place] for place in filled],
            negative_prompt=setting.negative_prompt,
            num_variations=len(drawn),
            guidance_scale=np.asarray([guidance[place] for place in filled], np.float32),
            t_align=setting.t_align,
            t_early=setting.t_early,
            attention_start=setting.attention_start,
            initial=setting.initial,
            align=setting.align,
            reference=setting.reference,
            seed=[seeds[place] for place in filled],
        )
        finite = np.asarray(np.isfinite(np.asarray(out.latents)).all(axis=(2, 3, 4)))

        def made(e: int, n: int) -> Made:
            if not finite[e, n]:
                return Made(None, "The latents are not finite numbers; another dtype or other weights may help.")
            if out.nsfw is None or out.nsfw_scores is None:
                return Made(out.images[e, n])
            return Made(out.images[e, n], "", bool(out.nsfw[e, n]), round(float(out.nsfw_scores[e, n]), 4))

        return [[made(e, n) for n in range(len(drawn))] for e in range(len(batch))]


def prompt(setting: Setting, sample: Sample, caption: str) -> str:
    """What a setting shall draw of a sample."""
    return setting.prompt.format(caption=caption, label=sample.label or "")


def guidance_scale(job_seed: int, setting: Setting, sample: Sample, variation: int) -> float:
    """A variation's own guidance: the setting's, or one drawn from its range."""
    if not isinstance(setting.guidance_scale, tuple):
        return setting.guidance_scale
    low, high = setting.guidance_scale
    return round(low + (high - low) * sample.seed(job_seed, -1, variation) / 2**32, 4)


def _by_turns(drawn: list[list[Made]], count: int) -> list[Made]:
    """The settings' variations in the order of their numbers."""
    return [drawn[v % len(drawn)][v // len(drawn)] for v in range(count)]


def _sentence(error: Exception) -> str:
    """An exception in a line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
