"""LPIPS without torch: laws of a distance, files in every layout, and what is refused."""

import numpy as np
import pytest
from safetensors.numpy import save_file
from torch_file import save

from rival_jax import InputError
from rival_jax.metrics.lpips import LPIPS

KERNELS = {
    "vgg": {
        "slice1": {0: (64, 3, 3, 3), 2: (64, 64, 3, 3)},
        "slice2": {5: (128, 64, 3, 3), 7: (128, 128, 3, 3)},
        "slice3": {10: (256, 128, 3, 3), 12: (256, 256, 3, 3), 14: (256, 256, 3, 3)},
        "slice4": {17: (512, 256, 3, 3), 19: (512, 512, 3, 3), 21: (512, 512, 3, 3)},
        "slice5": {24: (512, 512, 3, 3), 26: (512, 512, 3, 3), 28: (512, 512, 3, 3)},
    },
    "alex": {
        "slice1": {0: (64, 3, 11, 11)},
        "slice2": {3: (192, 64, 5, 5)},
        "slice3": {6: (384, 192, 3, 3)},
        "slice4": {8: (256, 384, 3, 3)},
        "slice5": {10: (256, 256, 3, 3)},
    },
}
"""By torchvision's numbers, in the `lpips` package's slices."""


def state(net: str) -> dict[str, np.ndarray]:
    """The `lpips` package's whole state with random weights, heads 0 or more."""
    rng, tensors, width = np.random.default_rng(0), {}, 0
    for position, (name, kernels) in enumerate(KERNELS[net].items()):
        for number, shape in kernels.items():
            kernel = rng.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5
            tensors[f"net.{name}.{number}.weight"] = kernel.astype(np.float32)
            tensors[f"net.{name}.{number}.bias"] = rng.normal(size=shape[0]).astype(np.float32) / 10
            width = shape[0]
        head = rng.random((1, width, 1, 1), np.float32)
        tensors |= {f"lin{position}.model.1.weight": head, f"lins.{position}.model.1.weight": head}
    constants = {"scaling_layer.shift": (-0.03, -0.088, -0.188), "scaling_layer.scale": (0.458, 0.448, 0.45)}
    return tensors | {name: np.array(row, np.float32).reshape(1, 3, 1, 1) for name, row in constants.items()}


def trunk_and_heads(net: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The same in torchvision's file, whose dense layers nobody needs, and in the package's own."""
    whole = state(net)
    trunk = {f"features.{name.split('.', 2)[2]}": x for name, x in whole.items() if name.startswith("net.")}
    classifier = {f"classifier.6.{name}": np.zeros(3, np.float32) for name in ("weight", "bias")}
    return trunk | classifier, {name: x for name, x in whole.items() if name.startswith("lin") and name[3] != "s"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with `alex` in every layout."""
    folder = tmp_path_factory.mktemp("lpips")
    trunk, heads = trunk_and_heads("alex")
    for name, tensors in (("trunk", trunk), ("heads", heads), ("whole", state("alex"))):
        save_file(tensors, folder / f"{name}.safetensors")
        save(folder / f"{name}.pth", tensors)
        save(folder / f"former_{name}.pth", tensors, is_former=True)
    return folder


@pytest.fixture(scope="module")
def lpips(files):
    return LPIPS.from_pretrained(files / "trunk.safetensors", files / "heads.safetensors", "alex")


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    file = tmp_path_factory.mktemp("vgg") / "whole.safetensors"
    save_file(state("vgg"), file)
    return LPIPS.from_pretrained(file)


def pictures(count, size=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size + 3, 3), np.uint8)


def test_a_distance(lpips):
    """Nothing between pictures that are the same, as much there as back, and each pair by itself."""
    images, others = pictures(5), pictures(5, seed=1)
    there = lpips(images, others)
    assert there.shape == (5,) and there.dtype == np.float32 and (there > 0).all()
    np.testing.assert_array_equal(lpips(images, images), np.zeros(5))
    np.testing.assert_allclose(lpips(others, images), there, rtol=1e-6)
    np.testing.assert_allclose(lpips(images[3:4], others[3:4]), there[3:4], rtol=1e-5)


def test_it_grows_with_noise(lpips):
    image = np.full((1, 40, 40, 3), 128, np.uint8)
    noise = np.random.default_rng(0).normal(size=image.shape)
    little, much = (lpips(image, (image + size * noise).astype(np.uint8)) for size in (4, 16))
    assert 0 < little < much


@pytest.mark.parametrize(
    "names",
    [
        ("trunk.pth", "heads.pth"),
        ("former_trunk.pth", "former_heads.pth"),
        ("trunk.pth", "heads.safetensors"),
        ("whole.safetensors",),
        ("whole.pth",),
        ("former_whole.pth",),
    ],
)
def test_every_layout(files, lpips, names):
    same = LPIPS.from_pretrained(*(str(files / name) for name in names), net="alex")
    images, others = pictures(2), pictures(2, seed=1)
    np.testing.assert_array_equal(same(images, others), lpips(images, others))


@pytest.mark.parametrize(("net", "size"), [("vgg", 16), ("alex", 31)])
def test_the_smallest_pictures(request, net, size):
    lpips = request.getfixturevalue({"vgg": "vgg", "alex": "lpips"}[net])
    assert np.isfinite(lpips(pictures(1, size), pictures(1, size, 1))).all()
    with pytest.raises(InputError, match=f"of {size - 1} x {size + 2} pixels are too small .* {size} or more a side"):
        lpips(pictures(1, size - 1), pictures(1, size - 1))


@pytest.mark.parametrize(
    ("images", "others"),
    [
        (pictures(2), pictures(3)),
        (pictures(2), pictures(2, 33)),
        (pictures(1)[0], pictures(1)[0]),
        (pictures(2)[..., :1], pictures(2)[..., :1]),
        (pictures(0), pictures(0)),
    ],
)
def test_shapes_that_are_refused(lpips, images, others):
    with pytest.raises(InputError, match=r"\(n, H, W, 3\) with n >= 1, not \([\d, ]+\) with \([\d, ]+\)\.$"):
        lpips(images, others)


def test_types_that_are_refused(lpips):
    with pytest.raises(InputError, match="in uint8, not in uint8 and float32"):
        lpips(pictures(1), pictures(1).astype(np.float32))


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (
            ("trunk.pth",),
            r"trunk\.pth do not fit LPIPS with net=\"alex\" .*: 5 parameters that no tensor fills: heads\.0",
        ),
        (("heads.pth",), r"10 parameters that no tensor fills: features\.0"),
        (("whole.pth", "heads.pth"), r"heads\.pth repeats tensors"),
        (("whole.pth", "trunk.pth"), r"parameters that two tensors fill: features\.0"),
        (("none.pth",), r"none\.pth is missing"),
        (("trunk.pth", "text.pth"), r"text\.pth is corrupt or not a pth file"),
    ],
)
def test_files_that_are_refused(files, names, what):
    (files / "text.pth").write_text("no weights")
    with pytest.raises(InputError, match=what):
        LPIPS.from_pretrained(*(files / name for name in names), net="alex")


def test_the_other_network_is_refused(files):
    with pytest.raises(InputError, match=r'do not fit LPIPS with net="vgg" \(torchvision\'s trunk .*another shape'):
        LPIPS.from_pretrained(files / "trunk.pth", files / "heads.pth")


def test_choices_that_are_refused(files):
    with pytest.raises(InputError, match="net is 'squeeze'; accepted: 'vgg', 'alex'"):
        LPIPS.from_pretrained(files / "whole.pth", net="squeeze")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="lpips_input is 'pixels'; accepted: 'standard', 'aid'"):
        LPIPS.from_pretrained(files / "whole.pth", lpips_input="pixels")  # pyright: ignore[reportArgumentType]
