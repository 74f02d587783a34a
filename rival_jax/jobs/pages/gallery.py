"""The gallery: a page that shows what a job made, for eyes. It opens from disk and needs nothing but its folder."""

from __future__ import annotations

import io
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from rival_jax.errors import InputError
from rival_jax.jobs.inputs.loading import load
from rival_jax.jobs.pages.page import Strip, Thumb, page
from rival_jax.jobs.plan import Plan
from rival_jax.jobs.rows import Row, readable
from rival_jax.jobs.sample import Sample
from rival_jax.jobs.shards import publishing
from rival_jax.outputs import prepare_folder

_MOST = 200
"""Exemplars on a page."""
_THUMB = 320
"""Pixels, the longest side of a thumbnail."""


@dataclass(frozen=True)
class Entry:
    """An exemplar and the pictures that were made of it. What does not exist or cannot be read has no image."""

    id: str
    label: str | None
    caption: str
    exemplar: Image.Image | None
    pictures: list[tuple[Row, Image.Image | None]]


def gallery(plan: Plan) -> Path:
    """Writes the gallery of what `plan` has made so far, in its folder, in place of an earlier one; returns its page.

    Raises InputError where no shard is done.
    """
    done = sorted(plan.done())
    if not done:
        raise InputError(f"The job in {plan.folder} has made nothing yet; run it first.")
    total = plan.samples_in(*done)
    count = min(total, _MOST)
    places = [divmod(number * total // count, plan.job.shard_size) for number in range(count)]
    facts = _facts(plan, f"{count:,} of {total:,} exemplars{', evenly chosen' if count < total else ''}")
    entries = (
        entry
        for place, chosen in groupby(places, key=lambda pair: pair[0])
        for entry in _entries(plan, done[place], [inside for _, inside in chosen])
    )
    return write_gallery(plan.folder, plan.folder.name, facts, entries)


def write_gallery(folder: Path, title: str, facts: list[tuple[str, str]], exemplars: Iterable[Entry]) -> Path:
    """Writes folder/gallery: index.html and thumbs/, in place of an earlier gallery; returns the page.

    facts: names and values that the page begins with. One exemplar's pictures are held at a time.
    """
    temporary = prepare_folder(folder) / f".gallery.{uuid.uuid4().hex}.tmp"
    (temporary / "thumbs").mkdir(parents=True)
    try:
        strips = [_strip(temporary, number, folder / "data", entry) for number, entry in enumerate(exemplars)]
        text = page(title, facts, strips)
        (temporary / "index.html").write_bytes(text.encode("utf-8", "backslashreplace"))
        _replace(temporary, folder / "gallery")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder / "gallery" / "index.html"


def _facts(plan: Plan, shown: str) -> list[tuple[str, str]]:
    """What a reader of the page wants to know of the job."""
    job = plan.job
    recipe = [f"{setting.preset}, guidance {_guidance(setting.guidance_scale)}" for setting in job.recipe]
    return [
        ("shown", shown),
        ("done", f"{len(plan.done()):,} of {plan.num_shards:,} shards"),
        ("input", job.input.path),
        ("model", job.model.name),
        ("variations of each", str(job.num_variations)),
        ("recipe", "\n".join(f"{number}: {text}" for number, text in enumerate(recipe)) if recipe[1:] else recipe[0]),
        ("seed", str(job.seed)),
    ]


def _guidance(scale: float | tuple[float, float]) -> str:
    return f"{scale[0]:g} to {scale[1]:g}" if isinstance(scale, tuple) else f"{scale:g}"


def _entries(plan: Plan, shard: int, places: list[int]) -> Iterator[Entry]:
    """Some samples of a shard, by their places in it."""
    samples = plan.samples(shard)
    chosen = [samples[place] for place in places]
    content = publishing.read(plan, shard, {sample.key for sample in samples} - {sample.key for sample in chosen})
    rows: dict[str, list[Row]] = {}
    for row in content.rows:
        if row.variation is not None:
            rows.setdefault(row.key, []).append(row)
    for sample in chosen:
        own = rows.get(sample.key, [])
        yield Entry(
            readable(sample.id),
            sample.label and readable(sample.label),
            own[0].caption if own else sample.caption or "",
            _exemplar(sample),
            [(row, _decoded(content.files.get(row.file_name or ""))) for row in own],
        )


def _exemplar(sample: Sample) -> Image.Image | None:
    try:
        return load(sample).image
    except (InputError, OSError):
        return None


def _decoded(data: bytes | None) -> Image.Image | None:
    """A picture of a file; None where the file is gone or damaged."""
    try:
        return None if data is None else Image.open(io.BytesIO(data)).convert("RGB")
    except (OSError, SyntaxError):
        return None


def _strip(gallery: Path, number: int, data: Path, entry: Entry) -> Strip:
    """An entry with its pictures as thumbnails, which are written."""
    exemplar = entry.exemplar and _thumb(gallery, f"{number:03d}-exemplar", entry.exemplar, None)
    pictures = []
    for place, (row, image) in enumerate(entry.pictures):
        full = None
        if row.file_name is not None and (data / row.file_name).is_file():
            full = quote(f"../data/{row.file_name}", errors="surrogateescape")
        pictures.append((row, image and _thumb(gallery, f"{number:03d}-{place:03d}", image, full)))
    return Strip(entry.id, entry.label, entry.caption, exemplar, pictures)


def _thumb(gallery: Path, name: str, image: Image.Image, full: str | None) -> Thumb:
    small = image.convert("RGB")
    small.thumbnail((_THUMB, _THUMB), Image.Resampling.LANCZOS)
    url = f"thumbs/{name}.jpg"
    small.save(gallery / url, "JPEG", quality=88, subsampling=0)
    return Thumb(url, *small.size, full)


def _replace(new: Path, folder: Path) -> None:
    """Gives a folder its final name; one that had the name is removed."""
    old = new.with_suffix(".old")
    with suppress(FileNotFoundError):
        os.rename(folder, old)
    os.rename(new, folder)
    shutil.rmtree(old, ignore_errors=True)
