"""LoRA files in every layout, merged into the tests' model; what cannot be merged is refused in one sentence."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from published import SD1
from safetensors.numpy import save_file

from rival_jax import InputError, RivalPipeline
from rival_jax.models.config import UNetConfig
from rival_jax.weights.lora_keys import layers
from rival_jax.weights.rules import leaf_paths

BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
ATTENTION = {
    "unet": (f"{BLOCK}.attn1.to_q", f"{BLOCK}.attn2.to_k", f"{BLOCK}.attn2.to_v", f"{BLOCK}.attn1.to_out.0"),
    "text_encoder": ("encoder.layers.1.self_attn.v_proj", "encoder.layers.0.self_attn.out_proj"),
}
ALL = {
    "unet": (
        *ATTENTION["unet"],
        f"{BLOCK}.ff.net.0.proj",
        "down_blocks.0.attentions.0.proj_in",
        "mid_block.attentions.0.proj_out",
        "down_blocks.0.resnets.0.conv1",
        "down_blocks.0.downsamplers.0.conv",
        "down_blocks.1.resnets.0.time_emb_proj",
        "down_blocks.1.resnets.0.conv_shortcut",
        "mid_block.resnets.1.conv2",
        "up_blocks.0.upsamplers.0.conv",
        "up_blocks.1.attentions.1.transformer_blocks.0.ff.net.2",
        "time_embedding.linear_1",
        "conv_in",
        "conv_out",
    ),
    "text_encoder": (*ATTENTION["text_encoder"], "encoder.layers.1.mlp.fc1"),
}
RANK = 3


def kernels(pipe):
    return {name: leaf_paths(getattr(pipe, name).state) for name in ("unet", "text_encoder")}


def draw(pipe, chosen=ALL, seed=0, rank=RANK):
    """Factors (down, up) of each chosen layer as they are stored: two axes of a linear layer, four of a convolution."""
    rng, factors, leaves = np.random.default_rng(seed), {}, kernels(pipe)
    for network, names in chosen.items():
        for layer in names:
            *window, inputs, outputs = leaves[network][f"{layer}.kernel"].shape
            shapes = (rank, inputs, *window), (outputs, rank, *[1] * len(window))
            factors[network, layer] = tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return factors


def added(down, up):
    """The product of two factors, in the layout of a kernel here."""
    if down.ndim == 2:
        return np.einsum("or,ri->io", up, down)
    return np.einsum("or,riyx->yxio", up[:, :, 0, 0], down)


def dotted(network, layer):
    return f"{network}.{'text_model.' * (network == 'text_encoder')}{layer}"


def kohya(network, layer):
    start = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_"}[network]
    return start + layer.replace(".", "_")


ORIGINAL = {
    "down_blocks_0_attentions_0": "input_blocks_1_1", "down_blocks_0_resnets_0_conv1": "input_blocks_1_0_in_layers_2",
    "down_blocks_0_downsamplers_0_conv": "input_blocks_2_0_op", "mid_block_attentions_0": "middle_block_1",
    "down_blocks_1_resnets_0_time_emb_proj": "input_blocks_3_0_emb_layers_1", "conv_in": "input_blocks_0_0",
    "down_blocks_1_resnets_0_conv_shortcut": "input_blocks_3_0_skip_connection", "conv_out": "out_2",
    "mid_block_resnets_1_conv2": "middle_block_2_out_layers_3", "up_blocks_1_attentions_1": "output_blocks_3_1",
    "up_blocks_0_upsamplers_0_conv": "output_blocks_1_1_conv", "time_embedding_linear_1": "time_embed_0",
}  # fmt: skip
"""The tests' model in the original implementation: one residual block a level down, two up."""


def original(network, layer):
    name = kohya(network, layer).replace("lora_te_", "lora_te1_")
    for ours, theirs in ORIGINAL.items():
        name = name.replace(f"lora_unet_{ours}", f"lora_unet_{theirs}")
    return name


def former(network, layer):
    """Diffusers' names while attention was changed by "processors"."""
    name = dotted(network, layer).replace("to_out.0", "to_out").replace("out_proj", "to_out").replace("v_proj", "to_v")
    return name.replace("attn1.", "attn1.processor.").replace("attn2.", "attn2.processor.")


LAYOUTS = {
    "peft": (dotted, ".lora_A.weight", ".lora_B.weight", ALL),
    "diffusers": (dotted, ".lora.down.weight", ".lora.up.weight", ALL),
    "diffusers, text encoder": (dotted, ".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight", ALL),
    "diffusers, processors": (former, "_lora.down.weight", "_lora.up.weight", ATTENTION),
    "kohya": (kohya, ".lora_down.weight", ".lora_up.weight", ALL),
    "kohya, original names": (original, ".lora_down.weight", ".lora_up.weight", ALL),
}


def write(file, factors, layout="peft", alphas=(), metadata=None, **tensors):
    spell, down, up, _ = LAYOUTS[layout]
    stored = {f"{spell(*layer)}{down}": pair[0] for layer, pair in factors.items()}
    stored |= {f"{spell(*layer)}{up}": pair[1] for layer, pair in factors.items()}
    stored |= {f"{spell(*layer)}.alpha": np.asarray(alpha, np.float32) for layer, alpha in dict(alphas).items()}
    save_file(stored | tensors, file, metadata and {"lora_adapter_metadata": json.dumps(metadata)})
    return file


def assert_added(merged, pipe, expected):
    """Just these kernels have changed, each by this much."""
    expected = {(network, f"{layer}.kernel"): delta for (network, layer), delta in expected.items()}
    before = kernels(pipe)
    for network, leaves in kernels(merged).items():
        for path, leaf in leaves.items():
            delta, wanted = expected.get((network, path)), np.asarray(before[network][path])
            if delta is None:
                assert np.asarray(leaf).tobytes() == wanted.tobytes(), path
            else:
                np.testing.assert_allclose(leaf, wanted + delta, rtol=1e-6, atol=1e-5, err_msg=path)
                assert not np.allclose(leaf, wanted, atol=1e-2), path


def assert_same(one, other):
    """Bit for bit."""
    twins = kernels(other)
    for network, leaves in kernels(one).items():
        for path, leaf in leaves.items():
            twin = twins[network][path]
            assert leaf.dtype == twin.dtype and np.asarray(leaf).tobytes() == np.asarray(twin).tobytes(), path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(pipe, tmp_path, layout):
    """The same numbers under any names are the same addition; the pipeline that it was made from stays as it was."""
    factors = draw(pipe, LAYOUTS[layout][-1])
    before = jax.tree.map(np.array, kernels(pipe))
    merged = pipe.load_lora_weights(write(tmp_path / "a.safetensors", factors, layout), 0.5)
    assert_added(merged, pipe, {layer: 0.5 * added(*pair) for layer, pair in factors.items()})
    assert_same(merged, pipe.load_lora_weights(write(tmp_path / "b.safetensors", factors), 0.5))
    jax.tree.map(np.testing.assert_array_equal, before, kernels(pipe))
    assert merged.vae is pipe.vae and merged.tokenizer is pipe.tokenizer


def test_without_a_prefix_it_is_the_unets(pipe, tmp_path):
    factors = draw(pipe, {"unet": ATTENTION["unet"]})
    named = {f"{layer}.lora_A.weight": pair[0] for (_, layer), pair in factors.items()}
    named |= {f"{layer}.lora_B.weight": pair[1] for (_, layer), pair in factors.items()}
    save_file(named, tmp_path / "a.safetensors")
    merged = pipe.load_lora_weights(tmp_path / "a.safetensors")
    assert_same(merged, pipe.load_lora_weights(write(tmp_path / "b.safetensors", factors)))


def test_convolutions_of_one_pixel_are_linear_layers(pipe, tmp_path):
    """`proj_in` is one or the other; files have both, whatever the model has."""
    factors = draw(pipe)
    swapped = {
        layer: tuple(f.reshape(f.shape[:2]) if f.ndim == 4 else f[..., None, None] for f in pair)
        if pair[0].ndim == 2 or pair[0].shape[2:] == (1, 1) else pair
        for layer, pair in factors.items()
    }  # fmt: skip
    assert swapped["unet", "mid_block.attentions.0.proj_out"][0].ndim == 2
    assert swapped["unet", "time_embedding.linear_1"][0].ndim == 4
    merged = pipe.load_lora_weights(write(tmp_path / "a.safetensors", swapped))
    assert_same(merged, pipe.load_lora_weights(write(tmp_path / "b.safetensors", factors)))


def test_scale_0_changes_nothing(pipe, tmp_path):
    """Not even the sign of a zero."""
    file = write(tmp_path / "a.safetensors", draw(pipe))
    assert_same(pipe.load_lora_weights(file, 0), pipe)
    assert_same(pipe.load_lora_weights([]), pipe)
    with pytest.raises(AssertionError):
        assert_same(pipe.load_lora_weights(file, 1e-3), pipe)


def test_several_add_up(pipe, tmp_path):
    """One after the other, in one call or two; each has its own rank and scale."""
    one, two = draw(pipe), draw(pipe, ATTENTION, seed=1, rank=5)
    files = [str(write(tmp_path / "a.safetensors", one)), write(tmp_path / "b.safetensors", two, "kohya")]
    together = pipe.load_lora_weights(files, [0.5, -2])
    expected = {layer: 0.5 * added(*pair) for layer, pair in one.items()}
    for layer, pair in two.items():
        expected[layer] = expected[layer] - 2 * added(*pair)
    assert_added(together, pipe, expected)
    assert_same(together, pipe.load_lora_weights(files[0], 0.5).load_lora_weights(files[1], -2))
    assert_same(pipe.load_lora_weights(files, 0.5), pipe.load_lora_weights(files, (0.5, 0.5)))


ONE = {"unet": (f"{BLOCK}.attn1.to_q",)}
LAYER = ("unet", *ONE["unet"])


@pytest.mark.parametrize(
    "alphas, metadata, factor",
    [
        ({}, None, 1),
        ({LAYER: 6}, None, 2),
        ({}, {"unet.lora_alpha": 6, "unet.r": 7}, 2),
        ({}, {"text_encoder.lora_alpha": 6}, 1),
        ({}, {"unet.lora_alpha": 1, "unet.alpha_pattern": {"attn1.to_q": 12, "to_q": 1}}, 4),
        ({}, {"unet.lora_alpha": 6, "unet.alpha_pattern": {"o_q": 12, "attn2.to_q": 1, "attn1": 1}}, 2),
        ({}, {"unet.lora_alpha": 3, "unet.use_rslora": True}, 3**0.5),
        ({LAYER: 6}, {"unet.lora_alpha": 1}, 2),
    ],
)
def test_alphas(pipe, tmp_path, alphas, metadata, factor):
    """A layer's own, else peft's configuration in the header, else the rank."""
    factors = draw(pipe, ONE)
    merged = pipe.load_lora_weights(write(tmp_path / "a.safetensors", factors, alphas=alphas, metadata=metadata))
    assert_added(merged, pipe, {LAYER: factor * added(*factors[LAYER])})


def test_kohyas_alphas(pipe, tmp_path):
    factors = draw(pipe)
    file = write(tmp_path / "a.safetensors", factors, "kohya", alphas=dict.fromkeys(factors, 1.5))
    expected = {layer: 0.5 * added(*pair) for layer, pair in factors.items()}
    assert_added(pipe.load_lora_weights(file), pipe, expected)


def test_sixteen_bits_are_rounded_once(checkpoint, tmp_path):
    pipe = RivalPipeline.from_pretrained(checkpoint, "bfloat16")
    one, two = draw(pipe, ONE), draw(pipe, ONE, seed=1)
    files = [write(tmp_path / "a.safetensors", one), write(tmp_path / "b.safetensors", two)]
    path = f"{LAYER[1]}.kernel"
    found = kernels(pipe.load_lora_weights(files, 0.01))["unet"][path]
    exact = np.asarray(kernels(pipe)["unet"][path], np.float32)
    exact = exact + np.float32(0.01) * (added(*one[LAYER]) + added(*two[LAYER]))
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(found, np.float32), exact, rtol=2**-8)


def test_nothing_is_compiled_anew(pipe, chain, tmp_path, compilations):
    """And pictures are others."""
    plain = pipe.vary(chain, "a red car", num_variations=2)
    merged = pipe.load_lora_weights(write(tmp_path / "a.safetensors", draw(pipe)), 0.1)
    before = compilations()
    assert not np.allclose(merged.vary(chain, "a red car", num_variations=2).latents, plain.latents, atol=1e-3)
    assert compilations() == before


VECTOR = np.ones(3, np.float32)
KEY = f"unet.{LAYER[1]}"


@pytest.mark.parametrize(
    "tensors, reason",
    [
        ({"lora_unet_x.dora_scale": VECTOR}, "it is a DoRA (lora_unet_x.dora_scale)"),
        ({f"{KEY}.lora_magnitude_vector": VECTOR}, "it is a DoRA"),
        ({"lora_unet_x.hada_w1_a": VECTOR}, "it is a LoHa (lora_unet_x.hada_w1_a)"),
        ({"lora_unet_x.lokr_w1": VECTOR}, "it is a LoKr"),
        ({"lora_unet_x.lora_mid.weight": VECTOR}, "it is a LoCon with a core tensor"),
        ({f"{KEY}.lora_B.bias": VECTOR}, f"1 of its 3 tensors have no place in this model, {KEY}.lora_B.bias for one"),
        ({"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": VECTOR}, "1 of its 3 tensors have no place"),
        ({"unet.down_blocks.7.resnets.0.conv1.lora_A.weight": VECTOR}, "so it is of another model or kind"),
        ({"unet.conv_norm_out.lora_A.weight": VECTOR}, "no place in this model, unet.conv_norm_out.lora_A.weight"),
        ({"transformer.x.lora_A.weight": VECTOR}, "no place in this model"),
        ({f"{KEY}.lora.down.weight": VECTOR}, f"1 of its 3 tensors have no place in this model, {KEY}.lora"),
        ({"unet.conv_in.lora_A.weight": VECTOR}, "it lacks the factor up of conv_in"),
        ({"unet.conv_in.alpha": VECTOR[:1]}, "it lacks the factor down of conv_in"),
        ({f"{KEY}.alpha": VECTOR}, f"its alpha of {LAYER[1]} is no number"),
    ],
)
def test_what_cannot_be_merged(pipe, tmp_path, tensors, reason):
    file = write(tmp_path / "a.safetensors", draw(pipe, ONE), **tensors)
    assert_refused(pipe, file, reason)


def assert_refused(pipe, file, reason):
    """In one sentence that names the file, what is wrong and what is accepted."""
    with pytest.raises(InputError) as caught:
        pipe.load_lora_weights(file)
    said = str(caught.value)
    assert said.startswith(f"The LoRA {file} cannot be merged: ") and reason in said and "\n" not in said
    assert said.endswith(
        "; accepted: LoRA of this model's linear and convolution layers, in diffusers' or kohya's layout."
    )


@pytest.mark.parametrize(
    "down, up",
    [
        ((3, 9), (8, 3)),
        ((3, 8), (9, 3)),
        ((3, 8), (8, 4)),
        ((3, 8, 3, 3), (8, 3, 1, 1)),
        ((3, 8), (8, 3, 3, 3)),
        ((0, 8), (8, 0)),
        ((24,), (8, 3)),
        ((), ()),
        ((3, 8, 1, 1, 1), (8, 3)),
    ],
)
def test_another_models_shapes(pipe, tmp_path, down, up):
    """`to_q` is 8 x 8 here."""
    file = write(tmp_path / "a.safetensors", {LAYER: (np.ones(down, np.float32), np.ones(up, np.float32))})
    factors = f"factors {list(down)} and {list(up)} for {LAYER[1]}, whose kernel here is [8, 8]"
    assert_refused(pipe, file, f"it is of another model, with {factors}")


@pytest.mark.parametrize("metadata", ["{", "[1]", "3"])
def test_corrupt_metadata(pipe, tmp_path, metadata):
    factors = draw(pipe, ONE)[LAYER]
    stored = {f"{KEY}.lora_A.weight": factors[0], f"{KEY}.lora_B.weight": factors[1]}
    save_file(stored, file := tmp_path / "a.safetensors", {"lora_adapter_metadata": metadata})
    assert_refused(pipe, file, "its lora_adapter_metadata cannot be read")


@pytest.mark.parametrize(
    "config", [{"unet.lora_alpha": "many"}, {"unet.alpha_pattern": 3}, {"unet.alpha_pattern": {"(": 1}}]
)
def test_metadata_of_no_sense(pipe, tmp_path, config):
    file = write(tmp_path / "a.safetensors", draw(pipe, ONE), metadata=config)
    assert_refused(pipe, file, f"its alpha of {LAYER[1]} is no number")


def test_files_that_are_none(pipe, tmp_path):
    file = write(tmp_path / "a.safetensors", draw(pipe, ONE))
    with pytest.raises(InputError, match="The weight file none.safetensors is missing."):
        pipe.load_lora_weights("none.safetensors")
    with pytest.raises(InputError, match="none.safetensors is missing"):
        pipe.load_lora_weights([file, "none.safetensors"])
    save_file({}, tmp_path / "empty.safetensors")
    assert_refused(pipe, tmp_path / "empty.safetensors", "it holds no tensors")
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(InputError, match="a.safetensors is cut short"):
        pipe.load_lora_weights(file)


@pytest.mark.parametrize("scale", [[1, 2, 3], [], float("nan"), "much", [1, None]])
def test_bad_scales(pipe, tmp_path, scale):
    file = write(tmp_path / "a.safetensors", draw(pipe, ONE))
    with pytest.raises(InputError, match="^lora_scale "):
        pipe.load_lora_weights([file, file], scale)


def test_a_pipeline_without_weights(checkpoint, tmp_path):
    pipe = RivalPipeline.from_pretrained(checkpoint, "float32", weights=False)
    file = write(tmp_path / "a.safetensors", draw(pipe, ONE))
    with pytest.raises(InputError, match="made without weights, so none can be changed; call `load` first"):
        pipe.load_lora_weights(file)
    pipe.load().load_lora_weights(file)


def test_names_of_stable_diffusion_1_in_the_original():
    """As files have them that were made with the original code."""
    inside = "transformer_blocks.0.attn2.to_k", "transformer_blocks_0_attn2_to_k"
    known = {
        "down_blocks.0.resnets.0.conv1": "input_blocks_1_0_in_layers_2",
        "down_blocks.0.downsamplers.0.conv": "input_blocks_3_0_op",
        f"down_blocks.1.attentions.1.{inside[0]}": f"input_blocks_5_1_{inside[1]}",
        "down_blocks.3.resnets.1.conv2": "input_blocks_11_0_out_layers_3",
        "mid_block.attentions.0.proj_in": "middle_block_1_proj_in",
        "mid_block.resnets.1.time_emb_proj": "middle_block_2_emb_layers_1",
        "up_blocks.0.upsamplers.0.conv": "output_blocks_2_1_conv",
        "up_blocks.1.upsamplers.0.conv": "output_blocks_5_2_conv",
        "up_blocks.2.resnets.0.conv_shortcut": "output_blocks_6_0_skip_connection",
        f"up_blocks.3.attentions.2.{inside[0]}": f"output_blocks_11_1_{inside[1]}",
        "time_embedding.linear_2": "time_embed_2",
    }  # fmt: skip
    found = layers([f"{layer}.kernel" for layer in known], UNetConfig.from_dict(SD1))
    assert {layer: found[name] for layer, name in known.items()} == {layer: f"{layer}.kernel" for layer in known}


def test_every_kernel_has_names_of_its_own(pipe):
    """In each way of naming, no two layers have one name."""
    for network, leaves in kernels(pipe).items():
        paths = [path for path in leaves if path.endswith(".kernel")]
        names = layers(leaves, getattr(pipe, network).config)
        flattened = {path.removesuffix(".kernel").replace(".", "_"): path for path in paths}
        assert len(flattened) == len(paths) and flattened.items() <= names.items()
        others = {"unet": ["input_", "output_", "middle_"], "text_encoder": ["text_model_"]}[network]
        assert sum(name.startswith(tuple(others)) for name in names) >= 0.9 * len(paths)
