"""IP-Adapters and the UNet that reads them against diffusers', float32, from files as they are published.

`pytest -m parity tests/parity/test_ip_adapter.py -s` prints the errors that are reached.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from ip_adapters import random_adapter
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from rival_jax import weights
from rival_jax.attend import plain
from rival_jax.ip_adapter import IPAdapter
from rival_jax.kernels import KeysValues
from rival_jax.models.attention import Attention
from rival_jax.models.down_path import sinusoid
from rival_jax.models.network import Network

from .checkpoints import randomise, unet
from .comparison import nchw, nhwc, relative
from .test_controlnet import KINDS, POOLED, draw

LIMIT = 1e-5
HIDDEN, EMBEDDED = 48, 24
"""Widths of the image encoder's hidden states and of its embedding."""
BASES = ("sd1_like", "sdxl_like")
VARIANTS = {"global": EMBEDDED, "plus": HIDDEN}
Tensors = dict[str, dict[str, torch.Tensor]]


def adapter(variant: str, of: UNet2DConditionModel) -> Tensors:
    """A random adapter of a UNet, its layers numbered as the authors' training code does: by `attn_processors`."""
    modules = dict(of.named_modules())
    layers = {
        number: modules[name.removesuffix(".processor")].to_k.out_features
        for number, name in enumerate(of.attn_processors)
        if ".attn2." in name
    }
    tensors: Tensors = {"image_proj": {}, "ip_adapter": {}}
    drawn = random_adapter(variant, layers, of.config.cross_attention_dim, VARIANTS[variant], depth=4)
    for name, tensor in drawn.items():
        group, _, inner = name.partition(".")
        tensors[group][inner] = torch.from_numpy(tensor)
    return tensors


@dataclass(frozen=True)
class WithPictures:
    """Plain attention, to which cross-attention adds what a layer reads of a picture, times `scale`."""

    pictures: Iterator[KeysValues]
    scale: jax.Array

    def __call__(self, layer: Attention, x_bsd: jax.Array, text: KeysValues | None) -> jax.Array:
        out = plain(layer, x_bsd, text)
        return out if text is None else out + self.scale * plain(layer, x_bsd, next(self.pictures))


@jax.jit
def predict(network: Network, unet: Network, x, timestep, text, seen, added, scale):
    """Every layer's keys and values of pictures, and the UNet's prediction with them."""
    ours, module = network.module(), unet.module()
    read = ours.read(ours.project(seen))
    return read, module(x, timestep, text, attend=WithPictures(iter(read), scale), added_ba=added)


@dataclass
class Case:
    theirs: UNet2DConditionModel
    encoder: CLIPVisionModelWithProjection
    unet: Network
    ours: IPAdapter


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[CLIPVisionModelWithProjection, Path]:
    """An image encoder, and where it is saved as in the published folders: without a preprocessor's config."""
    config = CLIPVisionConfig(
        hidden_size=HIDDEN, intermediate_size=96, num_hidden_layers=3, num_attention_heads=3, image_size=32,
        patch_size=8, hidden_act="gelu", projection_dim=EMBEDDED,
    )  # fmt: skip
    model = CLIPVisionModelWithProjection(config).eval()
    randomise(model, torch.Generator().manual_seed(3))
    directory = tmp_path_factory.mktemp("encoder")
    model.save_pretrained(directory)
    return model, directory


@pytest.fixture(scope="module", params=[(kind, variant) for kind in BASES for variant in VARIANTS], ids="-".join)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, encoder) -> Case:
    """A UNet with an adapter in both libraries; global ones are in a pickle, plus ones in safetensors."""
    kind, variant = request.param
    folder = tmp_path_factory.mktemp("-".join(request.param))
    base, changes = KINDS[kind]
    theirs = unet(base, **changes)
    randomise(theirs.eval(), torch.Generator().manual_seed(0))
    theirs.save_pretrained(folder / "unet")
    tensors = adapter(variant, theirs)
    if variant == "global":
        torch.save(tensors, file := folder / "adapter.bin")
    else:
        flat = {f"{group}.{name}": tensor for group, named in tensors.items() for name, tensor in named.items()}
        save_file(flat, file := folder / "adapter.safetensors")
    theirs._load_ip_adapter_weights([tensors], low_cpu_mem_usage=False)
    plan = weights.plan(folder, weights.UNET, jnp.float32)
    network = Network(plan.graphdef, weights.load_state(plan), plan.config)
    model, directory = encoder
    return Case(theirs.eval(), model, network, IPAdapter.from_pretrained(file, plan.config, directory, "float32"))


@torch.no_grad()
def test_pictures_as_tokens(case: Case, request: pytest.FixtureRequest) -> None:
    """Of pictures and of none, as diffusers' pipelines encode them."""
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    pixels = processor([Image.fromarray(picture) for picture in pictures], return_tensors="pt").pixel_values
    [layer] = case.theirs.encoder_hid_proj.image_projection_layers
    if "global" in request.node.name:
        seen = case.encoder(pixels).image_embeds
        nothing = torch.zeros_like(seen)
    else:
        both = [case.encoder(x, output_hidden_states=True) for x in (pixels, torch.zeros_like(pixels))]
        seen, nothing = (each.hidden_states[-2] for each in both)
    for what, ours, theirs in (
        ("what is seen", case.ours.see(pictures), seen),
        ("tokens", case.ours.embed(pictures), layer(seen)),
        ("tokens of nothing", case.ours.negative(3), layer(nothing)),
    ):
        error = relative(ours, theirs)
        print(f"\n{request.node.callspec.id} {what}: {error:.1e}")
        assert error <= LIMIT
    assert relative(case.ours.negative(3), case.ours.embed(pictures)) > 0.1


@torch.no_grad()
def test_keys_values_and_predictions(case: Case, request: pytest.FixtureRequest) -> None:
    """Every layer's, in the order in which diffusers' UNet makes use of them."""
    plus, config = "plus" in request.node.name, case.theirs.config
    x, timestep = draw(3, 16, 24, 4), np.array([1, 501, 981], np.int32)
    text = draw(3, 77, config.cross_attention_dim, seed=1)
    seen = draw(3, 17, HIDDEN, seed=2) if plus else draw(3, EMBEDDED, seed=2)
    conditions = {"image_embeds": [torch.from_numpy(seen)[:, None]]}
    added = None
    if config.addition_embed_type:
        pooled, ids = draw(3, POOLED, seed=3), 512 * np.ones((3, 6), np.float32)
        conditions |= {"text_embeds": torch.from_numpy(pooled), "time_ids": torch.from_numpy(ids)}
        sizes = sinusoid(jnp.asarray(ids), config.addition_time_embed_dim).reshape(3, -1)
        added = jnp.concatenate([pooled, sizes], axis=-1)

    made: list[torch.Tensor] = []
    hooks = [
        projection.register_forward_hook(lambda _, __, out: made.append(out.flatten(1, -2)))
        for name, module in case.theirs.named_modules()
        if name.endswith(("to_k_ip", "to_v_ip"))
        for projection in module
    ]
    inputs = nchw(x), torch.from_numpy(timestep), torch.from_numpy(text)
    theirs = {}
    for scale in (0.0, 0.5, 1.0):
        made.clear()
        for processor in case.theirs.attn_processors.values():
            if hasattr(processor, "scale"):
                processor.scale = [scale]
        theirs[scale] = nhwc(case.theirs(*inputs, added_cond_kwargs=conditions).sample)
    for hook in hooks:
        hook.remove()

    errors, name = {}, request.node.callspec.id
    for scale in (0.5, 1.0):
        told = x, timestep, text, seen, added, jnp.float32(scale)
        read, prediction = predict(case.ours.network, case.unet, *told)
        errors[f"prediction at {scale}"] = relative(prediction, theirs[scale])
        assert relative(theirs[scale], theirs[0.0]) > 0.1
    ours = [part.reshape(*part.shape[:2], -1) for pair in read for part in pair]
    assert len(ours) == len(made) == 2 * len(case.ours.config.layers)
    errors["keys and values"] = max(relative(*pair) for pair in zip(ours, made, strict=True))
    print(f"\n{name}, {len(read)} layers: " + ", ".join(f"{what} {error:.1e}" for what, error in errors.items()))
    assert max(errors.values()) <= LIMIT, errors
