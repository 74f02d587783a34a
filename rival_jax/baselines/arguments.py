"""The arguments of `rival compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from rival_jax.arguments import Kernel, ModelConfig, ModelName, Precision, Side
from rival_jax.options import NUM_INFERENCE_STEPS


@dataclass(frozen=True)
class Compare:
    """Draw variations of photos by RIVAL and by other methods, side by side, and measure them: text-to-image, img2img,
    MasaCtrl, Plug-and-Play, and attention to the photo without inversion.

    For example: rival compare photo.jpg --source-prompt "a red house" --prompt "a red house in snow" --out out/
    """

    photos: Annotated[Positional[tuple[Path, ...]], arg(metavar="[PHOTO ...]", help_behavior_hint="")] = ()
    """Photos; without one, a sample exemplar that comes with the package."""
    prompt: UseAppendAction[tuple[str, ...]] = ()
    """What the variations show; once for all photos, or once a photo. A sample has its own caption."""
    source_prompt: UseAppendAction[tuple[str, ...]] = ()
    """What the photos show; by default the prompt."""
    num_variations: Annotated[int, arg(aliases=["-n"])] = 4
    """Variations of each, by the methods that know more than one picture."""
    out: Path = Path("out")
    """Folder for the sheets, the table and run.json. Nothing in it is overwritten."""
    model: ModelName = "tiny"
    """The embedded model, a checkpoint in the diffusers layout or in one file, or a hub id."""
    model_config: ModelConfig = None
    """Of a checkpoint in one file: where its configs and tokenizer are."""
    dtype: Precision = None
    """Type of weights and arithmetic; by default what suits the device."""
    attention: Kernel = None
    """How attention is computed; by default what suits device, dtype and size."""
    clip: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """A CLIP model in transformers' layout that measures; by default the embedded one, which knows drawings only."""
    num_inference_steps: int = NUM_INFERENCE_STEPS
    """Steps of inversion and of generation."""
    guidance_scale: float = 5.0
    """Weight of the prompt."""
    seed: int = 0
    """0 to 4294967295; of the first photo, the next one's is one more."""
    height: Side = None
    """Height of the pictures; by default the model's own."""
    width: Side = None
    """Width of the pictures; by default the model's own."""
