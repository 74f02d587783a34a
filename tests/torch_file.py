"""Torch's weight pickles written by hand, without torch: a pickle in opcodes, and a zip archive around it or none."""

import pickle
import struct
import zipfile

import numpy as np

STORAGES = {"float64": "Double", "float32": "Float", "float16": "Half", "bfloat16": "BFloat16", "int64": "Long"}


def plain(value) -> bytes:
    """The opcodes of numbers, texts, tuples and the like."""
    return pickle.dumps(value, 2)[2:-1]


def named(name: str) -> bytes:
    """The opcode that looks up a name of a module."""
    module, _, name = name.rpartition(".")
    return f"c{module}\n{name}\n".encode()


def call(name: str, *arguments: bytes) -> bytes:
    """The opcodes that call it."""
    return named(name) + b"(" + b"".join(arguments) + b"tR"


def mapping(entries: dict) -> bytes:
    """A dictionary from names to opcodes."""
    return b"}(" + b"".join((key if isinstance(key, bytes) else plain(key)) + entries[key] for key in entries) + b"u"


def tensor(key: str, shape, dtype="float32", offset=0, strides=None, size=None, view=b"") -> bytes:
    """The opcodes of a tensor in the storage `key`; `view` are those of its place in another, as was said once."""
    strides = strides or tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    size = int(np.prod(shape)) if size is None else size
    parts = plain("storage") + named(f"torch.{STORAGES[dtype]}Storage") + plain(key) + plain("cpu") + plain(size) + view
    arguments = (b"(" + parts + b"tQ", plain(offset), plain(tuple(shape)), plain(strides), plain(False))
    return call("torch._utils._rebuild_tensor_v2", *arguments, call("collections.OrderedDict"))


def write(file, content: bytes, storages: dict, compression=zipfile.ZIP_STORED, **entries):
    """A file of this pickle and these arrays by their keys; returns its path."""
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + content + b".")
        for name, value in entries.items():
            archive.writestr(f"archive/{name}", value)
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", np.ascontiguousarray(array).tobytes())
        archive.writestr("archive/version", "3\n")
    return file


def write_former(file, content: bytes, storages: dict, machine=(("little_endian", True),)):
    """What `write` did before 2020: pickles in a row, and the arrays, each behind its length."""
    pickles = (0x1950A86A20F9469CFC6C, 1001, dict(machine))
    head = b"".join(pickle.dumps(value, 2) for value in pickles) + b"\x80\x02" + content + b"."
    arrays = (struct.pack("<q", array.size) + np.ascontiguousarray(array).tobytes() for array in storages.values())
    file.write_bytes(b"".join((head, pickle.dumps(list(storages), 2), *arrays)))
    return file


def save(file, tensors: dict, wrap=lambda entries: entries, is_former=False):
    """What `torch.save` of these arrays writes; `wrap` puts opcodes around those of the dictionary."""
    storages = {str(number): array for number, array in enumerate(tensors.values())}
    keys = dict(zip(tensors, storages, strict=True))
    view = plain(None) if is_former else b""
    entries = {name: tensor(keys[name], array.shape, array.dtype.name, view=view) for name, array in tensors.items()}
    if is_former:
        return write_former(file, wrap(mapping(entries)), storages)
    return write(file, wrap(mapping(entries)), storages, byteorder="little")
