"""The arguments of `rival`'s commands: their names are the Python API's, their docstrings the help text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from rival_jax.learning.settings import Settings
from rival_jax.options import (
    EDIT,
    GENERATE,
    NUM_INFERENCE_STEPS,
    Align,
    Backend,
    DType,
    Initial,
    Reference,
    Solver,
    TimestepConvention,
    Topic,
)

REPEATED = (
    "prompt",
    "source_prompt",
    "negative_prompt",
    "seed",
    "controlnet",
    "control_image",
    "controlnet_scale",
    "mask",
)
"""Flags that may be repeated; they replace a config file's values, not extend them."""

READ = ("photos", "mask", "control_image", "lora", "textual_inversion")
"""Files whose sha256 a record has."""

ModelName = Annotated[str, arg(metavar="tiny|DIR|FILE|HUB-ID")]
ModelConfig = Annotated[str | None, arg(metavar="DIR|HUB-ID", help_behavior_hint="")]
Precision = Annotated[DType | None, arg(metavar="float32|bfloat16|float16", help_behavior_hint="")]
Kernel = Annotated[Backend | None, arg(metavar="dense|cudnn|chunked|pallas", help_behavior_hint="")]
Files = Annotated[tuple[Path, ...], arg(metavar="FILE ...", help_behavior_hint="")]
Side = Annotated[int | None, arg(metavar="PIXELS", help_behavior_hint="")]


@dataclass(frozen=True)
class Programs:
    """What the programs of a run depend on."""

    num_variations: Annotated[int, arg(aliases=["-n"])] = 4
    """Variations of each photo."""
    model: ModelName = "tiny"
    """The embedded model (it knows a small drawn world only), a checkpoint of Stable Diffusion 1.x, 2.x or XL, Stable
    Diffusion image variations or Stable unCLIP (a directory in the diffusers layout; of the first three also one
    .safetensors, .ckpt, .pt or .bin file), or a hub id."""
    model_config: ModelConfig = None
    """Whose configs, tokenizer and scheduler config a model in one file is read with: a directory in the diffusers
    layout or a hub id; by default SD 1.5, SD 2.1 or SDXL, as its tensors say. A 2.x model that predicts noise needs
    one."""
    dtype: Precision = None
    """Type of weights and arithmetic; by default what suits the device."""
    config: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """A preset (TOML) or the run.json of an earlier run; flags win over it."""
    lora: Files = ()
    """LoRA files to merge into the model, in diffusers' or kohya's layout (safetensors)."""
    lora_scale: Annotated[tuple[float, ...], arg(metavar="SCALE ...", help_behavior_hint="")] = (1.0,)
    """How strongly; one for all LoRA files, or one a file. By default 1; 0 changes nothing."""
    textual_inversion: Files = ()
    """Textual inversions, each of which gives prompts one word more: the token in diffusers' files, the file's name
    without its ending in AUTOMATIC1111's."""
    num_inference_steps: int = NUM_INFERENCE_STEPS
    """Steps of inversion and of generation."""
    t_align: float = 600
    """0 to 1000; above this timestep attention reads the photo alone. Smaller keeps more of the photo."""
    t_early: float = 300
    """0 to 1000; above this timestep colours and contrast are held to the photo's."""
    attention_start: float = 1000
    """0 to 1000; above this timestep attention is ordinary. Smaller frees the picture from the photo."""
    initial: Initial = "shuffle"
    """What generation starts from: the photo's noise shuffled, a Gaussian fitted to it, itself (always the same
    picture), or plain noise."""
    strength: float = 1.0
    """Above 0, at most 1; the share of the steps that generation from the photo's own noise takes. Smaller keeps more
    of the photo."""
    reference: Reference = "shared"
    """Whether the negative prompt's half reads the same reference or one of the empty prompt."""
    align: Align = "latent"
    """What is held to the photo's statistics: the latents, the predicted noise (the paper), or nothing."""
    timestep_convention: TimestepConvention = "target"
    """Which timestep the model is told while the photo is inverted."""
    fixed_point_steps: int = 0
    """How often each step of the inversion is refined, so that it leads back to the photo more exactly."""
    solver: Solver = "ddim"
    """How pictures are stepped towards: DDIM, or DPM-Solver++ of second order."""
    height: Side = None
    """Height of the pictures; by default the model's own. Photos are cropped at the centre to fit."""
    width: Side = None
    """Width of the pictures; by default the model's own."""
    cache_reference: bool = False
    """Keep what the photo's inversion computed, so that generation need not compute it again. Takes much memory; exact
    with --timestep-convention current, else an approximation."""
    attention: Kernel = None
    """How attention is computed; by default what suits device, dtype and size."""


@dataclass(frozen=True)
class Request:
    """What else a run is told."""

    photos: Annotated[Positional[tuple[Path, ...]], arg(metavar="[PHOTO ...]", help_behavior_hint="")] = ()
    """Photos to vary; without one, a sample exemplar that comes with the package."""
    prompt: UseAppendAction[tuple[str, ...]] = ()
    """What the variations show; once for all photos, or repeated, once a photo. A sample has its own caption; Stable
    Diffusion image variations reads none, and Stable unCLIP can do without."""
    out: Path = Path("out")
    """Folder for the pictures, the contact sheet and run.json. Nothing in it is overwritten."""
    source_prompt: UseAppendAction[tuple[str, ...]] = ()
    """What the photos show, where that is not the prompt; once, or once a photo."""
    negative_prompt: UseAppendAction[tuple[str, ...]] = ()
    """What the variations must not show; once, or once a photo. By default empty."""
    guidance_scale: float = 5.0
    """Weight of the prompt; smaller values stay closer to the photo's own look."""
    seed: UseAppendAction[tuple[int, ...]] = ()
    """0 to 4294967295; once for all photos, or once a photo. By default 0."""
    controlnet: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="DIR|HUB-ID")] = ()
    """A ControlNet for this model, which holds pictures to the structure of a control image; may be repeated."""
    control_image: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="IMAGE|canny")] = ()
    """What a ControlNet is shown: a picture of the same aspect, or "canny", the photo's own edges. Once for each
    ControlNet; with one ControlNet also once a photo."""
    controlnet_scale: UseAppendAction[tuple[float, ...]] = ()
    """Weight of a ControlNet; once, or once for each. By default 1."""
    noise_level: int = 0
    """0 to 999; how much noise hides of the photo that Stable unCLIP is shown."""


@dataclass(frozen=True)
class Vary(Programs, Request):
    """Make variations of a real photo: other pictures of the same subject, colours and style.

    For example: rival vary photo.jpg --prompt "a red house on green grass" -n 4 --out out/
    """


@dataclass(frozen=True)
class Generate(Vary):
    """Make pictures of any prompt in the style of a photo.

    For example: rival generate photo.jpg --prompt "a castle on a hill" --out out/
    """

    attention_start: float = GENERATE["attention_start"]
    """0 to 1000; above this timestep attention is ordinary. Smaller frees the picture from the photo."""


@dataclass(frozen=True)
class Edit(Vary):
    """Change what a photo shows and keep its structure.

    For example: rival edit photo.jpg --source-prompt "a dog" --prompt "a cat" --out out/
    """

    num_variations: Annotated[int, arg(aliases=["-n"])] = 1
    """Edits of each photo; from the photo's own noise, all would be the same."""
    initial: Initial = EDIT["initial"]
    """What generation starts from: the photo's own noise keeps its structure."""
    attention_start: float = EDIT["attention_start"]
    """0 to 1000; above this timestep attention is ordinary. Smaller frees the picture from the photo."""


@dataclass(frozen=True)
class Inpaint(Vary):
    """Fill a part of a photo with what the prompt says, in the photo's own look; the rest stays as it is.

    For example: rival inpaint photo.jpg --mask mask.png --prompt "a dog on a bench" --out out/
    """

    mask: UseAppendAction[tuple[Path, ...]] = ()
    """A black and white picture of the photo's size: white is filled. Once for all photos, or once a photo."""


@dataclass(frozen=True)
class LearnConcept(Settings):
    """Learn a thing or a style from a few photos, to be named in prompts. A run that was stopped goes on.

    For example: rival learn-concept a.jpg b.jpg c.jpg d.jpg --token "<my-cat>" --initializer-token cat --out my-cat/
    """

    photos: Annotated[Positional[tuple[Path, ...]], arg(metavar="PHOTO ...")] = ()
    """Three to ten photos of it."""
    out: Path = Path("concept")
    """Folder for what is learnt, the loss curve and checkpoints."""
    model: ModelName = "tiny"
    """The model to learn on: the embedded one, a checkpoint in the diffusers layout or in one file, or a hub id."""
    model_config: ModelConfig = None
    """Of a checkpoint in one file: where its configs and tokenizer are."""
    dtype: Precision = None
    """Type of weights and arithmetic; by default what suits the device."""


@dataclass(frozen=True)
class Info:
    """Say what a model is, how big its parts are and what memory it needs. Loads no weights, but downloads a hub id."""

    model: Annotated[Positional[str], arg(metavar="[tiny|DIR|FILE|HUB-ID]")] = "tiny"
    """The embedded model, a checkpoint in the diffusers layout or in one file, or a hub id."""
    model_config: ModelConfig = None
    """Whose configs a model in one file is read with: a directory in the diffusers layout, or a hub id."""
    dtype: Precision = None
    """Type of weights and arithmetic; by default what suits the device."""
    num_variations: Annotated[int, arg(aliases=["-n"])] = 4
    """Variations of one photo, for the memory they need."""


@dataclass(frozen=True)
class Warmup(Programs):
    """Compile what `rival vary` with the same flags will run, before there are photos: later starts find it.

    For example: rival warmup -n 8 --photos 4
    """

    photos: int = 1
    """How many photos a run has."""


@dataclass(frozen=True)
class Bench:
    """Time every part of a run, and all of it, beside the operations it takes; or the same work in torch.

    For example: rival bench --model sd15 -n 16 --against torch
    """

    model: Annotated[str, arg(metavar="sd15|sd21|tiny|DIR|HUB-ID")] = "tiny"
    """Stable Diffusion 1.5 or 2.1 with random weights (speed does not depend on them), the embedded model, a checkpoint
    in the diffusers layout, or a hub id."""
    exemplars: int = 1
    """Photos at once."""
    num_variations: Annotated[int, arg(aliases=["-n"])] = 8
    """Variations of each."""
    num_inference_steps: int = 50
    """Steps of inversion and of generation."""
    dtype: Precision = None
    """Type of weights and arithmetic; by default what suits the device."""
    attention: Kernel = None
    """How attention is computed; by default what suits device, dtype and size."""
    height: Side = None
    """Height of the pictures; by default the model's own."""
    width: Side = None
    """Width of the pictures; by default the model's own."""
    repeats: int = 7
    """Runs of which the median is taken."""
    against: Annotated[Literal["torch"] | None, arg(metavar="torch", help_behavior_hint="")] = None
    """Also run the same work in torch and diffusers on the same device, turn by turn."""


@dataclass(frozen=True)
class Reproduce:
    """Run the papers' ablations on the embedded model, over exemplars unlike anything it has seen.

    What is measured stays in the folder, so a run that was stopped goes on where it was.
    For example: rival reproduce 3 --out evidence/
    """

    evidence: Annotated[
        Positional[tuple[Topic, ...]],
        arg(
            metavar="[3|4|5|variants|figures|quality|inversion|editing|concepts|interpolation|morphing|baselines ...]",
            help_behavior_hint="",
        ),
    ] = ("3",)
    """Tables of the paper's appendix, our variants, Fig. 11 and 12, the model's own figures, how well photos come
    back, what editing keeps, whether a learnt concept is drawn, how sequences between prompts (interpolation) or
    photos (morphing) change, or how other methods do; by default Table 3."""
    out: Path = Path("evidence")
    """Folder for the scores and the tables."""
    exemplars: int = 64
    """How many exemplars."""
    num_variations: Annotated[int, arg(aliases=["-n"])] = 4
    """Variations of each."""
    model: ModelName = "tiny"
    """The model to test."""
    dtype: Precision = None
    """Type of weights and arithmetic; by default what suits the device."""
    clip: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """A CLIP model in transformers' layout as the judge; by default the one that comes with the embedded model."""
    photos: Annotated[tuple[Path, ...], arg(metavar="PHOTO ...", help_behavior_hint="")] = ()
    """Photos that the autoencoder shall reconstruct too (quality)."""
