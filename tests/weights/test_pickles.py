"""Torch's pickles: what is read of them, and that nothing they ask for is run."""

import json
import pickle
import tarfile
import zipfile

import ml_dtypes
import numpy as np
import pytest
from torch_file import call, mapping, named, plain, save, tensor, write, write_former

from rival_jax.errors import InputError
from rival_jax.weights.headers import index
from rival_jax.weights.load import plan, read
from rival_jax.weights.rules import leaf_paths

TENSORS = {
    "a.double": np.arange(6, dtype=np.float64).reshape(2, 3),
    "a.single": np.arange(70000, dtype=np.float32),
    "a.half": np.arange(6, dtype=np.float16).reshape(1, 2, 3),
    "b.brain": np.arange(200, dtype=np.float32).reshape(2, 100).astype(ml_dtypes.bfloat16),
    "b.scalar": np.array(3.0, np.float32),
    "c.integers": np.arange(4, dtype=np.int64)[None],
}
NOTHING = np.zeros(4, np.float32)


def assert_same(found, tensors):
    assert found.keys() == tensors.keys()
    for name, wanted in tensors.items():
        read = found[name].read()
        assert (read.dtype, read.shape) == (wanted.dtype, wanted.shape), name
        np.testing.assert_array_equal(read, wanted)


@pytest.mark.parametrize("is_former", [False, True])
@pytest.mark.parametrize("suffix", ["bin", "ckpt", "pt", "pth"])
def test_tensors_are_read_by_their_place(tmp_path, suffix, is_former):
    assert_same(index(save(tmp_path / f"x.{suffix}", TENSORS, is_former=is_former)), TENSORS)


def test_a_state_dict_with_a_trainers_records_around_it(tmp_path):
    """Scores as numpy's scalars, callbacks by their classes."""
    dtype = call("numpy.dtype", plain("f8"), plain(0), plain(1)) + plain((3, "<", None, None, None, -1, -1, 0)) + b"b"
    score = call("numpy.core.multiarray.scalar", dtype, call("_codecs.encode", plain("x"), plain("latin1")))
    callback = named("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint")

    def wrap(entries):
        callbacks = b"}(" + callback + mapping({"best_model_score": score}) + b"u"
        return mapping({"state_dict": entries, "callbacks": callbacks, "global_step": plain(470000)})

    assert_same(index(save(tmp_path / "x.ckpt", TENSORS, wrap)), TENSORS)


def test_an_ordered_dictionary_with_metadata(tmp_path):
    def wrap(entries):
        return (
            call("collections.OrderedDict") + entries[1:] + mapping({"_metadata": plain({"": {"version": 1}})}) + b"b"
        )

    assert_same(index(save(tmp_path / "x.bin", TENSORS, wrap)), TENSORS)


def test_tensors_that_share_a_storage(tmp_path):
    storage = np.arange(12, dtype=np.float32)
    entries = {"first": tensor("0", (2, 3), size=12), "second": tensor("0", (3, 2), offset=6, size=12)}
    found = index(write(tmp_path / "x.bin", mapping(entries), {"0": storage}))
    assert_same(found, {"first": storage[:6].reshape(2, 3), "second": storage[6:].reshape(3, 2)})


def test_a_parameter_is_its_tensor(tmp_path):
    entries = {"w": call("torch._utils._rebuild_parameter", tensor("0", (4,)), plain(True), plain(None))}
    assert_same(index(write(tmp_path / "x.bin", mapping(entries), {"0": NOTHING})), {"w": NOTHING})


def test_groups_of_tensors(tmp_path):
    """As IP-Adapters are published; what a group holds beside tensors, other groups too, is nobody's."""
    inside = {"1.w": tensor("0", (4,)), "count": plain(3), "deeper": mapping({"w": tensor("0", (4,))})}
    content = mapping({"first": mapping(inside), "second": mapping({"w": tensor("0", (2,), size=4)})})
    found = index(write(tmp_path / "x.bin", content, {"0": NOTHING}))
    assert_same(found, {"first.1.w": NOTHING, "second.w": NOTHING[:2]})


MALICIOUS = {
    "os.system": lambda file: call("os.system", plain(f"touch {file}")),
    "posix.system": lambda file: call("posix.system", plain(f"touch {file}")),
    "builtins.eval": lambda file: call("builtins.eval", plain(f"open({str(file)!r}, 'w')")),
    "builtins.getattr": lambda file: call("builtins.getattr", named("os.path"), plain("sep")),
    "pathlib.Path.touch": lambda file: call("pathlib.Path.touch", plain(str(file))),
    "builtins.open": lambda file: call("builtins.open", plain(str(file)), plain("w")),
    "subprocess.Popen": lambda file: named("subprocess.Popen") + plain((["touch", str(file)],)) + b"\x81",
    "numpy.core.multiarray._reconstruct": lambda file: call("numpy.core.multiarray._reconstruct", plain(0)),
    "torch.load": lambda file: call("torch.load", plain(str(file))),
    "torch._utils._rebuild_tensor_v3": lambda file: call("torch._utils._rebuild_tensor_v3"),
    "pathlib.PosixPath": lambda file: b"(" + plain(str(file)) + b"ipathlib\nPosixPath\n",
    "omegaconf.DictConfig": lambda file: named("omegaconf.DictConfig") + mapping({"a": plain(1)}) + b"b",
}


@pytest.mark.parametrize("write", [write, write_former])
@pytest.mark.parametrize("place", ["tensor", "record", "whole"])
@pytest.mark.parametrize("name", MALICIOUS)
def test_nothing_is_run(tmp_path, name, place, write):
    touched = tmp_path / "touched"
    bad = MALICIOUS[name](touched)
    good = {"w": tensor("0", (4,))}
    content = {
        "tensor": mapping(good | {"v": bad}),
        "record": mapping({"state_dict": mapping(good), "callbacks": bad}),
        "whole": bad,
    }
    file = write(tmp_path / "x.ckpt", content[place], {"0": NOTHING})
    with pytest.raises(InputError, match=rf"x\.ckpt would call {name}, .* nothing of this one was run\.$"):
        index(file)
    assert not touched.exists()


def test_the_malicious_files_would_harm_who_runs_them(tmp_path):
    """Or the test above would show nothing."""
    pickle.loads(b"\x80\x02" + MALICIOUS["os.system"](tmp_path / "touched") + b".")
    assert (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "bad",
    [
        call("torch._utils._rebuild_tensor_v2", plain(1), plain(0), plain((4,)), plain((1,))),
        tensor("0", (5,)),
        tensor("0", (4,), offset=1),
        tensor("0", (4,), offset=-1),
        tensor("0", (-4, -1)),
        tensor("0", (2, 2), strides=(2,)),
        tensor("1", (4,)),
        tensor("../data.pkl", (4,)),
        named("torch.FloatStorage") + plain(()) + b"R",
        plain((named("torch.FloatStorage"), "0")) + b"Q",
        b"\x80\x02",
        b"",
    ],
)
def test_pickles_that_contradict_themselves(tmp_path, bad):
    file = write(tmp_path / "x.bin", mapping({"w": bad}), {"0": NOTHING})
    with pytest.raises(InputError, match=r"x\.bin is corrupt or not a bin file"):
        index(file)


def test_tensors_in_pieces(tmp_path):
    file = write(tmp_path / "x.bin", mapping({"w": tensor("0", (2, 2), strides=(1, 2))}), {"0": NOTHING})
    with pytest.raises(InputError, match="stores w transposed or with gaps: convert"):
        index(file)


def test_compressed(tmp_path):
    file = write(tmp_path / "x.bin", mapping({"w": tensor("0", (4,))}), {"0": NOTHING}, zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="is compressed"):
        index(file)


def test_big_endian(tmp_path):
    file = write(tmp_path / "x.bin", mapping({"w": tensor("0", (4,))}), {"0": NOTHING}, byteorder="big")
    with pytest.raises(InputError, match="big-endian"):
        index(file)


@pytest.mark.parametrize("content", [plain([1, 2]), plain("text"), mapping({}), mapping({"epoch": plain(3)})])
def test_no_tensors(tmp_path, content):
    with pytest.raises(InputError, match="holds no tensors by name"):
        index(write(tmp_path / "x.bin", content, {}))


def test_the_first_function_for_tensors(tmp_path):
    """Of four arguments, in files of 2017."""
    parts = plain("storage") + named("torch.FloatStorage") + plain("0") + plain("cpu") + plain(4) + plain(None)
    content = call("torch._utils._rebuild_tensor", b"(" + parts + b"tQ", plain(0), plain((4,)), plain((1,)))
    found = index(write_former(tmp_path / "x.pth", mapping({"w": content}), {"0": NOTHING}))
    assert_same(found, {"w": NOTHING})


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (tensor("0", (4,), view=plain(("1", 0, 4))), ("0",)),
        (tensor("0", (5,)), ("0",)),
        (tensor("1", (4,)), ("0",)),
        (tensor("0", (4,)), ("0", "1")),
        (tensor("0", (4,)), ()),
    ],
)
def test_former_files_that_contradict_themselves(tmp_path, content, keys):
    """Views of a storage, which torch has not written for long, among them."""
    file = write_former(tmp_path / "x.pth", mapping({"w": content}), dict.fromkeys(keys, NOTHING))
    with pytest.raises(InputError, match=r"x\.pth is corrupt or not a pth file"):
        index(file)


def test_a_former_file_of_a_big_endian_machine(tmp_path):
    machine = (("little_endian", False),)
    with pytest.raises(InputError, match="big-endian"):
        index(write_former(tmp_path / "x.pth", mapping({"w": tensor("0", (4,))}), {"0": NOTHING}, machine))


def test_the_format_before_the_former(tmp_path):
    with tarfile.open(tmp_path / "x.pth", "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    with pytest.raises(InputError, match="torch's format from before 2017, .* convert it to safetensors"):
        index(tmp_path / "x.pth")


@pytest.mark.parametrize("is_former", [False, True])
@pytest.mark.parametrize("keep", [0, 1, 5, 60, 0.1, 0.5, 0.9, -1])
def test_truncated(tmp_path, keep, is_former):
    file = save(tmp_path / "x.ckpt", TENSORS, is_former=is_former)
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(InputError, match=r"weight file .*x\.ckpt is (corrupt|empty|cut short)"):
        index(file)


def test_a_git_lfs_pointer(tmp_path):
    (tmp_path / "x.ckpt").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123\n")
    with pytest.raises(InputError, match="Git LFS pointer"):
        index(tmp_path / "x.ckpt")


FORMER = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "pytorch_model"}


@pytest.mark.parametrize("folder", FORMER)
@pytest.mark.parametrize("sharded", [False, True])
def test_a_directory_with_nothing_but_pickles(model, folder, sharded):
    model.remove(folder)
    place, tensors = model.directory / folder, model.tensors[folder]
    if sharded:
        halves = [dict(list(tensors.items())[start::2]) for start in range(2)]
        files = [f"{FORMER[folder]}-0000{number}-of-00002.bin" for number in (1, 2)]
        for file, half in zip(files, halves, strict=True):
            save(place / file, half)
        shards = {name: file for file, half in zip(files, halves, strict=True) for name in half}
        (place / f"{FORMER[folder]}.bin.index.json").write_text(json.dumps({"weight_map": shards}))
    else:
        save(place / f"{FORMER[folder]}.bin", tensors)
    leaves = leaf_paths(read(plan(model.directory, model.parts[folder], np.float32)))
    for path, wanted in leaf_paths(model.states[folder]).items():
        np.testing.assert_array_equal(leaves[path], wanted, err_msg=path)
