"""Reading weight files by their headers."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest
from flax.serialization import msgpack_serialize
from safetensors.numpy import save_file

from rival_jax.errors import InputError
from rival_jax.weights.headers import index

TENSORS = {
    "a.half": np.arange(6, dtype=np.float16).reshape(2, 3),
    "a.brain": np.arange(5000, dtype=np.float32).reshape(50, 100).astype(ml_dtypes.bfloat16),
    "b.single": np.arange(70000, dtype=np.float32),
    "b.scalar": np.array(3.0, np.float32),
    "c.integers": np.arange(4, dtype=np.int64)[None],
}


def nested(tensors):
    tree = {}
    for name, tensor in tensors.items():
        group, leaf = name.split(".")
        tree.setdefault(group, {})[leaf] = tensor
    return tree


@pytest.fixture
def safetensors(tmp_path):
    save_file(TENSORS, tmp_path / "x.safetensors", metadata={"format": "pt"})
    return tmp_path / "x.safetensors"


@pytest.fixture
def msgpack(tmp_path):
    (tmp_path / "x.msgpack").write_bytes(msgpack_serialize(nested(TENSORS)))
    return tmp_path / "x.msgpack"


@pytest.mark.parametrize("kind", ["safetensors", "msgpack"])
def test_tensors_are_read_by_their_place(kind, request):
    found = index(request.getfixturevalue(kind))
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        read = found[name].read()
        assert (read.dtype, read.shape) == (tensor.dtype, tensor.shape)
        np.testing.assert_array_equal(read, tensor)


@pytest.mark.parametrize("kind", ["safetensors", "msgpack"])
@pytest.mark.parametrize("keep", [0, 1, 5, 8, 60, 0.1, 0.5, -1])
def test_truncated(kind, keep, request):
    file = request.getfixturevalue(kind)
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(InputError, match=rf"weight file .*x\.{kind} is (cut short|corrupt|empty)"):
        index(file)


@pytest.mark.parametrize("name", ["x.safetensors", "x.msgpack"])
@pytest.mark.parametrize(
    "content, complaint",
    [
        (b"\xff" * 100, "corrupt or not"),
        (b"hello world, this is no weight file", "corrupt or not"),
        (b"\x80\x04\x95" + b"pickle" * 20, "corrupt or not"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123\n", "Git LFS pointer"),
    ],
)
def test_other_files(tmp_path, name, content, complaint):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=complaint):
        index(tmp_path / name)


def test_missing(tmp_path):
    with pytest.raises(InputError, match="missing"):
        index(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "entry, complaint",
    [
        ({"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}, "stores w as F8_E4M3; accepted: F64"),
        ({"dtype": "F32", "shape": [4], "data_offsets": [0, 4]}, "corrupt"),
        ({"dtype": "F32", "shape": [4], "data_offsets": [-16, 0]}, "corrupt"),
        ({"dtype": "F32", "shape": "4", "data_offsets": [0, 16]}, "corrupt"),
        ({"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]}, "corrupt"),
        ({"dtype": "F32"}, "corrupt"),
        (7, "corrupt"),
    ],
)
def test_headers_that_contradict_themselves(tmp_path, entry, complaint):
    header = json.dumps({"w": entry}).encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(InputError, match=complaint):
        index(tmp_path / "x.safetensors")
