"""Which files are read, and where a model is."""

import json

import huggingface_hub
import numpy as np
import pytest
from checkpoint import write_checker

from rival_jax.errors import InputError
from rival_jax.weights import resolve
from rival_jax.weights.files import DIFFUSERS, TRANSFORMERS, choose, read_json, weight_files
from rival_jax.weights.locate import _weight_names

PLAIN, HALF = "model.safetensors", "model.fp16.safetensors"
SHARDS, HALF_SHARDS = "model.safetensors.index.json", "model.safetensors.index.fp16.json"
FLAX = "flax_model.msgpack"
BIN, HALF_BIN = "pytorch_model.bin", "pytorch_model.fp16.bin"


@pytest.mark.parametrize(
    "names, single, half",
    [
        ({PLAIN}, PLAIN, PLAIN),
        ({HALF}, HALF, HALF),
        ({PLAIN, HALF}, PLAIN, HALF),
        ({SHARDS, HALF}, SHARDS, HALF),
        ({HALF_SHARDS, PLAIN}, PLAIN, HALF_SHARDS),
        ({"model.fp16.safetensors.index.json"}, *["model.fp16.safetensors.index.json"] * 2),
        ({FLAX, PLAIN}, PLAIN, PLAIN),
        ({FLAX, BIN}, FLAX, FLAX),
        ({BIN}, BIN, BIN),
        ({BIN, HALF_BIN}, BIN, HALF_BIN),
        ({"pytorch_model.bin.index.json"}, *["pytorch_model.bin.index.json"] * 2),
        ({HALF, BIN}, HALF, HALF),
        ({PLAIN, HALF_BIN}, PLAIN, PLAIN),
        ({"model.bin", "diffusion_pytorch_model.bin"}, None, None),
        ({"model.non_ema.safetensors", "other.safetensors"}, None, None),
    ],
)
def test_choice(names, single, half):
    assert choose(names, "model", np.float32) == single
    assert choose(names, "model", np.float16) == half


def test_no_weights(model):
    model.remove("unet")
    with pytest.raises(InputError, match=r"unet has no weights: safetensors, .* or torch \.bin are needed"):
        weight_files(model.directory / "unet", DIFFUSERS, np.float32)


def test_an_index_that_names_an_absent_shard(model):
    folder = model.directory / "unet"
    model.remove("unet")
    shards = {
        "a": "diffusion_pytorch_model-00001-of-00002.safetensors",
        "b": "diffusion_pytorch_model-00002-of-00002.safetensors",
    }
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    (folder / shards["a"]).write_bytes(b"")
    with pytest.raises(
        InputError, match=r"index\.json names diffusion_pytorch_model-00002-of-00002\.safetensors, which is"
    ):
        weight_files(folder, DIFFUSERS, np.float32)


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": 3}', '{"weight_map": {}}', "{}"])
def test_a_corrupt_index(model, content):
    model.remove("vae")
    (model.directory / "vae/diffusion_pytorch_model.safetensors.index.json").write_text(content)
    with pytest.raises(InputError, match="index.json"):
        weight_files(model.directory / "vae", DIFFUSERS, np.float32)


def test_json(tmp_path):
    with pytest.raises(InputError, match="x.json is missing"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError, match="x.json is corrupt"):
        read_json(tmp_path / "x.json")


def test_a_directory(model):
    assert resolve(model.directory, FLOAT32) == model.directory.resolve()
    assert resolve(str(model.directory), FLOAT32) == model.directory.resolve()


def test_a_directory_that_is_no_model(model):
    (model.directory / "model_index.json").unlink()
    (model.directory / "vae/config.json").unlink()
    with pytest.raises(InputError, match="not in the diffusers layout: it lacks model_index.json, vae/config.json"):
        resolve(model.directory, FLOAT32)


@pytest.mark.parametrize("name", ["", "tinny", "a/b/c", "/no/such/place", "./nowhere", "model_index.json"])
def test_what_is_neither_a_directory_nor_a_hub_id(model, name, monkeypatch):
    monkeypatch.chdir(model.directory / "vae" if name == "" else model.directory)
    with pytest.raises(InputError, match='accepted: "tiny", a directory in the diffusers layout, a hub id'):
        resolve(name or "config.json", FLOAT32)


FLOAT32 = dict.fromkeys(("unet", "vae", "text_encoder", "safety_checker"), np.float32)
HALF = FLOAT32 | {"unet": np.float16, "text_encoder": np.float16}
"""As a checkpoint is loaded in 16 bits: the autoencoder stays float32, from its float32 file."""


class Hub:
    """Stands in for the hub: a repository that lies in a directory, or an error."""

    def __init__(self, monkeypatch, directory=None, error=None, cached=None):
        self.directory, self.error, self.cached, self.asked = directory, error, cached, None
        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", self.model_info)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self.snapshot_download)

    def model_info(self, repo, timeout=None):
        if self.error:
            raise self.error
        names = [str(path.relative_to(self.directory)) for path in self.directory.rglob("*.*")]
        return huggingface_hub.hf_api.ModelInfo(id=repo, siblings=[{"rfilename": name} for name in names])

    def snapshot_download(self, repo, allow_patterns, local_files_only=False):
        self.asked = allow_patterns
        if local_files_only and not self.cached:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not cached")
        return str(self.cached or self.directory)


def test_a_hub_id(model, monkeypatch):
    hub = Hub(monkeypatch, model.directory)
    for part in ("unet", "vae"):
        model.write(part, "diffusion_pytorch_model.fp16.safetensors", {})
    write_checker(model.directory)
    assert resolve("owner/name", HALF) == model.directory.resolve()
    assert [name for name in hub.asked if "safetensors" in name] == [
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "safety_checker/model.safetensors",
    ]
    assert {"safety_checker/*.json", "feature_extractor/*.json"} < set(hub.asked)
    assert "tokenizer/*.txt" in hub.asked


def test_a_safety_checker_that_cannot_be_read_is_not_fetched(model, monkeypatch):
    hub = Hub(monkeypatch, model.directory)
    write_checker(model.directory)
    (model.directory / "safety_checker/model.safetensors").rename(model.directory / "safety_checker/model.bin")
    resolve("owner/name", FLOAT32)
    assert not [name for name in hub.asked if "safety_checker" in name]


def test_only_the_wanted_shards_are_fetched():
    names = ["unet/x.bin", "unet/diffusion_pytorch_model.safetensors.index.json"]
    names += ["unet/diffusion_pytorch_model.safetensors.index.fp16.json"]
    plain = [f"unet/diffusion_pytorch_model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    half = ["unet/diffusion_pytorch_model.fp16-00001-of-00001.safetensors"]
    assert _weight_names(names + plain + half, "unet/", DIFFUSERS, np.float32) == [names[1], *plain]
    assert _weight_names(names + plain + half, "unet/", DIFFUSERS, np.float16) == [names[2], *half]


def test_only_the_wanted_shards_of_pickles_are_fetched():
    names = ["text_encoder/pytorch_model.bin.index.json", "text_encoder/model-00001-of-00001.safetensors"]
    shards = [f"text_encoder/pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
    assert _weight_names(names + shards, "text_encoder/", TRANSFORMERS, np.float32) == [names[0], *shards]


def test_the_hub_out_of_reach(model, monkeypatch):
    Hub(monkeypatch, error=ConnectionError())
    with pytest.raises(
        InputError, match=r"owner/name was not found: no directory here, .* be reached \(ConnectionError\)"
    ):
        resolve("owner/name", FLOAT32)
    Hub(monkeypatch, error=ConnectionError(), cached=model.directory)
    assert resolve("owner/name", FLOAT32) == model.directory.resolve()


@pytest.mark.parametrize("name", ["owner/na--me", "owner/name.", "models/.."])
def test_an_impossible_hub_id(name):
    with pytest.raises(InputError, match="neither a directory here nor a possible hub id"):
        resolve(name, FLOAT32)
