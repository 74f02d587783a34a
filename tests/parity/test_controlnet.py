"""The ControlNet and the UNet that follows it against diffusers', float32, on random weights read by the real loader.

`pytest -m parity tests/parity/test_controlnet.py -s` prints the errors that are reached.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel

from rival_jax import ControlNet, weights
from rival_jax.models.down_path import sinusoid
from rival_jax.models.network import Network

from .checkpoints import DOWN, UP, randomise, unet
from .comparison import nchw, nhwc, relative

LIMIT = 1e-5
POOLED, SIZES = 20, 8
"""Widths of SDXL's pooled text and of each of its six sizes."""
KINDS = {
    "sd1_like": ("sd1_like", {}),
    "sd2_like": ("sd2_like", {}),
    "sdxl_like": (
        "sd2_like",
        {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": SIZES,
            "projection_class_embeddings_input_dim": POOLED + 6 * SIZES,
            "block_out_channels": (32, 64, 96),
            "attention_head_dim": (2, 4, 6),
            "down_block_types": (DOWN[-1], DOWN[0], DOWN[0]),
            "up_block_types": (UP[-1], UP[-1], UP[0]),
            "transformer_layers_per_block": (1, 2, 3),
        },
    ),
}
ORDERS = {"sd1_like": "rgb", "sd2_like": "bgr", "sdxl_like": "rgb"}


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@jax.jit
def predict(control: Network, unet: Network, x, timestep, text, image, added, scale):
    """The ControlNet's outputs, and the UNet's prediction with them times `scale`."""
    control, unet = control.module(), unet.module()
    condition = control.embed_condition(image)

    def told(network):
        time = network.embed_time(timestep)
        return time if added is None else time + network.embed_added(added)

    made, middle = control.predict(x, told(control), control.read(text), condition)
    residuals = [scale * each for each in made], scale * middle
    return made, middle, unet.predict(x, told(unet), unet.read(text), residuals=residuals)


@torch.no_grad()
@pytest.mark.parametrize(
    "kind", ["sd1_like", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("sd2_like", "sdxl_like"))]
)
def test_residuals_and_the_prediction_with_them(kind: str, tmp_path: Path) -> None:
    base, changes = KINDS[kind]
    theirs = unet(base, **changes)
    control = ControlNetModel.from_unet(
        theirs,
        controlnet_conditioning_channel_order=ORDERS[kind],
        conditioning_embedding_out_channels=(8, 16, 24),
        load_weights_from_unet=False,
    )
    for seed, model in enumerate((theirs, control)):
        randomise(model.eval(), torch.Generator().manual_seed(seed))
    theirs.save_pretrained(tmp_path / "unet")
    control.save_pretrained(tmp_path / "control")
    plan = weights.plan(tmp_path, weights.UNET, jnp.float32)
    ours = ControlNet.from_pretrained(tmp_path / "control", "float32")
    ours.check_fits(plan.config)

    x, timestep = draw(3, 16, 24, 4), np.array([1, 501, 981], np.int32)
    text = draw(3, 77, theirs.config.cross_attention_dim, seed=1)
    image = np.random.default_rng(2).random((3, 64, 96, 3), np.float32)
    added = (draw(3, POOLED, seed=3), 512 * np.ones((3, 6), np.float32)) if kind == "sdxl_like" else None
    names = ("text_embeds", "time_ids")
    conditions = added and {name: torch.from_numpy(array) for name, array in zip(names, added, strict=True)}
    inputs = nchw(x), torch.from_numpy(timestep), torch.from_numpy(text)
    down, middle = control(*inputs, nchw(image), added_cond_kwargs=conditions, return_dict=False)
    scaled = {
        "down_block_additional_residuals": [0.7 * each for each in down],
        "mid_block_additional_residual": 0.7 * middle,
    }
    followed = theirs(*inputs, added_cond_kwargs=conditions, **scaled).sample
    alone = theirs(*inputs, added_cond_kwargs=conditions).sample
    assert relative(nhwc(followed), nhwc(alone)) > 0.1

    if added is not None:  # pooled text, and sizes embedded
        sizes = sinusoid(jnp.asarray(added[1]), plan.config.addition_time_embed_dim).reshape(3, -1)
        added = jnp.concatenate([added[0], sizes], axis=-1)
    network = Network(plan.graphdef, weights.load_state(plan), plan.config)
    found = predict(ours.network, network, x, timestep, text, image, added, jnp.float32(0.7))
    assert len(found[0]) == len(down)
    pairs = {f"skip {number}": pair for number, pair in enumerate(zip(found[0], down, strict=True))}
    pairs |= {"middle": (found[1], middle), "prediction": (found[2], followed)}
    errors = {what: relative(mine, nhwc(others)) for what, (mine, others) in pairs.items()}
    print(f"\n{kind}: largest of {len(down)} skips {max(list(errors.values())[: len(down)]):.1e}, "
          + ", ".join(f"{what} {errors[what]:.1e}" for what in ("middle", "prediction")))  # fmt: skip
    assert max(errors.values()) <= LIMIT, errors
