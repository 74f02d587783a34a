"""The dataset's card: what its README.md says to people, and to `datasets` and the hub."""

from __future__ import annotations

import json
from typing import Any

from rival_jax.jobs.job import SUFFIXES, Filters, Job, Setting
from rival_jax.jobs.plan import Plan
from rival_jax.jobs.shards.columns import COLUMNS

_FILES = {"folder": "data/**", "webdataset": "data/*.tar", "parquet": "data/*.parquet"}
_SHOWN = ("prompt", "negative_prompt", "guidance_scale", "num_inference_steps", "t_align", "t_early", "attention_start")
_LOADING = {
    "folder": """\
data = datasets.load_dataset("THIS FOLDER", split="train")  # Hugging Face datasets: pictures and all columns
data = torchvision.datasets.ImageFolder("THIS FOLDER/data")  # pictures and labels""",
    "webdataset": """\
data = datasets.load_dataset("THIS FOLDER", split="train")  # Hugging Face datasets: rows are in the column json
data = webdataset.WebDataset(sorted(glob.glob("THIS FOLDER/data/*.tar")), shardshuffle=False).decode("pil")""",
    "parquet": """\
data = datasets.load_dataset("THIS FOLDER", split="train")  # Hugging Face datasets: pictures and all columns
table = pyarrow.parquet.read_table("THIS FOLDER/data")  # or any other reader of parquet files""",
}
_CAUTIONS = """\
- Variations keep what an exemplar shows, not where: its bounding boxes, masks and keypoints do not hold for them.
- Labels are the exemplars' own, and nobody has looked whether each picture shows its label.
- Pictures have the biases of the model and of the exemplars. Evaluate on pictures that were not generated.
- The license follows from those of the exemplars and of the model."""
_PROVENANCE = """\
Each generated file says that it is one, in XMP: IPTC's digital source type `trainedAlgorithmicMedia`, what drew it, its
prompt and parameters, and its exemplar's sha256, but not the exemplar's name."""


def card(plan: Plan, statistics: dict[str, Any]) -> str:
    """The card of a dataset of which `summary.finalize` found these statistics."""
    job = plan.job
    parts = [
        _front(job),
        "# Variations of a dataset's pictures",
        _contents(plan, statistics),
        "## Loading",
        f"```python\n{_LOADING[job.output.format]}\n```",
        "## How it was made",
        _making(job, statistics["models"]),
        _recipe(job.recipe),
        _filters(job.filters),
        _PROVENANCE if job.output.provenance else "Files do not say that they were generated (`provenance = false`).",
        "## Cautions",
        _CAUTIONS,
    ]
    return "\n\n".join(parts) + "\n"


def _front(job: Job) -> str:
    """The part for machines, in YAML, of which JSON is a part.

    It has the columns' types, because `datasets` takes them from the first rows, where a column may be all null.
    """
    kind = job.output.format
    config: dict[str, Any] = {"config_name": "default", "data_files": [{"split": "train", "path": _FILES[kind]}]}
    front = {"license": "unknown", "tags": ["synthetic"], "configs": [config]}
    columns = [{"name": name, "dtype": dtype} for name, dtype in COLUMNS.items()]
    if kind == "folder":
        named = [column for column in columns if column["name"] != "file_name"]
        config["features"] = [{"name": "image", "dtype": "image"}, *named]
    elif kind == "webdataset":
        members = {SUFFIXES[job.output.image_format]: "image", "txt": "string", "cls": "int64"}
        members |= {"__key__": "string", "__url__": "string"}
        features = [{"name": name, "dtype": dtype} for name, dtype in members.items()]
        front["dataset_info"] = {"features": [*features, {"name": "json", "struct": columns}]}
    return "\n".join(["---", *(f"{key}: {json.dumps(value)}" for key, value in front.items()), "---"])


def _contents(plan: Plan, statistics: dict[str, Any]) -> str:
    """What there is, and what is still to come."""
    counts, missing = statistics["pictures"], plan.num_shards - statistics["shards_done"]
    table = ["| status | pictures |", "|---|---|", *(f"| {status} | {count:,} |" for status, count in counts.items())]
    parts = [
        f"{counts.get('success', 0):,} pictures, made from the {plan.num_samples:,} of another dataset by RIVAL "
        f"([rival_jax](https://arxiv.org/abs/2305.18729)), {plan.job.num_variations} variations of each"
        f"{', originals included' if plan.job.output.originals else ''}, without any training.",
        f"**Not complete: {missing:,} of {plan.num_shards:,} shards are not done yet.**" if missing else "",
        "\n".join(table) if counts else "",
        "`errors.jsonl` has a row with the reason for each picture that is missing, `statistics.json` counts by label.",
    ]
    return "\n\n".join(filter(None, parts))


def _making(job: Job, models: list[str]) -> str:
    """Model and seed."""
    weights = f" (weights {', '.join(map(_code, models))})" if models else ""
    return f"Model {_code(job.model.name)}{weights}, seed {job.seed}; `job.json` repeats it. Recipe, in turns:"


def _recipe(recipe: tuple[Setting, ...]) -> str:
    """A row for each setting."""
    lines = [f"| recipe | {' | '.join(_SHOWN)} |", "|---" * (len(_SHOWN) + 1) + "|"]
    for number, setting in enumerate(recipe):
        lines.append(f"| {number} | {' | '.join(_cell(getattr(setting, name)) for name in _SHOWN)} |")
    return "\n".join(lines)


def _filters(filters: Filters) -> str:
    """What was dropped."""
    dropped = [
        "those that the checkpoint's safety checker, if it has one, flags" if filters.nsfw else "",
        "those in which CLIP finds another label likelier" if filters.labels else "",
        f"those nearer than {filters.duplicates:g} to their exemplar or a sibling" if filters.duplicates else "",
        f"those whose exemplar inverts at less than {filters.min_psnr:g} dB" if filters.min_psnr else "",
    ]
    return f"Dropped: {'; '.join(filter(None, dropped)) or 'none'}."


def _cell(value: Any) -> str:
    """A value in a table."""
    if isinstance(value, tuple):
        return " ... ".join(f"{each:g}" for each in value)
    return _code(value) if isinstance(value, str) else f"{value:g}"


def _code(text: str) -> str:
    """Text in a line of Markdown, as it is."""
    line = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{line}`" if line else ""
