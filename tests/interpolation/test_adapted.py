"""Interpolation with an IP-Adapter on random models: the spec's acceptance cases 33 to 35, and bad input."""

import numpy as np
import pytest
from ip_adapters import write_adapter

from rival_jax import InputError
from rival_jax.ip_adapter import IPAdapter

T, STEPS = [0.0, 0.4, 1.0], 4


@pytest.fixture(scope="module", params=["global", pytest.param("plus", marks=pytest.mark.slow)])
def adapter(request, pipe, tmp_path_factory):
    file = write_adapter(tmp_path_factory.mktemp(request.param), request.param)
    return IPAdapter.from_pretrained(file, pipe.unet.config, dtype="float32")


@pytest.fixture
def draw(pipe):
    def drawn(start="a red car", end="a house on grass", **options):
        settings = {"num_inference_steps": STEPS, "warmup_ratio": 0.5, "guidance_scale": 3.0, "coefficients": T}
        return pipe.interpolate(start, end, len(T), **settings, **options).latents

    return drawn


def relative(found, wanted):
    return np.linalg.norm(np.asarray(found) - np.asarray(wanted)) / np.linalg.norm(wanted)


def test_33_without_weight(draw, adapter, photos):
    """It is interpolation between the prompts alone."""
    shown = {"ip_adapter": adapter, "image_start": photos[0], "image_end": photos[1]}
    other = shown | {"image_start": photos[1], "image_end": photos[0]}
    without = [draw(**own, ip_adapter_scale=0.0) for own in (shown, other)]
    np.testing.assert_array_equal(*without)
    assert relative(without[0], draw()) <= 1e-6
    assert relative(draw(**shown), draw()) > 1e-2


def test_34_from_a_picture_to_itself(draw, adapter, photos):
    """And with one prompt: every frame is the start."""
    found = draw("a car", "a car", ip_adapter=adapter, image_start=photos[0], image_end=photos[0])
    for n in (1, 2):
        assert relative(found[:, n], found[:, 0]) <= 1e-5 * STEPS


def test_35_scale_control(draw, adapter, photos):
    """From no picture to the picture at weight 1."""
    found = draw("a car", "a car", ip_adapter=adapter, image_end=photos[0], scale_control=True)
    assert relative(found[:, 0], draw("a car", "a car")[:, 0]) <= 1e-6
    whole = draw("a car", "a car", ip_adapter=adapter, image_start=photos[0], image_end=photos[0])
    assert relative(found[:, -1], whole[:, -1]) <= 1e-6
    assert relative(found[:, 1], found[:, 0]) > 1e-3 and relative(found[:, 1], found[:, -1]) > 1e-3


def test_from_nothing(draw, adapter, photos):
    """Without a picture at the start the adapter is shown none there, which is not the same as no adapter."""
    found = draw(ip_adapter=adapter, image_end=photos[1])
    both = draw(ip_adapter=adapter, image_start=photos[0], image_end=photos[1])
    np.testing.assert_array_equal(found[:, -1], both[:, -1])
    assert relative(found[:, 0], both[:, 0]) > 1e-3 and relative(found[:, 0], draw()[:, 0]) > 1e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_end": 0}, "are for an IP-Adapter; give ip_adapter too"),
        ({"scale_control": True}, "are for an IP-Adapter; give ip_adapter too"),
        ({"ip_adapter": "one"}, "image_end is missing"),
        ({"ip_adapter": "one", "image_start": 0}, "image_end is missing"),
        ({"ip_adapter": "one", "image_start": 0, "image_end": 1, "scale_control": True}, "only image_end is shown"),
        ({"ip_adapter": "two", "image_end": 0}, "but must be one IPAdapter"),
        ({"ip_adapter": "one", "image_end": 0, "ip_adapter_scale": float("nan")}, "ip_adapter_scale is nan"),
        ({"ip_adapter": "one", "image_end": [0, 1]}, "image_end has 2 pictures for 1 sequences"),
    ],
)
def test_bad_input(draw, adapter, photos, arguments, message):
    adapters = {"one": adapter, "two": [adapter, adapter]}
    given = dict(arguments)
    if "ip_adapter" in given:
        given["ip_adapter"] = adapters[given["ip_adapter"]]
    for name in ("image_start", "image_end"):
        if name in given:
            given[name] = [photos[i] for i in given[name]] if isinstance(given[name], list) else photos[given[name]]
    with pytest.raises(InputError, match=message):
        draw(**given)
