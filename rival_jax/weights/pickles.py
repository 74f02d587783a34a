"""Torch's weight pickles (`.ckpt`, `.bin`, `.pt`, `.pth`), read without torch and without running what they name.

Such a file is a zip archive: `<name>/data.pkl` says what there is, `<name>/data/<key>` holds the bytes of a storage.
Before 2020 it was a row of pickles: a number to know it by, torch's version, the machine, what there is, and the keys
of the storages, which follow in that order, each behind its length.

A pickle may name any function of any module and have it called. Here the names of tensors are answered with values of
this file, those of a trainer's records with an object that swallows everything, and all others with one that refuses
to be called: no module is imported, no attribute looked up.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from tarfile import is_tarfile
from typing import Any, BinaryIO, NamedTuple
from zipfile import ZIP_STORED, ZipFile

import ml_dtypes
import numpy as np

from rival_jax.errors import InputError
from rival_jax.weights.stored import Stored

_DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}

_RECORDS = (
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "_codecs.encode",
    "torch.Size",
    "torch.device",
)
"""What a trainer's records of steps and scores are made of, beside the weights: nobody needs it."""

_FORMER = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""What torch's files began with before they were zip archives: a pickle of one number."""

_Place = Callable[[str], tuple[int, int]]
"""The first byte of a storage in its file, and how many it has."""


def pickled(file: Path) -> dict[str, Stored]:
    """Every tensor of a torch pickle by name; those of a `state_dict` alone where there is one.

    Those of a group with names of its own, of which an IP-Adapter has two, are `group.name`.

    Raises InputError for a file in torch's format from before 2017, for one that would call anything else than what
    makes a tensor, and for tensors that do not lie in one piece; any other error means that the file is corrupt.
    """
    with file.open("rb") as stream:
        if is_tarfile(stream):
            raise InputError(
                f"The weight file {file} is in torch's format from before 2017, which is not read: load and save it "
                "once with today's torch, or convert it to safetensors."
            )
        is_former = stream.read(len(_FORMER)) == _FORMER
        content, place = (_former if is_former else _archived)(file, stream)
        named = _named(content.get("state_dict", content)) if isinstance(content, Mapping) else {}
        if not named:
            raise InputError(f"The weight file {file} holds no tensors by name.")
        return {name: _stored(file, place, name, tensor) for name, tensor in named.items()}


def _archived(file: Path, stream: BinaryIO) -> tuple[Any, _Place]:
    """What a zip archive says there is, and where its storages are."""
    with ZipFile(stream) as archive:
        (listing,) = (name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1)
        folder = listing.removesuffix("data.pkl")
        order = f"{folder}byteorder"
        _check_order(file, order not in archive.namelist() or archive.read(order) == b"little")
        content = _Unpickler(file, io.BytesIO(archive.read(listing))).load()

    def place(key: str) -> tuple[int, int]:
        entry = archive.getinfo(f"{folder}data/{key}")
        if entry.compress_type != ZIP_STORED:
            raise InputError(
                f"The weight file {file} is compressed, which torch does not do: it cannot be read in place."
            )
        stream.seek(entry.header_offset + 26)  # the archive's own header of it may be longer than the listing says
        name_length, extra_length = struct.unpack("<HH", stream.read(4))
        return entry.header_offset + 30 + name_length + extra_length, entry.file_size

    return content, place


def _former(file: Path, stream: BinaryIO) -> tuple[Any, _Place]:
    """What a row of pickles, of which the first is read, says there is, and where the storages behind them are."""
    _, machine = _Unpickler(file, stream).load(), _Unpickler(file, stream).load()
    _check_order(file, machine["little_endian"])
    unpickler = _Unpickler(file, stream)
    content, places = unpickler.load(), {}
    for key in _Unpickler(file, stream).load():
        (length,) = struct.unpack("<q", stream.read(8))
        places[key] = stream.tell(), length * np.dtype(_DTYPES[unpickler.storages[key]]).itemsize
        stream.seek(sum(places[key]))
    return content, places.__getitem__


def _check_order(file: Path, is_little: bool) -> None:
    if not is_little:
        raise InputError(f"The weight file {file} was written by a big-endian machine, which is not read.")


def _named(content: Any) -> dict[str, _Tensor]:
    """The tensors of a mapping by name, and those of a mapping in it by both names; no deeper."""
    entries = list(content.items()) if isinstance(content, Mapping) else []
    groups = [(name, value) for name, value in entries if isinstance(value, Mapping)]
    entries += [(f"{name}.{inner}", value) for name, group in groups for inner, value in group.items()]
    return {str(name): value for name, value in entries if isinstance(value, _Tensor)}


class _Storage(NamedTuple):
    dtype: str
    key: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _stored(file: Path, place: _Place, name: str, tensor: _Tensor) -> Stored:
    """A tensor's place in the file."""
    begin, size = place(tensor.storage.key)
    dtype, shape = np.dtype(_DTYPES[tensor.storage.dtype]), tuple(tensor.shape)
    if not all(type(number) is int and number >= 0 for number in (tensor.offset, *shape)):
        raise ValueError(f"the shape of {name} is none")
    contiguous = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    steps = zip(shape, tensor.strides, contiguous, strict=True)
    if math.prod(shape) and any(side > 1 and stride != dense for side, stride, dense in steps):
        raise InputError(
            f"The weight file {file} stores {name} transposed or with gaps: convert the file to safetensors."
        )
    if (tensor.offset + math.prod(shape)) * dtype.itemsize > size:
        raise ValueError(f"{name} is longer than its storage")
    return Stored(file, begin + tensor.offset * dtype.itemsize, dtype, shape)


class _Unpickler(pickle.Unpickler):
    """Answers every name of the pickle itself."""

    def __init__(self, file: Path, stream: BinaryIO):
        super().__init__(stream)
        self.file = file
        self.foreign: list[str] = []
        self.storages: dict[str, str] = {}

    def load(self) -> Any:
        try:
            return super().load()
        except (pickle.UnpicklingError, TypeError, AttributeError) as error:
            if not self.foreign:
                raise
            raise self.refusal(*self.foreign) from error  # something was done with them that is done with classes

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        name = f"{module_name}.{global_name}"
        if name == "collections.OrderedDict":
            return OrderedDict
        if name in ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"):
            return self.tensor
        if name == "torch._utils._rebuild_parameter":
            return self.parameter
        if module_name == "torch" and global_name in _DTYPES:
            return global_name
        if name in _RECORDS:
            return _Ignored()
        self.foreign.append(name)
        return _Foreign(self, name)

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, _, *view = pid
        if kind != "storage" or dtype not in _DTYPES or not isinstance(key, str) or any(view):
            raise pickle.UnpicklingError("no storage of torch's")
        self.storages[key] = dtype
        return _Storage(dtype, key)

    def tensor(self, storage, offset, shape, strides, *_) -> _Tensor:
        """In place of torch's functions of four and of seven arguments."""
        if not isinstance(storage, _Storage):
            raise pickle.UnpicklingError("a tensor without storage")
        return _Tensor(storage, offset, shape, strides)

    def parameter(self, tensor, *_) -> Any:
        """In place of torch's function of three arguments."""
        return tensor

    def refusal(self, *names: str) -> InputError:
        return InputError(
            f"The weight file {self.file} would call {', '.join(dict.fromkeys(names))}, which may do anything: only "
            "pickles of tensors are read, and nothing of this one was run."
        )


class _Ignored:
    """Stands for a record that nobody needs: it can be called, filled and put anywhere, and stays what it is."""

    __slots__ = ()

    def __call__(self, *_: Any) -> _Ignored:
        return self

    def __setstate__(self, _: Any) -> None:
        pass


class _Foreign:
    """Stands for a name that is not known here: it can be put anywhere, but not called or filled."""

    __slots__ = ("_unpickler", "_name")

    def __init__(self, unpickler: _Unpickler, name: str):
        self._unpickler, self._name = unpickler, name

    def __call__(self, *_: Any) -> Any:
        raise self._unpickler.refusal(self._name)

    __setstate__ = __call__
