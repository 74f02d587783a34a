"""Finished shards without a model: plans that no input lies under, and pictures of one colour."""

from pathlib import Path

from PIL import Image

from rival_jax.jobs.job import make_job
from rival_jax.jobs.plan import Plan
from rival_jax.jobs.rows import Row
from rival_jax.jobs.sample import Sample
from rival_jax.jobs.shards import publishing
from rival_jax.jobs.shards.provenance import encode

FORMATS = ("folder", "webdataset", "parquet")
LABELS = (None, "cat", "dog/wolf", "Cat")
VARIATIONS = 2
SIZE = 4
"""Samples of a shard."""


def plan_of(folder: Path, form: str, samples: int = 14, labels=LABELS, **output) -> Plan:
    """The plan of a job that has just been planned, without its list of samples."""
    for name in ("records", "data", "staging"):
        (folder / name).mkdir(parents=True)
    content = {
        "input": {"path": "photos"},
        "output": {"path": str(folder), "format": form, **output},
        "recipe": [{"prompt": "a | b `c`", "guidance_scale": [3, 6]}, {"preset": "close"}],
        "num_variations": VARIATIONS,
        "shard_size": SIZE,
    }
    return Plan(make_job(content), folder, samples, tuple(sorted(filter(None, labels))))


def shard_of(plan: Plan, shard: int, labels=LABELS, run: int = SIZE) -> publishing.Shard:
    """A shard's content, each label for a run of samples. Sample 1 cannot be read, sample 2 loses a variation."""
    rows, files = [], {}
    for number in range(shard * SIZE, min((shard + 1) * SIZE, plan.num_samples)):
        sample = Sample(f"photos/{number}.jpg", {}, labels[number // run % len(labels)], None)
        wanted = [*([None] if plan.job.output.originals else []), *range(VARIATIONS)]
        for variation in wanted:
            row = row_of(sample, variation)
            if number == 1:
                row = row_of(sample, variation, status="failed_to_read", message="It is no picture.")
            elif number == 2 and variation == 1:
                row = row_of(
                    sample, variation, status="filtered_duplicate", message="It is the exemplar.", distance=0.0
                )
            else:
                name = publishing.file_name(plan, shard, sample, variation)
                row = row_of(
                    sample, variation, file_name=name, psnr=20.0 + number if sample.label else None, distance=0.5
                )
                image = Image.new("RGB", (8, 6), colour_of(row))
                files[name] = encode(image, plan.job.output.image_format, None if variation is None else row)
            rows.append(row)
    return publishing.Shard(rows, files)


def colour_of(row: Row) -> tuple[int, int, int]:
    """Of a row's picture."""
    return int(Path(row.source_id).stem) * 10, 100 if row.variation is None else row.variation * 50, 30


def row_of(sample: Sample, variation: int | None, **values) -> Row:
    """A row that succeeded unless it says otherwise."""
    number = None if variation is None else variation % 2
    common = {
        "key": sample.key,
        "file_name": None,
        "status": "success",
        "message": "",
        "source_id": sample.id,
        "source_sha256": "5e" * 32,
        "label": sample.label,
        "caption": "a thing",
        "variation": variation,
        "recipe": number,
        "prompt": None if number is None else "a <drawn> thing & more",
        "negative_prompt": None if number is None else "",
        "seed": None if number is None else 2**32 - 1,
        "guidance_scale": None if number is None else 4.5,
        "model": "0123abcd",
        "width": 8,
        "height": 6,
    }
    return Row(**common | values)


def publish_all(plan: Plan, labels=LABELS) -> list[Row]:
    """Publishes every shard; the rows of pictures that were made."""
    contents = [shard_of(plan, shard, labels) for shard in range(plan.num_shards)]
    for shard, content in enumerate(contents):
        publishing.publish(plan, shard, content, 2.5)
    return [row for content in contents for row in content.rows if row.status == "success"]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
