"""A model's number: what changes it and what does not."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from checkpoint import write_checker

from rival_jax.errors import InputError
from rival_jax.weights.fingerprint import fingerprint

READ = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "feature_extractor/preprocessor_config.json",
)


@pytest.fixture
def directory(model):
    write_checker(model.directory)
    return model.directory


@pytest.mark.parametrize("name", READ)
def test_a_byte_of_any_file_that_is_read_changes_it(directory, name):
    before = fingerprint(directory)
    file = directory / name
    content = bytearray(file.read_bytes())
    file.write_bytes(content + b"\n" if name.endswith("json") else content[:-1] + bytes([content[-1] ^ 1]))
    assert fingerprint(directory) != before
    file.write_bytes(content)
    assert fingerprint(directory) == before


def test_a_copy_elsewhere_is_the_same(directory, tmp_path_factory):
    copy = shutil.copytree(directory, tmp_path_factory.mktemp("elsewhere") / "b")
    assert fingerprint(copy) == fingerprint(directory)


@pytest.mark.parametrize("name", ["README.md", "unet/diffusion_pytorch_model.bin", "vae/other.safetensors", "x/y.json"])
def test_files_that_nobody_reads_do_not_count(directory, name):
    before = fingerprint(directory)
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).write_bytes(b"?")
    assert fingerprint(directory) == before


def test_a_safety_checker_that_is_not_used_does_not_count(directory):
    (directory / "model_index.json").write_text(json.dumps({"safety_checker": [None, None]}))
    before = fingerprint(directory)
    (directory / "safety_checker/config.json").write_text("")
    assert fingerprint(directory) == before


def test_variants_and_shards_count(model):
    seen = {fingerprint(model.directory)}
    model.write("unet", "diffusion_pytorch_model.fp16.safetensors", {"a": np.zeros(1, np.float16)})
    seen.add(fingerprint(model.directory))
    model.remove("vae")
    model.write("vae", "a.safetensors", {"a": np.zeros(1)})
    index = model.directory / "vae/diffusion_pytorch_model.safetensors.index.json"
    for shards in ({"a": "a.safetensors"}, {"b": "a.safetensors"}):
        index.write_text(json.dumps({"weight_map": shards}))
        seen.add(fingerprint(model.directory))
    model.write("vae", "a.safetensors", {"a": np.ones(1)})
    assert len(seen | {fingerprint(model.directory)}) == 5


def test_it_is_what_sha256sum_says(model):
    """So that it can be checked without this library."""
    names = subprocess.run(
        ["find", ".", "-name", "*.json", "-o", "-name", "*.txt", "-o", "-name", "*.safetensors"],
        cwd=model.directory, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    names = sorted(name.removeprefix("./") for name in names)
    said = subprocess.run(["sha256sum", *names], cwd=model.directory, capture_output=True, text=True, check=True)
    of_all = subprocess.run(["sha256sum"], input=said.stdout, capture_output=True, text=True, check=True).stdout
    assert fingerprint(model.directory) == of_all.split()[0]


def test_a_network_without_weights(model):
    model.remove("unet")
    with pytest.raises(InputError, match="unet has no weights"):
        fingerprint(model.directory)
