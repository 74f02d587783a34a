"""`rival info`: what a checkpoint is and what it needs, from its configs and file headers alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rival_jax import wording
from rival_jax.inversion import kept_bytes
from rival_jax.kernels import choose
from rival_jax.memory import temporary_bytes
from rival_jax.models.config import UNetConfig
from rival_jax.models.network import Network
from rival_jax.options import Backend, DType
from rival_jax.parts import device_dtype, one_file, plans
from rival_jax.safety import SafetyChecker
from rival_jax.sampling import one_step
from rival_jax.schedule import Schedule
from rival_jax.stages import Stage
from rival_jax.weights import Plan
from rival_jax.weights.files import TEXT_ENCODERS


def describe(
    model: str | Path, dtype: DType | None = None, num_variations: int = 4, config: str | Path | None = None
) -> str:
    """A few lines about a model. Raises InputError as `RivalPipeline.from_pretrained` does."""
    dtype = device_dtype() if dtype is None else dtype
    directory, schedule, networks = plans(model, dtype, config)
    file = one_file(networks)
    unet, vae = networks["unet"], networks["vae"]
    texts = [networks[name].config for name in TEXT_ENCODERS if name in networks]
    checker = None if file else SafetyChecker.from_pretrained(directory)
    size = unet.config.sample_size * vae.config.factor
    step = unet.config.factor * vae.config.factor
    weights = sum(network.nbytes for network in (*networks.values(), *([checker.plan] if checker else [])))
    shape = size // vae.config.factor, size // vae.config.factor, unet.config.in_channels
    prompt = texts[0].max_position_embeddings if texts else 1, unet.config.cross_attention_dim
    network = Network(unet.graphdef, unet.state, unet.config)
    working = temporary_bytes(*one_step(network, shape, prompt, Stage("concat", "none", 1), num_variations))
    chosen = kernels(unet.config, *shape[:2], 2 * num_variations, dtype, None)
    lines = [
        ("model", f"{file}, by the configs of {directory}" if file else str(directory)),
        ("pictures", f"{size} x {size} pixels by default; sides are multiples of {step}"),
        ("latents", f"{unet.config.in_channels} channels, {vae.config.factor} pixels a cell"),
        ("prompts", _prompts(networks, *prompt)),
        ("prediction", _prediction(schedule)),
        ("dtype", f"{dtype} (VAE float32)"),
        *((_NAMES[name], _parameters(network)) for name, network in networks.items()),
        ("safety", f"checker of {_parameters(checker.plan)}" if checker else "no checker: variations are not checked"),
        ("attention", kernels_line(chosen)),
        ("memory", f"{wording.size(weights)} of weights"),
        ("", f"about {wording.size(working)} more for {num_variations} variations of one photo (an estimate)"),
        ("", f"{wording.size(kept_bytes(network, shape, prompt, 1))} a photo and step for cache_reference"),
    ]
    return "\n".join(f"{name:<13} {value}" for name, value in lines)


_NAMES = {
    "unet": "UNet",
    "vae": "VAE",
    "text_encoder": "text encoder",
    "text_encoder_2": "its second",
    "image_encoder": "image encoder",
}


def _prompts(networks: Mapping[str, Plan], tokens: int, width: int) -> str:
    """What the model is told of what it draws."""
    if "text_encoder" not in networks:
        return f"none: it is shown the photo, as a token of width {width}"
    shown = ", and the photo" if "image_encoder" in networks else ""
    return f"{tokens} tokens of width {width}{shown}"


def _parameters(network) -> str:
    return f"{network.parameters / 1e6:.1f} M parameters, {wording.size(network.nbytes)}"


def _prediction(schedule: Schedule) -> str:
    kind = {"epsilon": "noise", "v_prediction": "v"}[schedule.prediction_type]
    return f"{kind}, {schedule.beta_schedule} betas {schedule.beta_start} to {schedule.beta_end}, run by DDIM"


def kernels_line(chosen: Mapping[str, Backend]) -> str:
    """What `kernels` returns, in a line."""
    return ", ".join(f"{kernel} for {sizes}" for sizes, kernel in chosen.items())


def kernels(unet: UNetConfig, height: int, width: int, rows: int, dtype, forced: Backend | None) -> dict[str, Backend]:
    """The kernel of each size of self-attention, for latents of these sides and so many rows on a device.

    By queries x keys: the exemplar's alone or their own, and then both.
    """
    return {
        f"{tokens} x {keys}": forced
        or choose(dtype, rows=rows, queries=tokens, keys=keys, heads=heads, width=head_width)
        for tokens, heads, head_width in unet.self_attention(height, width)
        for keys in (tokens, 2 * tokens)
    }
