"""What is inside a weight file, without reading its tensors; each is then read alone, by its place in the file."""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np

from rival_jax.errors import InputError
from rival_jax.weights.pickles import pickled
from rival_jax.weights.stored import Stored


def index(file: Path) -> dict[str, Stored]:
    """Every tensor of a weight file by name, nested names joined by dots: safetensors, Flax msgpack or a torch pickle.

    Raises InputError for a file that is not of its kind, or is cut short.
    """
    read = {".safetensors": _safetensors, ".msgpack": _msgpack}.get(file.suffix, pickled)
    try:
        tensors = read(file)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 (what a corrupt file raises depends on where it is corrupt)
        raise InputError(f"The weight file {file} is {_complaint(file)}.") from error
    end = max((tensor.offset + tensor.nbytes for tensor in tensors.values()), default=0)
    if end > file.stat().st_size:
        raise InputError(f"The weight file {file} is cut short: {file.stat().st_size} bytes of {end}.")
    return tensors


def _complaint(file: Path) -> str:
    """Says what an unreadable file seems to be."""
    if not file.is_file():
        return "missing"
    if not file.stat().st_size:
        return "empty"
    with file.open("rb") as stream:
        if stream.read(24) == b"version https://git-lfs.":
            return "a Git LFS pointer; fetch the weights themselves with `git lfs pull`"
    return f"corrupt or not a {file.suffix[1:]} file"


_SAFETENSORS_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


def _safetensors(file: Path) -> dict[str, Stored]:
    """The header: its length in 8 bytes, then JSON. Source: github.com/huggingface/safetensors, "Format"."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > file.stat().st_size:
            raise ValueError("the header is longer than the file")
        header = json.loads(stream.read(length))
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _SAFETENSORS_DTYPES:
            accepted = ", ".join(_SAFETENSORS_DTYPES)
            raise InputError(f"The weight file {file} stores {name} as {entry['dtype']}; accepted: {accepted}.")
        begin, end = entry["data_offsets"]
        tensor = Stored(file, 8 + length + begin, np.dtype(_SAFETENSORS_DTYPES[entry["dtype"]]), tuple(entry["shape"]))
        sound = begin >= 0 and all(isinstance(size, int) and size >= 0 for size in tensor.shape)
        if not sound or tensor.nbytes != end - begin:
            raise ValueError(f"the shape of {name} contradicts its place")
        tensors[name] = tensor
    return tensors


def _msgpack(file: Path) -> dict[str, Stored]:
    """A Flax checkpoint: nested maps whose leaves are extension values, each an array (shape, dtype name, bytes)."""
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
        reader = _MsgpackReader(buffer)
        tensors = dict(_walk(file, reader, reader.expect("map"), ""))
    if reader.at < file.stat().st_size:
        raise ValueError("bytes follow the checkpoint")
    return tensors


def _walk(file: Path, reader: _MsgpackReader, entries: int, prefix: str) -> Iterator[tuple[str, Stored]]:
    for _ in range(entries):
        name = prefix + reader.text()
        kind, size = reader.token()
        if kind == "map":
            yield from _walk(file, reader, size, name + ".")
            continue
        if kind != "ext":
            raise ValueError(f"{name} is not an array")
        reader.expect("array")
        shape = tuple(reader.expect("int") for _ in range(reader.expect("array")))
        dtype = np.dtype(reader.text())
        length = reader.expect("bin")
        tensor = Stored(file, reader.at, dtype, shape)
        if tensor.nbytes != length:
            raise ValueError(f"the shape of {name} contradicts its size")
        yield name, tensor
        reader.at += length


class _MsgpackReader:
    """Steps through msgpack tokens. Source: github.com/msgpack/msgpack, spec.md."""

    def __init__(self, buffer: mmap.mmap):
        self.buffer, self.at = buffer, 0

    def token(self) -> tuple[str, int]:
        """The next value's kind, and its number of entries or bytes, or the integer itself."""
        code = self.buffer[self.at]
        self.at += 1
        for kind, first, end in (("int", 0x00, 0x80), ("map", 0x80, 0x90), ("array", 0x90, 0xA0), ("str", 0xA0, 0xC0)):
            if first <= code < end:
                return kind, code - first
        if 0xD4 <= code <= 0xD8:
            self.at += 1
            return "ext", 1 << (code - 0xD4)
        kind, form = _MSGPACK_SIZED[code]
        (value,) = struct.unpack_from(form, self.buffer, self.at)
        self.at += struct.calcsize(form)
        return kind, value

    def expect(self, kind: str) -> int:
        found, value = self.token()
        if found != kind:
            raise ValueError(f"{found} in place of {kind}")
        return value

    def text(self) -> str:
        length = self.expect("str")
        self.at += length
        return self.buffer[self.at - length : self.at].decode()


_MSGPACK_SIZED = {
    0xC4: ("bin", ">B"),
    0xC5: ("bin", ">H"),
    0xC6: ("bin", ">I"),
    0xC7: ("ext", ">Bx"),
    0xC8: ("ext", ">Hx"),
    0xC9: ("ext", ">Ix"),
    0xCC: ("int", ">B"),
    0xCD: ("int", ">H"),
    0xCE: ("int", ">I"),
    0xCF: ("int", ">Q"),
    0xD9: ("str", ">B"),
    0xDA: ("str", ">H"),
    0xDC: ("array", ">H"),
    0xDE: ("map", ">H"),
    0xDF: ("map", ">I"),
}
