"""The job file: everything that decides what a job makes, validated before anything is done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from tyro.conf import arg

from rival_jax.errors import InputError
from rival_jax.options import NUM_INFERENCE_STEPS, Align, DType, Initial, Reference
from rival_jax.record import read_file

ImageFormat = Literal["png", "jpeg", "webp"]
SUFFIXES: dict[ImageFormat, str] = {"png": "png", "jpeg": "jpg", "webp": "webp"}
Preset = Literal["close", "balanced", "free"]
PRESETS: dict[str, dict[str, Any]] = {
    "close": {"t_align": 400.0, "t_early": 200.0, "guidance_scale": 4.0},
    "balanced": {"t_align": 600.0, "t_early": 300.0, "guidance_scale": 5.0},
    "free": {"t_align": 800.0, "t_early": 500.0, "guidance_scale": 7.0},
}
"""How much of the exemplar is kept."""
_TEMPLATE = "a photo of a {label}"
Boundary = Annotated[float, Field(ge=0, le=1000)]
Guidance = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]


def _check_fields(template: str | None, names: tuple[str, ...]) -> None:
    """Raises ValueError where a template has other fields than these."""
    try:
        (template or "").format(**dict.fromkeys(names, ""))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        accepted = " and ".join(f"{{{name}}}" for name in names)
        raise ValueError(f"{template!r} is no template; accepted are words with {accepted}") from error


class _Keys(BaseModel):
    """Unknown keys fail, and a job is a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Input(_Keys):
    """What is augmented. Its kind follows from what is there: class folders, a folder with metadata.jsonl, .csv or
    .parquet, WebDataset tars, parquet files with image bytes, or a manifest (.txt, .csv, .jsonl, .parquet)."""

    path: str = Field(min_length=1)
    """A folder or file, or a URL that fsspec reads (gs://, s3://, hf://, ...); may have wildcards (*)."""
    label: str = "label"
    """The column or key that holds a sample's label; folders have their own names as labels."""
    image: str = "image"
    """The column of parquet files that holds image bytes."""


class Caption(_Keys):
    """What each exemplar shows: exactly one of the three."""

    template: Annotated[str | None, arg(metavar="TEXT")] = None
    """Words with {label} in them; by default "a photo of a {label}"."""
    column: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    """The column or key that holds a sample's caption (WebDataset: "txt" for the text file)."""
    captioner: Annotated[str | None, arg(metavar="blip|MODULE:NAME", help_behavior_hint="")] = None
    """"blip" (extra `caption`), or "module:name" of a function that makes captions of a list of PIL images."""

    @model_validator(mode="before")
    @classmethod
    def _one_rule(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = {key: data[key] for key in ("template", "column", "captioner") if data.get(key) is not None}
        if len(given) > 1 and given.get("template") == _TEMPLATE:  # nobody asked for it
            del given["template"]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both given, but only one can say what a picture shows")
        return {key: value for key, value in data.items() if key not in ("template", "column", "captioner")} | (
            given or {"template": _TEMPLATE}
        )

    @model_validator(mode="after")
    def _check_template(self) -> Self:
        _check_fields(self.template, ("label",))
        return self


class Setting(_Keys):
    """How some of the variations are made. What is left out is the preset's."""

    preset: Preset = "balanced"
    """How much of the exemplar is kept: "close", "balanced" or "free"."""
    prompt: str = "{caption}"
    """What the variations show, with {caption} and {label} filled in."""
    negative_prompt: str = ""
    """What they must not show."""
    guidance_scale: Guidance | tuple[Guidance, Guidance] = 5.0
    """Weight of the prompt, -100 to 100; or a range of which each variation draws its own."""
    num_inference_steps: int = Field(default=NUM_INFERENCE_STEPS, ge=1, le=999)
    """Steps of inversion and of generation, 1 to 999."""
    t_align: Boundary = 600.0
    """0 to 1000; above this timestep attention reads the exemplar alone. Smaller keeps more."""
    t_early: Boundary = 300.0
    """0 to 1000; above this timestep statistics are held to the exemplar's. Smaller keeps more."""
    attention_start: Boundary = 1000.0
    """0 to 1000; above this timestep attention is ordinary. Smaller frees the picture from the exemplar."""
    initial: Initial = "shuffle"
    """What generation starts from."""
    align: Align = "latent"
    """What is held to the exemplar's statistics."""
    reference: Reference = "shared"
    """Whether the negative prompt's half reads the same reference."""

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        preset = data.get("preset", "balanced") if isinstance(data, dict) else None
        return PRESETS[preset] | data if preset in PRESETS else data

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_fields(self.prompt, ("caption", "label"))
        if isinstance(self.guidance_scale, tuple) and self.guidance_scale[0] > self.guidance_scale[1]:
            raise ValueError("guidance_scale is a range that ends before it begins")
        return self


class Model(_Keys):
    """What draws."""

    name: str = "tiny"
    """The embedded model, a Stable Diffusion 1.x/2.x checkpoint (in the diffusers layout, or one file), or a hub id."""
    config: Annotated[str | None, arg(metavar="DIR|HUB-ID", help_behavior_hint="")] = None
    """Whose configs a model in one file is read with: a directory in the diffusers layout, or a hub id."""
    dtype: Annotated[DType | None, arg(metavar="float32|bfloat16|float16", help_behavior_hint="")] = None
    """Type of weights and arithmetic; by default what suits the device."""
    size: Annotated[int | None, arg(metavar="PIXELS", help_behavior_hint="")] = Field(default=None, ge=16, le=4096)
    """Pictures have about this many pixels squared, 16 to 4096, in the exemplar's aspect; by default the model's own
    size."""


class Filters(_Keys):
    """What is dropped, and recorded: never blackened."""

    nsfw: bool = True
    """By the checkpoint's safety checker; where it has none, rows say that nothing was checked."""
    labels: bool = False
    """CLIP must find the sample's own label the likeliest of all labels."""
    clip: Annotated[str | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """The CLIP model (a folder in transformers' layout) for that; by default the embedded world's judge."""
    duplicates: float = Field(default=0.03, ge=0, le=1)
    """Pictures nearer than this to the exemplar or to a sibling are dropped (root mean square between thumbnails, 0 to
    1); 0 keeps all."""
    min_psnr: float = Field(default=0.0, ge=0, le=100)
    """Decibels; variations of exemplars that their inversion reconstructs worse are dropped. 0 checks nothing."""


class Output(_Keys):
    """What is written, and how."""

    path: str = Field(min_length=1)
    """A folder of this machine or a mounted file system."""
    format: Literal["folder", "webdataset", "parquet"] = "folder"
    """Class folders with metadata.jsonl, tars, or parquet files with image bytes (extra `parquet`)."""
    image_format: ImageFormat = "png"
    """Of the pictures; jpeg and webp lose a little."""
    originals: bool = False
    """Whether the exemplars are in the output too."""
    restore_size: bool = False
    """Whether variations get their exemplar's own size back: exemplars are squeezed into the model's sizes whole, and
    variations stretched back. Else exemplars are cropped to the model's sizes, and variations have these."""
    provenance: bool = True
    """Whether each file says that it was generated, by what, and how (XMP)."""

    @model_validator(mode="after")
    def _is_local(self) -> Self:
        if "://" in self.path:
            raise ValueError(
                "path is a URL, but a job writes to a folder; mount the bucket, or copy the folder afterwards"
            )
        return self


class Job(_Keys):
    """A dataset, and what shall become of it."""

    input: Input
    output: Output
    caption: Caption = Caption()
    recipe: tuple[Setting, ...] = Field(default=(Setting(),), min_length=1, max_length=4)
    """One to four settings, over which the variations are spread by turns."""
    num_variations: int = Field(default=4, ge=1, le=1000)
    """Variations of each picture, 1 to 1000."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Decides all noise, together with each sample's own id; 0 to 2**63 - 1."""
    model: Model = Model()
    filters: Filters = Filters()
    shard_size: int = Field(default=64, ge=1, le=100_000)
    """Exemplars in a shard, the unit of work; 1 to 100000."""
    batch_size: int = Field(default=8, ge=1, le=10_000)
    """Exemplars that are varied at once, 1 to 10000. Part of what decides the last bits of a picture."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.filters.labels and not self.filters.clip and self.model.name != "tiny":
            raise ValueError("filters.labels needs filters.clip, a CLIP model in transformers' layout")
        if self.num_variations < len(self.recipe):
            raise ValueError(f"num_variations is {self.num_variations}, but the recipe has {len(self.recipe)} settings")
        return self


def read_job(path: str | Path) -> Job:
    """The job of `path`: a TOML file, or the job.json that an earlier one left. Raises InputError for what is wrong."""
    path = Path(path)
    content = read_file(path, "job file")
    content = content.get("job", content)
    return make_job(content, f"The job file {path}")


def make_job(content: Any, name: str = "The job") -> Job:
    """A job of nested keys. Raises InputError that says what is wrong with which key."""
    try:
        return Job.model_validate(content)
    except ValidationError as error:
        raise InputError(sentence(error, name)) from error


def sentence(error: ValidationError, name: str) -> str:
    """What pydantic found wrong first, in one sentence."""
    first = error.errors(include_url=False)[0]
    keys = [str(part) for part in first["loc"] if "-" not in str(part)]  # with a dash: a kind, not a key
    problem = re.sub(r"\s+", " ", first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        problem = f" is unknown; accepted: {', '.join(_fields(keys[:-1]))}"
    elif first["type"] == "missing":
        problem = " is missing"
    elif first["type"] == "value_error":
        problem = f": {problem}" if keys else problem
    else:
        problem = f" is {first['input']!r}, but: {problem}"
    return f"{name}: {'.'.join(keys)}{problem}."


def _fields(keys: list[str]) -> list[str]:
    """The keys that the part of a job under these keys may have."""
    part: Any = Job
    for key in keys:
        if not key.isdigit():
            part = Setting if key == "recipe" else part.model_fields[key].annotation
    return list(part.model_fields)
