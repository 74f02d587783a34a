"""Torch's weight pickles written by hand, without torch: a pickle in opcodes, and a zip archive around it."""

import pickle
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


def tensor(key: str, shape, dtype="float32", offset=0, strides=None, size=None) -> bytes:
    """The opcodes of a tensor in the storage `key`."""
    strides = strides or tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    size = int(np.prod(shape)) if size is None else size
    parts = plain("storage") + named(f"torch.{STORAGES[dtype]}Storage") + plain(key) + plain("cpu") + plain(size)
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


def save(file, tensors: dict, wrap=lambda entries: entries):
    """What `torch.save` of these arrays writes; `wrap` puts opcodes around those of the dictionary."""
    storages = {str(number): array for number, array in enumerate(tensors.values())}
    keys = dict(zip(tensors, storages, strict=True))
    entries = {name: tensor(keys[name], array.shape, array.dtype.name) for name, array in tensors.items()}
    return write(file, wrap(mapping(entries)), storages, byteorder="little")
