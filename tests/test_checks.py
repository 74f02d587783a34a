"""Arguments: what is accepted comes back in one form, what is not is named."""

import jax.numpy as jnp
import numpy as np
import pytest
from published import SD1

from rival_jax import Chain, InputError, checks
from rival_jax.models.config import UNetConfig

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "value, expected",
    [
        ("a", ("a", "a")),
        ("", ("", "")),
        (["a", "b"], ("a", "b")),
        (("a", ""), ("a", "")),
        (np.array(["a", "b"]), ("a", "b")),
        (iter("ab"), ("a", "b")),
    ],
)
def test_text_per_exemplar(value, expected):
    assert checks.per_exemplar("prompt", value, 2) == expected


@pytest.mark.parametrize(
    "value, message",
    [
        ([], "prompt has 0 entries, but the number of photos is 2"),
        (["a"], "prompt has 1 entries"),
        (["a", "b", "c"], "prompt has 3 entries"),
        (5, "prompt must be text .* has 5"),
        (None, "has None"),
        (["a", None], "has None"),
        ([b"a", "b"], "has b'a'"),
        ("a\udcff", r"text \(Unicode\)"),
    ],
)
def test_unusable_text(value, message):
    with pytest.raises(InputError, match=message):
        checks.per_exemplar("prompt", value, 2)


@pytest.mark.parametrize("value", [7, np.uint8(7), (7, 7), np.array([7, 7])])
def test_seeds(value):
    seeds = checks.seeds(value, 2)
    assert seeds.dtype == np.uint32 and seeds.tolist() == [7, 7]


def test_the_largest_seed():
    assert checks.seeds([0, 2**32 - 1], 2).tolist() == [0, 2**32 - 1]


@pytest.mark.parametrize(
    "value, message",
    [
        ([1], "seed has 1 entries, but the number of photos is 2"),
        (-1, "seed is -1, but must be an integer from 0 to 4294967295"),
        (2**32, "seed is 4294967296"),
        (1.0, "seed is 1.0"),
        (True, "seed is True"),
        (None, "seed is None"),
        ("7", "seed is '7'"),
        ([1, NAN], "seed is nan"),
    ],
)
def test_unusable_seeds(value, message):
    with pytest.raises(InputError, match=message):
        checks.seeds(value, 2)


@pytest.mark.parametrize(
    "check, accepted, refused",
    [
        (checks.count, [1, np.int64(3), 10_000], [0, -1, 1.0, True, None, "3", NAN, 10_001, 10**30]),
        (checks.boundary, [0, 1000, 600.5, np.float32(3)], [-1, 1000.5, NAN, INF, None, "600", True, 10**400]),
        (checks.finite, [0, -3, 7.5, np.float32(1)], [NAN, INF, -INF, 1e39, 10**400, None, "7", False, 1j]),
    ],
)
def test_numbers(check, accepted, refused):
    for value in accepted:
        check("some_name", value)
    for value in refused:
        with pytest.raises(InputError, match="some_name is "):
            check("some_name", value)


@pytest.mark.parametrize(
    "value, expected",
    [
        (7, [[7, 7, 7], [7, 7, 7]]),
        (jnp.float32(7), [[7, 7, 7], [7, 7, 7]]),
        ([1, 2.5], [[1, 1, 1], [2.5, 2.5, 2.5]]),
        (jnp.asarray([1, 2], jnp.bfloat16), [[1, 1, 1], [2, 2, 2]]),
        (((1, 2, 3), (4, 5, 6)), [[1, 2, 3], [4, 5, 6]]),
    ],
)
def test_guidance(value, expected):
    guidance = checks.guidance(value, 2, 3)
    assert guidance.dtype == np.float32 and guidance.tolist() == expected


@pytest.mark.parametrize(
    "value, message",
    [
        (NAN, "guidance_scale is nan, but must be a finite number"),
        ("7", "guidance_scale is '7', but must be a finite number"),
        ([1, NAN], "guidance_scale has nan, but must be a finite number, or finite numbers"),
        (np.full((2, 3), 1e39), r"guidance_scale has 1e\+39"),
        ([1, 2, 3], r"of shape \(3,\) and .*of shape \(2,\), one a photo, or \(2, 3\), one a variation"),
        (np.ones((2, 1)), r"of shape \(2, 1\) and .*of shape \(2,\)"),
        (np.ones((2, 3, 1)), r"of shape \(2, 3, 1\) and .*of shape \(2,\)"),
        ([], r"of shape \(0,\)"),
        ([[1, 2, 3], [4, 5]], "guidance_scale has rows of different lengths"),
        (["7", "7"], "guidance_scale is an array of .* type <U1"),
        ([True, False], "type bool"),
        ([1, None], "type object"),
        ([1j, 1], "type complex128"),
    ],
)
def test_unusable_guidance(value, message):
    with pytest.raises(InputError, match=message):
        checks.guidance(value, 2, 3)


def test_choice():
    checks.choice("align", "noise", ("noise", "none"))
    for value in ("Noise", "", None, 1, ["noise"]):
        with pytest.raises(InputError, match="align is .*; accepted: 'noise', 'none'"):
            checks.choice("align", value, ("noise", "none"))


def test_side():
    assert checks.side("height", None, 512, 64) == 512
    assert checks.side("height", np.int64(768), 512, 64) == 768
    for value in (0, -64, 32, 100, 64.0, True, "64", 64 * 10**6):
        with pytest.raises(InputError, match="height is .* multiple of 64 pixels"):
            checks.side("height", value, 512, 64)


def test_agreement_with_a_chain():
    chain = Chain(np.zeros((5, 1, 8, 8, 4)), np.zeros((1, 512, 512, 3), np.uint8), ("",), "target")
    checks.chain(chain, (8, 8, 4), height=None, width=512, num_inference_steps=4, cache_reference=False)
    with pytest.raises(InputError, match="height is 64, but the chain was inverted with 512"):
        checks.chain(chain, (8, 8, 4), height=64)
    with pytest.raises(InputError, match="cache_reference is True, but the chain was inverted with False"):
        checks.chain(chain, (8, 8, 4), cache_reference=True)
    with pytest.raises(InputError, match=r"latents are \(8, 8, 4\), but this model's would be \(8, 8, 16\)"):
        checks.chain(chain, (8, 8, 16))


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        ("flash", "accepted: 'dense', 'cudnn', 'chunked', 'pallas'"),
        ("cudnn", "but it is for NVIDIA GPUs from Ampere on"),
        ("pallas", "but it is for TPUs, the device is a cpu"),
    ],
)
def test_attention_is_one_that_the_device_has(backend, reason):
    unet = UNetConfig.from_dict(SD1)
    for possible in ("dense", "chunked"):
        checks.attention(possible, "float32", unet)
    with pytest.raises(InputError, match=f"attention is '{backend}'.*{reason}"):
        checks.attention(backend, "float32", unet)


def test_initial_array():
    shape = (1, 2, 3, 4, 5)
    assert checks.initial_array(np.ones(shape, np.float64), shape).dtype == np.float32
    wrong = np.ones(shape[1:]), np.ones(shape, int), np.full(shape, np.nan), "noise", None
    for value in wrong:
        with pytest.raises(InputError, match=r"initial is an array of .* finite floats of shape \(1, 2, 3, 4, 5\)"):
            checks.initial_array(value, shape)
