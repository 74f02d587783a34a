"""Configs are read or refused, never half understood."""

import pytest
from checkpoint import Model

from rival_jax.errors import InputError
from rival_jax.models.clip_config import TextConfig
from rival_jax.models.config import UNetConfig, VAEConfig
from rival_jax.parts import plans
from rival_jax.weights import export

READERS = {"unet": UNetConfig, "vae": VAEConfig, "text_encoder": TextConfig}


def read(part, **changes):
    return READERS[part].from_dict(Model.configs[part] | changes)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("unet", "act_fn", "gelu"),
        ("unet", "addition_embed_type", "image"),
        ("unet", "attention_type", "gated"),
        ("unet", "attention_head_dim", [2, 2, 2]),
        ("unet", "attention_head_dim", 3),
        ("unet", "attention_head_dim", 0),
        ("unet", "attention_head_dim", None),
        ("unet", "block_out_channels", 8),
        ("unet", "center_input_sample", True),
        ("unet", "class_embed_type", "timestep"),
        ("unet", "conv_in_kernel", 1),
        ("unet", "cross_attention_dim", [12, 12]),
        ("unet", "down_block_types", ["CrossAttnDownBlock2D", "AttnDownBlock2D"]),
        ("unet", "down_block_types", ["CrossAttnDownBlock2D"]),
        ("unet", "down_block_types", 2),
        ("unet", "downsample_padding", 0),
        ("unet", "dual_cross_attention", True),
        ("unet", "encoder_hid_dim", 64),
        ("unet", "mid_block_type", None),
        ("unet", "mid_block_type", "UNetMidBlock2D"),
        ("unet", "norm_num_groups", 5),
        ("unet", "norm_num_groups", None),
        ("unet", "only_cross_attention", True),
        ("unet", "resnet_time_scale_shift", "scale_shift"),
        ("unet", "sample_size", [8, 16]),
        ("unet", "time_cond_proj_dim", 256),
        ("unet", "time_embedding_type", "fourier"),
        ("unet", "transformer_layers_per_block", [[1], [2]]),
        ("unet", "up_block_types", ["UpBlock2D", "SimpleCrossAttnUpBlock2D"]),
        ("unet", "a_field_of_the_future", 3),
        ("vae", "act_fn", "relu"),
        ("vae", "block_out_channels", None),
        ("vae", "down_block_types", ["AttnDownEncoderBlock2D"] * 2),
        ("vae", "latents_mean", [0.1] * 4),
        ("vae", "norm_num_groups", 3),
        ("vae", "scaling_factor", "0.18215"),
        ("vae", "shift_factor", 0.1),
        ("vae", "up_block_types", ["UpDecoderBlock2D"]),
        ("text_encoder", "hidden_act", "relu"),
        ("text_encoder", "hidden_size", None),
        ("text_encoder", "hidden_size", 12.0),
        ("text_encoder", "model_type", "t5"),
        ("text_encoder", "num_attention_heads", 5),
    ],
)
def test_an_unsupported_value_is_named(part, field, value):
    with pytest.raises(InputError) as error:
        read(part, **{field: value})
    message = str(error.value)
    offender = next((item for item in value if str(item) in message), None) if isinstance(value, list) else value
    assert field in message or "blocks for" in message
    assert offender is None or str(offender) in message
    assert "\n" not in message and message.endswith(".")


def test_heads_by_either_name():
    """`attention_head_dim` is the number of heads, in one value or one a block; `num_attention_heads` wins."""
    assert read("unet", attention_head_dim=4).attention_heads == (4, 4)
    assert read("unet", attention_head_dim=[2, 4]).attention_heads == (2, 4)
    assert read("unet", num_attention_heads=[1, 2]).attention_heads == (1, 2)


def test_depths_follow_the_blocks_with_attention():
    config = read("unet", transformer_layers_per_block=[3, 2])
    assert (config.transformer_depths, config.mid_depth, config.up_depths) == ((3, 0), 2, (3, 0))


@pytest.mark.parametrize("part", READERS)
def test_what_only_decorates_is_accepted(part):
    decorated = read(
        part, _class_name="Any", _name_or_path="somewhere", num_class_embeds=None, dual_cross_attention=False
    )
    assert decorated == read(part) and hash(decorated) == hash(read(part))


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("unet", {"in_channels": 9}, "reads 9 and gives 4 channels"),
        ("unet", {"cross_attention_dim": 20}, "prompts of width 20, but its text encoder gives 12"),
        (
            "unet",
            {
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 4,
                "projection_class_embeddings_input_dim": 36,
            },
            "lacks text_encoder_2/config.json, tokenizer_2",
        ),
    ],
)
def test_networks_that_do_not_fit_together(tmp_path, part, changes, message):
    model = Model(tmp_path)
    model.write_config(part, model.configs[part] | changes)
    model.rewrite(part, export(model.parts[part].table, model.random_state(part, **changes)))
    with pytest.raises(InputError, match=message):
        plans(tmp_path, "float32")
