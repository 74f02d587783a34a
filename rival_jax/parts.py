"""Which networks a checkpoint has, and whether they fit together: all that is known before a weight is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import jax

from rival_jax import checks
from rival_jax.conditioning import Noising
from rival_jax.errors import InputError
from rival_jax.models.config import UNetConfig
from rival_jax.options import DTYPES, DType
from rival_jax.schedule import Schedule
from rival_jax.weights import (
    EMBEDDED,
    IMAGE_ENCODER,
    SAFETY_CHECKER,
    TEXT_ENCODER,
    TEXT_ENCODER_2,
    UNET,
    VAE,
    Part,
    Plan,
    image_statistics,
    plan,
    resolve,
)
from rival_jax.weights.files import NOISING, NORMALIZER, TEXT_ENCODERS, read_json
from rival_jax.weights.single_file import is_single_file, open_file


def plans(model: str | Path, dtype: DType, config: str | Path | None = None) -> tuple[Path, Schedule, dict[str, Plan]]:
    """A model's directory, its schedule and its networks by their folders (UNet, VAE, encoders), checked but not read.

    Of a model in one file the directory is that of its configs. Raises InputError for a model that cannot be found or
    does not fit its own configs.
    """
    checks.choice("dtype", dtype, DTYPES)
    dtypes: dict[Part, DType] = dict.fromkeys((UNET, TEXT_ENCODER, TEXT_ENCODER_2, IMAGE_ENCODER), dtype)
    dtypes[VAE] = "float32"
    single = open_file(model) if is_single_file(model) else None
    if single:
        directory = single.configs(config)
    elif config is not None:
        raise InputError(f"config ({config}) is of a model in one file, but {model} is none: it has its own configs.")
    else:
        fetched: dict[str, DType] = {part.folder: part_dtype for part, part_dtype in dtypes.items()}
        fetched |= {SAFETY_CHECKER.folder: "float32", NORMALIZER: "float32"}
        directory = resolve(model, fetched)
    schedule = Schedule.from_dict(read_json(directory / "scheduler" / "scheduler_config.json"))
    made = {part.folder: plan(directory, part, dtypes[part], single) for part in (UNET, VAE)}
    wanted = _encoders(directory, made["unet"].config)
    made |= {part.folder: plan(directory, part, dtypes[part], single) for part in wanted}
    _check_fit(made)
    return directory, schedule, made


def may_see_pictures(model: str | Path) -> bool:
    """Whether a model may be told by pictures, so that it can do without prompts; of a hub id nobody knows."""
    path = Path(model).expanduser()
    if path.is_dir():
        return (path / "image_encoder").is_dir()
    return model != EMBEDDED and not path.exists()


def one_file(parts: Mapping[str, Plan]) -> Path | None:
    """The file that holds the weights of all networks; None where each has its own."""
    files = {file for part in parts.values() for file in part.files}
    return files.pop() if len(files) == 1 else None


def noising(directory: Path, width: int) -> Noising | None:
    """How Stable unCLIP noises embeddings of this width; None in a directory of another model.

    Raises InputError for what cannot be read.
    """
    if not (directory / NORMALIZER).is_dir():
        return None
    config = read_json(directory / NOISING)
    levels = Schedule.from_dict({name: value for name, value in config.items() if name in _OF_LEVELS}).alphas_cumprod
    return Noising(*image_statistics(directory / NORMALIZER, width), levels)


_OF_LEVELS = ("num_train_timesteps", "beta_schedule", "beta_start", "beta_end")


def _encoders(directory: Path, unet: UNetConfig) -> tuple[Part, ...]:
    """What the UNet is told by. Raises InputError where that is missing."""
    if unet.addition_time_embed_dim:
        wanted = (TEXT_ENCODER, TEXT_ENCODER_2)
    elif unet.class_embed_type:
        wanted = (TEXT_ENCODER, IMAGE_ENCODER)
    elif not _has(directory, TEXT_ENCODER) and _has(directory, IMAGE_ENCODER):
        wanted = (IMAGE_ENCODER,)
    else:
        wanted = (TEXT_ENCODER,)
    tokenizers = (TEXT_ENCODERS[part.folder] for part in wanted if part.folder in TEXT_ENCODERS)
    missing = [f"{part.folder}/config.json" for part in wanted if not _has(directory, part)]
    missing += [name for name in tokenizers if not (directory / name).is_dir()]
    if missing:
        raise InputError(
            f"The model directory {directory} is not in the diffusers layout: it lacks {', '.join(missing)}."
        )
    return wanted


def _has(directory: Path, part: Part) -> bool:
    return (directory / part.folder / "config.json").is_file()


def _check_fit(parts: Mapping[str, Plan]) -> None:
    """Raises InputError for networks that do not work together as in Stable Diffusion."""
    unet, vae = parts["unet"].config, parts["vae"].config
    if not unet.in_channels == unet.out_channels == vae.latent_channels:
        raise InputError(
            f"The model's UNet reads {unet.in_channels} and gives {unet.out_channels} channels, but its VAE's latents "
            f"have {vae.latent_channels}: inpainting models and the like are not supported."
        )
    texts = [parts[name].config for name in TEXT_ENCODERS if name in parts]
    image = parts["image_encoder"].config.projection_dim if "image_encoder" in parts else 0
    _check_width("prompts", unet.cross_attention_dim, (text.hidden_size for text in texts) if texts else [image])
    if unet.addition_time_embed_dim:
        pooled = texts[-1].projection_dim, 6 * unet.addition_time_embed_dim
        _check_width("pooled prompts and sizes", unet.added_width, pooled)
    elif unet.class_embed_type:
        _check_width("pictures and noise levels", unet.added_width, (image, image))


def _check_width(what: str, read: int | None, given: Iterable[int]) -> None:
    """Raises InputError where the UNet reads another width than the encoders give together."""
    given = tuple(given)
    if read != sum(given):
        encoders = "its text encoder gives" if what == "prompts" and len(given) == 1 else "its encoders give"
        raise InputError(
            f"The model's UNet reads {what} of width {read}, but {encoders} {' + '.join(map(str, given))}: they are of "
            "different models."
        )


def device_dtype() -> DType:
    """bfloat16 on TPUs and NVIDIA GPUs since Ampere, float16 on older GPUs, float32 on CPUs."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return "float32"
    capability = str(getattr(device, "compute_capability", ""))  # NVIDIA's are numbers
    if device.platform == "gpu" and re.fullmatch(r"[\d.]+", capability) and float(capability) < 8.0:
        return "float16"
    return "bfloat16"
