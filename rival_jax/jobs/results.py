"""From what was drawn of an exemplar to its rows: filters in their order, and files of what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from PIL import Image

from rival_jax.jobs.job import ImageFormat
from rival_jax.jobs.rows import Row, readable
from rival_jax.jobs.sample import Sample
from rival_jax.jobs.shards import publishing
from rival_jax.jobs.shards.provenance import encode
from rival_jax.jobs.verdicts import distance_to, thumbnail, verdict
from rival_jax.jobs.worker import Exemplar, Varied, Worker, guidance_scale, prompt

Encoded = list[tuple[Row, "Future[bytes] | None"]]
"""Rows, each with its file in the making."""


def unread(worker: Worker, sample: Sample, message: str) -> Encoded:
    """The rows of a sample that cannot be read."""
    job = worker.plan.job
    wanted = [*([None] if job.output.originals else []), *range(job.num_variations)]
    row = _row(worker, sample, sample.caption or "")
    return [(replace(row(v), status="failed_to_read", message=message), None) for v in wanted]


def judged(worker: Worker, shard: int, exemplar: Exemplar, varied: Varied, encoders: ThreadPoolExecutor) -> Encoded:
    """The rows of an exemplar's variations after all filters, with the files of those that are kept."""
    plan, job, sample = worker.plan, worker.plan.job, exemplar.sample
    row = _row(worker, sample, varied.caption)
    size = exemplar.size if job.output.restore_size else (exemplar.pixels.shape[1], exemplar.pixels.shape[0])
    rows: Encoded = []

    def keep(kept: Row, image: Image.Image) -> None:
        kept = replace(kept, width=size[0], height=size[1])
        kept = replace(kept, file_name=publishing.file_name(plan, shard, sample, kept.variation))
        note = kept if job.output.provenance and kept.variation is not None else None
        rows.append((kept, encoders.submit(_encode, image, size, job.output.image_format, note)))

    common = {"source_sha256": exemplar.sha256, "psnr": varied.psnr}
    if job.output.originals:
        keep(replace(row(None), **common), exemplar.image or Image.fromarray(exemplar.pixels))
    accepted = [thumbnail(exemplar.pixels)]
    for variation, (made, (found, score)) in enumerate(
        zip(varied.variations, _labels(worker, sample, varied), strict=True)
    ):
        own = replace(row(variation), **common, nsfw=made.nsfw, nsfw_score=made.nsfw_score)
        if made.pixels is None:
            rows.append((replace(own, status="failed_to_generate", message=made.message), None))
            continue
        small = thumbnail(made.pixels)
        distance, nearest = distance_to(small, accepted)
        own = replace(own, label_found=found, label_score=score, distance=distance)
        status, message = verdict(own, job.filters, nearest)
        if status == "success":
            accepted.append(small)
            keep(own, Image.fromarray(made.pixels))
        else:
            rows.append((replace(own, status=status, message=message), None))
    return rows


def _labels(worker: Worker, sample: Sample, varied: Varied) -> Iterator[tuple[str | None, float | None]]:
    """For each variation the likeliest label and the probability of its own; None where nothing was looked at."""
    pictures = [made.pixels for made in varied.variations if made.pixels is not None]
    found = iter(worker.judge(np.stack(pictures), [sample.label] * len(pictures)) if worker.judge and pictures else ())
    for made in varied.variations:
        yield (None, None) if made.pixels is None else next(found, (None, None))


def _row(worker: Worker, sample: Sample, caption: str) -> Callable[[int | None], Row]:
    """What the rows of a sample's variations have in common; None is the exemplar itself."""
    job = worker.plan.job

    def row(variation: int | None) -> Row:
        number = None if variation is None else variation % len(job.recipe)
        setting = None if number is None else job.recipe[number]
        return Row(
            key=sample.key,
            file_name=None,
            status="success",
            message="",
            source_id=readable(sample.id),
            source_sha256=None,
            label=sample.label and readable(sample.label),
            caption=caption,
            variation=variation,
            recipe=number,
            prompt=setting and prompt(setting, sample, caption),
            negative_prompt=setting and setting.negative_prompt,
            seed=None if number is None else sample.seed(job.seed, number),
            guidance_scale=None if setting is None else guidance_scale(job.seed, setting, sample, variation or 0),
            model=worker.model,
            width=None,
            height=None,
        )

    return row


def _encode(image: Image.Image, size: tuple[int, int], image_format: ImageFormat, note: Row | None) -> bytes:
    """A picture as a file, resized where its exemplar's own size is wanted."""
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    return encode(image, image_format, note)
