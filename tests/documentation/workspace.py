"""The folder in which a page's commands run: photos, a dataset, files that others made, and the hub's repositories."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
from checkpoint import write_controlnet
from pages import ROOT
from PIL import Image
from safetensors.numpy import save_file

from rival_jax import samples
from rival_jax.weights.locate import resolve

TINY = resolve("tiny", {})
MODEL, CONTROLNET = "stable-diffusion-v1-5/stable-diffusion-v1-5", "lllyasviel/sd-controlnet-canny"
_PHOTOS = {
    "photo.jpg": "house",
    "b.png": "boat",
    **{f"cat{number}.jpg": name for number, name in enumerate(("car-faded", "cup", "boat", "house"), start=1)},
    "photos/house/one.jpg": "house",
    "photos/house/two.png": "house-dark",
    "photos/boat/one.png": "boat",
    "photos/boat/two.jpg": "boat-teal",
}
_SMALLER = {"num_variations": 2, "batch_size": 2, "num_inference_steps": 4}
"""Of the job file: a job's batches always have the same size, which is a lot for four photos."""
_LAYER = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora"


def furnish(folder: Path) -> None:
    """Everything that pages name, in the embedded model's sizes."""
    for name, sample in _PHOTOS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(samples.DIRECTORY / f"{sample}.png") as picture:
            picture.convert("RGB").save(folder / name)
    with Image.open(folder / "photo.jpg") as photo:
        mask = np.zeros(photo.size[::-1], np.uint8)
    mask[len(mask) // 6 : -len(mask) // 6, len(mask) // 6 : -len(mask) // 6] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    width, rng = json.loads((TINY / "unet/config.json").read_text())["block_out_channels"][-1], np.random.default_rng(0)
    thin = {name: rng.standard_normal(shape, np.float32) for name, shape in (("down", (4, width)), ("up", (width, 4)))}
    save_file({f"{_LAYER}.{name}.weight": value for name, value in thin.items()}, folder / "style.safetensors")
    for name in ("configs", "scripts"):
        shutil.copytree(ROOT / name, folder / name)
    job = (ROOT / "configs/augment.toml").read_text()
    for key, value in _SMALLER.items():
        job, count = re.subn(rf"^{key} = \d+", f"{key} = {value}", job, flags=re.MULTILINE)
        assert count == 1, key
    (folder / "configs/augment.toml").write_text(job)


def repositories(folder: Path) -> dict[str, Path]:
    """Where the repositories that pages name by their hub ids lie: the embedded model and a ControlNet of its sizes."""
    config = json.loads((TINY / "unet/config.json").read_text())
    keys = ("block_out_channels", "down_block_types", "layers_per_block", "attention_head_dim", "cross_attention_dim")
    factor = 2 ** (len(json.loads((TINY / "vae/config.json").read_text())["block_out_channels"]) - 1)
    embedding = [8 * 2**level for level in range(factor.bit_length())]
    write_controlnet(
        folder / "controlnet",
        norm_num_groups=config.get("norm_num_groups", 32),
        conditioning_embedding_out_channels=embedding,
        **{key: config[key] for key in keys if key in config},
    )
    return {MODEL: TINY, CONTROLNET: folder / "controlnet"}
