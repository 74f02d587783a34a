"""The arguments of `rival interpolate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from rival_jax.arguments import Kernel, ModelConfig, ModelName, Precision, Side
from rival_jax.options import NUM_INFERENCE_STEPS, Align, Choice, Kind, SlerpAxis


@dataclass(frozen=True)
class Interpolate:
    """Draw a sequence of pictures from one prompt to another, or from one photo to another.

    For example: rival interpolate --start "a red ball on green grass" --end "a blue car on yellow sand" --out out/
    """

    photos: Annotated[Positional[tuple[Path, ...]], arg(metavar="[START [END]]", help_behavior_hint="")] = ()
    """Photos that the sequence starts with, and ends with; without one, what is drawn of the prompt."""
    start: str = ""
    """What the start shows."""
    end: str = ""
    """What the end shows."""
    num_frames: Annotated[int, arg(aliases=["-n"])] = 7
    """Pictures in all, the two ends included; 3 or more."""
    guide_prompt: Annotated[str | None, arg(help_behavior_hint="")] = None
    """What the pictures between shall show; by default a mixture of both ends."""
    negative_prompt: str = ""
    """What they must not show."""
    out: Path = Path("out")
    """Folder for the frames, the strip and run.json. Nothing in it is overwritten."""
    animation: Annotated[Literal["gif", "mp4"] | None, arg(metavar="gif|mp4", help_behavior_hint="")] = None
    """Write the frames as one moving picture too; mp4 needs ffmpeg."""
    model: ModelName = "tiny"
    """The embedded model, a checkpoint in the diffusers layout or in one file, or a hub id."""
    model_config: ModelConfig = None
    """Of a checkpoint in one file: where its configs and tokenizer are."""
    dtype: Precision = None
    """Type of weights and arithmetic; by default what suits the device."""
    attention: Kernel = None
    """How attention is computed; by default what suits device, dtype and size."""
    prompt_to_prompt: bool = False
    """The end is the start, edited (its prompt says what it then shows); pictures between are edited less."""
    ip_adapter: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """An IP-Adapter of the model's kind, through which it is shown pictures beside the prompts."""
    image_encoder: Annotated[str | None, arg(metavar="DIR|HUB-ID", help_behavior_hint="")] = None
    """The CLIP that it was trained with; by default image_encoder beside the file."""
    image_start: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """What it is shown at the start; by default nothing."""
    image_end: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """What it is shown at the end."""
    ip_adapter_scale: float = 1.0
    """Weight of what it is shown."""
    scale_control: bool = False
    """Show image_end throughout, with a weight that grows from 0 to 1."""
    num_inference_steps: int = NUM_INFERENCE_STEPS
    """Steps of generation, and of photos' inversion."""
    guidance_scale: float = 7.5
    """Weight of the prompts."""
    kind: Kind = "outer"
    """What is mixed: what attention makes of either end, or their keys and values."""
    fused: bool = True
    """Whether pictures between the ends attend to themselves beside."""
    warmup_ratio: float = 0.5
    """0 to 1; the share of the steps, from the first, in which attention is mixed."""
    coefficients: Choice = "explore"
    """How the pictures between are found: drawn where the sequence jumps most, then the most even chosen; by a search
    for the Beta distribution that spaces three evenly; or of the Beta distribution that is given."""
    alpha: float = 3.0
    """Above 0; of the Beta distribution. Larger draws pictures to the end."""
    beta: float = 3.0
    """Above 0; of the Beta distribution. Larger draws pictures to the start."""
    exploration_size: int = 16
    """Pictures that are drawn to choose from."""
    seed: int = 0
    """0 to 4294967295."""
    slerp_axis: SlerpAxis = "width"
    """What of the noise is one vector: each row (the authors'), or all of it."""
    align: Annotated[Align | None, arg(metavar="latent|none", help_behavior_hint="")] = None
    """What is held to the statistics of the two ends, mixed: the latents, by default between two photos, or nothing."""
    t_early: float = 0
    """0 to 1000; above this timestep they are."""
    lpips: Annotated[tuple[Path, ...], arg(metavar="TRUNK HEADS", help_behavior_hint="")] = ()
    """Published weights of LPIPS with VGG16 (vgg16-397923af.pth vgg.pth): what evenness is measured with."""
    clip: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Or a CLIP model in transformers' layout; by default that of the model's safety checker, or an embedded one that
    knows drawings only. With a guide prompt run.json then says which picture shows that best."""
    height: Side = None
    """Height of the pictures; by default the model's own."""
    width: Side = None
    """Width of the pictures; by default the model's own."""
