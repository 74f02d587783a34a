"""The arguments of `rival demo`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from rival_jax.arguments import ModelConfig, ModelName, Precision


@dataclass(frozen=True)
class Demo:
    """Serve a page to try everything in a browser: variation, editing, inpainting, interpolation.

    For example: rival demo --model stable-diffusion-v1-5/stable-diffusion-v1-5
    """

    model: ModelName = "tiny"
    """The embedded model, a checkpoint in the diffusers layout or in one file, or a hub id."""
    model_config: ModelConfig = None
    """Of a checkpoint in one file: where its configs and tokenizer are."""
    dtype: Precision = None
    """Type of weights and arithmetic; by default what suits the device."""
    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """Address to listen on: by default this machine's own only; 0.0.0.0 lets others in, without a password."""
    port: int = 7860
    """1 to 65535."""
