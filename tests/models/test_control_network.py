"""The ControlNet's network and its config; the parity tests hold it against torch."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checkpoint import CONTROL, Model
from flax import nnx
from published import CONTROLNET_SD1, CONTROLNET_SDXL, SD1, SDXL

from rival_jax.attend import FromReference, plain
from rival_jax.errors import InputError
from rival_jax.models.attention import Prefix
from rival_jax.models.config import UNetConfig
from rival_jax.models.controlnet import ControlNet, ControlNetConfig
from rival_jax.models.unet import UNet
from rival_jax.rows import Layout
from rival_jax.weights.load import _OneKey


def read(**changes):
    return ControlNetConfig.from_dict(CONTROL | changes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("block_out_channels", None),
        ("conditioning_channels", 4),
        ("conditioning_embedding_out_channels", None),
        ("conditioning_embedding_out_channels", [4.5, 6]),
        ("controlnet_conditioning_channel_order", "gbr"),
        ("cross_attention_dim", [12, 12]),
        ("down_block_types", ["CrossAttnDownBlock2D"]),
        ("down_block_types", ["CrossAttnDownBlock2D", "AttnDownBlock2D"]),
        ("encoder_hid_dim", 64),
        ("global_pool_conditions", True),
        ("mid_block_type", "UNetMidBlock2D"),
        ("num_class_embeds", 6),
        ("num_control_type", 6),
        ("only_cross_attention", True),
        ("projection_class_embeddings_input_dim", "many"),
        ("up_block_types", ["UpBlock2D", "CrossAttnUpBlock2D"]),
    ],
)
def test_an_unsupported_value_is_named(field, value):
    with pytest.raises(InputError) as error:
        read(**{field: value})
    message = str(error.value)
    assert message.startswith("The ControlNet config") and field in message
    assert "\n" not in message and message.endswith(".")


def test_what_is_usually_said_of_pooling_is_accepted():
    assert read(global_pool_conditions=False) == read() == read(global_pool_conditions=None)


@pytest.mark.parametrize(
    ("config", "parameters", "latents", "skips"),
    [
        (CONTROLNET_SD1, 361_279_120, 64, [(64, 320)] * 3 + [(32, 320)] + [(32, 640)] * 2 + [(16, 640)]
         + [(16, 1280)] * 2 + [(8, 1280)] * 3),
        (CONTROLNET_SDXL, 1_251_014_160, 128, [(128, 320)] * 3 + [(64, 320)] + [(64, 640)] * 2 + [(32, 640)]
         + [(32, 1280)] * 2),
    ],
    ids=["SD 1.5", "SDXL"],
)  # fmt: skip
def test_published_sizes(config, parameters, latents, skips):
    """Parameters as published, outputs as large as the UNet's skips."""
    config = ControlNetConfig.from_dict(config)
    network = nnx.eval_shape(lambda: ControlNet(config, dtype=jnp.bfloat16, rngs=_OneKey()))
    leaves = jax.tree.leaves(nnx.state(network))
    assert sum(math.prod(leaf.shape) for leaf in leaves) == parameters
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.bfloat16)}
    assert config.image_factor == 8
    structure, state = nnx.split(network)

    def run(state, x, timestep, text, image, *added):
        network = nnx.merge(structure, state)
        condition = network.embed_condition(image)
        time = network.embed_time(timestep)
        time = time + network.embed_added(*added) if added else time
        return network.predict(x, time, network.read(text), condition)

    spec, added = jax.ShapeDtypeStruct, ()
    if config.addition_time_embed_dim:
        added = (spec((2, config.added_width), jnp.float32),)
    x, image = spec((2, latents, latents, 4), jnp.float32), spec((1, 8 * latents, 8 * latents, 3), jnp.float32)
    text = spec((2, 77, config.cross_attention_dim), jnp.float32)
    made, middle = jax.eval_shape(run, state, x, spec((2,), jnp.int32), text, image, *added)
    assert [leaf.shape for leaf in made] == [(2, side, side, width) for side, width in skips]
    assert middle.shape == made[-1].shape and {leaf.dtype for leaf in (*made, middle)} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize(("control", "unet"), [(CONTROLNET_SD1, SD1), (CONTROLNET_SDXL, SDXL)])
def test_a_published_controlnet_repeats_its_unet(control, unet):
    control, unet = ControlNetConfig.from_dict(control), UNetConfig.from_dict(unet)
    shared = (set(vars(control)) & set(vars(unet))) - {"sample_size"}
    assert {name: getattr(control, name) for name in shared} == {name: getattr(unet, name) for name in shared}
    assert control.skip_channels == unet.skip_channels


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32))


def filled(module, config):
    """A network with random numbers in every place."""
    structure, state = nnx.split(nnx.eval_shape(lambda: module(config, rngs=_OneKey())))
    rng = np.random.default_rng(0)
    return nnx.merge(
        structure, jax.tree.map(lambda leaf: jnp.asarray(0.2 * rng.standard_normal(leaf.shape, np.float32)), state)
    )


def relative(found, wanted):
    return np.linalg.norm(np.asarray(found) - np.asarray(wanted)) / np.linalg.norm(wanted)


@pytest.mark.parametrize("references, attending", [(0, 0), (1, 1), (2, 0), (2, 1)])
def test_the_part_before_prompts(references, attending):
    """One row for both guidance halves until prompts are read, on level 0 or 1, against every row by itself."""
    types = ["CrossAttnDownBlock2D" if level == attending else "DownBlock2D" for level in range(2)]
    control = filled(ControlNet, read(down_block_types=types))
    layout, exemplars, n = Layout(references, 2), 2, 2
    rows = layout.latents(draw(exemplars, 1, 8, 8, 4), draw(exemplars, n, 8, 8, 4, seed=1))
    texts = layout.texts(draw(exemplars, 4, 10, 12, seed=2))
    images = draw(exemplars, 16, 16, 3, seed=4)
    attend, fewer = (FromReference(layout.group, True), FromReference(1 + n, True)) if references else (plain, plain)

    @partial(nnx.jit, static_argnames="prefix")
    def predict(control, x, prefix=None):
        condition = control.embed_condition(jnp.repeat(images, len(x) // exemplars, axis=0))
        time = control.embed_time(jnp.asarray([500]))
        return control.predict(x, time, control.read(texts), condition, attend=attend, prefix=prefix)

    once, anew = predict(control, rows, Prefix(fewer, layout.spread)), predict(control, layout.spread(rows))
    for found, wanted in zip([*once[0], once[1]], [*anew[0], anew[1]], strict=True):
        assert found.shape == wanted.shape and relative(found, wanted) <= 1e-5


def test_residuals_are_added_where_they_belong():
    """Each changes the prediction in its own way, nothing added changes nothing, and none may be missing."""
    unet = filled(UNet, UNetConfig.from_dict(Model.configs["unet"]))
    x, text, time = draw(2, 8, 8, 4), draw(2, 10, 12), unet.embed_time(jnp.asarray([500]))
    shapes = [(2, 8, 8, 8), (2, 8, 8, 8), (2, 4, 4, 8), (2, 4, 4, 16)]
    nothing = [jnp.zeros(shape) for shape in shapes]

    @nnx.jit
    def predict(residuals=None):
        return unet.predict(x, time, unet.read(text), residuals=residuals)

    alone = predict()
    np.testing.assert_array_equal(predict((nothing, nothing[-1])), alone)
    found = [predict(([*nothing[:i], draw(*shape), *nothing[i + 1 :]], nothing[-1])) for i, shape in enumerate(shapes)]
    found.append(predict((nothing, draw(*shapes[-1]))))
    for i, one in enumerate(found):
        assert all(relative(one, other) > 1e-3 for other in [alone, *found[:i]])
    with pytest.raises(ValueError, match="zip"):
        predict((nothing[:-1], nothing[-1]))


def test_half_precision_inside():
    """Images and scaled residuals are float32; the networks are not."""

    def run(x, text, image):
        options = {"dtype": jnp.bfloat16, "rngs": _OneKey()}
        control, unet = ControlNet(read(), **options), UNet(UNetConfig.from_dict(Model.configs["unet"]), **options)
        time, texts = control.embed_time(jnp.asarray([500])), control.read(text)
        made, middle = control.predict(x, time, texts, control.embed_condition(image))
        assert {leaf.dtype for leaf in (*made, middle)} == {jnp.dtype(jnp.bfloat16)}
        scaled = [leaf.astype(jnp.float32) * 0.5 for leaf in made], middle.astype(jnp.float32) * 0.5
        return unet.predict(x, unet.embed_time(jnp.asarray([500])), unet.read(text), residuals=scaled)

    assert nnx.eval_shape(run, draw(2, 8, 8, 4), draw(2, 10, 12), draw(1, 16, 16, 3)).dtype == jnp.float32


def test_channels_in_the_other_order():
    control = filled(ControlNet, read())
    other = filled(ControlNet, read(controlnet_conditioning_channel_order="bgr"))
    image = jax.nn.sigmoid(draw(1, 16, 16, 3))
    np.testing.assert_array_equal(other.embed_condition(image[..., ::-1]), control.embed_condition(image))
    assert relative(other.embed_condition(image), control.embed_condition(image)) > 1e-2
