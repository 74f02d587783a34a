"""Random IP-Adapters, with tensors named and laid out as the published files have them."""

import json
from pathlib import Path

import numpy as np
from checkpoint import CHECKER, random_state
from safetensors.numpy import save_file

from rival_jax.weights import IMAGE_ENCODER, export

LAYERS = {1: 8, 3: 8, 5: 8, 7: 16}
"""The widths of the cross-attention layers of the tests' model, the middle's last."""
ENCODER = CHECKER["vision_config"] | {"projection_dim": 6}


def random_adapter(
    variant: str, layers: dict[int, int], text_width: int, image_width: int, depth: int = 2
) -> dict[str, np.ndarray]:
    """A "global" or a "plus" one's tensors, for layers of these widths by their numbers; they have 4 and 5 tokens."""
    projection = _global(text_width, image_width) if variant == "global" else _plus(text_width, image_width, depth)
    shapes = {f"image_proj.{name}": shape for name, shape in projection.items()}
    for number, width in layers.items():
        shapes |= {f"ip_adapter.{number}.to_{kind}_ip.weight": (width, text_width) for kind in "kv"}
    rng = np.random.default_rng(len(shapes))
    return {name: _draw(rng, name, shape) for name, shape in shapes.items()}


def _global(text_width: int, image_width: int) -> dict[str, tuple[int, ...]]:
    rows = 4 * text_width
    return {"proj.weight": (rows, image_width), "proj.bias": (rows,)} | _norms({"norm": text_width})


def _plus(text_width: int, image_width: int, depth: int) -> dict[str, tuple[int, ...]]:
    """Two heads of width 64, in layers of another width."""
    width, inner = 40, 128
    shapes = {"latents": (1, 5, width), "proj_in.weight": (width, image_width), "proj_in.bias": (width,)}
    shapes |= {"proj_out.weight": (text_width, width), "proj_out.bias": (text_width,)}
    norms = {"norm_out": text_width}
    for layer in (f"layers.{number}" for number in range(depth)):
        norms |= {f"{layer}.{name}": width for name in ("0.norm1", "0.norm2", "1.0")}
        shapes |= {f"{layer}.0.to_q.weight": (inner, width), f"{layer}.0.to_kv.weight": (2 * inner, width)}
        shapes |= {f"{layer}.0.to_out.weight": (width, inner)}
        shapes |= {f"{layer}.1.1.weight": (4 * width, width), f"{layer}.1.3.weight": (width, 4 * width)}
    return shapes | _norms(norms)


def _norms(widths: dict[str, int]) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{kind}": (width,) for name, width in widths.items() for kind in ("weight", "bias")}


def _draw(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    noise = rng.standard_normal(shape)
    if name.endswith("bias"):
        value = 0.1 * noise
    elif len(shape) == 1:  # the scale of a norm
        value = 1 + 0.2 * noise
    else:
        value = noise / np.sqrt(shape[-1])
    return value.astype(np.float32)


def write_adapter(directory: Path, variant: str, **changes: np.ndarray | None) -> Path:
    """Writes a random adapter of the tests' model into `directory`, and its image encoder; returns the adapter's file.

    `changes` are other tensors under their names; None leaves one out.
    """
    tensors = random_adapter(variant, LAYERS, 12, 6 if variant == "global" else 12)
    tensors = {name: tensor for name, tensor in (tensors | changes).items() if tensor is not None}
    folder, file = directory / "image_encoder", directory / f"ip-adapter_{variant}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    config = json.dumps(ENCODER)
    (folder / "config.json").write_text(config)
    save_file(export(IMAGE_ENCODER.table, random_state(IMAGE_ENCODER, 0, config)), folder / "model.safetensors")
    save_file(tensors, file)
    return file
