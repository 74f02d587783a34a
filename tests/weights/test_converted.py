"""The converted copy that makes later starts faster."""

import logging
import os

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rival_jax.weights import TEXT_ENCODER, converted, load_state, plan
from rival_jax.weights.rules import leaf_paths


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RIVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(converted, "_SMALL", 0)
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch):
    """Counts how often the checkpoint itself is read."""
    counted = []
    original = converted.read
    monkeypatch.setattr(converted, "read", lambda prepared: counted.append(prepared) or original(prepared))
    return counted


def load(model, dtype=jnp.bfloat16):
    """The text encoder's weights, checked against what was written."""
    prepared = plan(model.directory, TEXT_ENCODER, dtype)
    state = load_state(prepared)
    for path, leaf in leaf_paths(state).items():
        assert leaf.dtype == dtype
        np.testing.assert_allclose(
            np.asarray(leaf, np.float32), leaf_paths(model.states["text_encoder"])[path], rtol=2**-8
        )
    return nnx.merge(prepared.graphdef, state)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_the_second_start_reads_the_copy(model, cache, reads, dtype):
    load(model, dtype)
    load(model, dtype)
    assert len(reads) == 1 and len(list(cache.iterdir())) == 1


def test_each_dtype_has_its_copy(model, cache, reads):
    load(model, jnp.float16)
    load(model, jnp.bfloat16)
    assert len(reads) == 2 and len(list(cache.iterdir())) == 2


def test_a_changed_checkpoint_replaces_its_copy(model, cache, reads):
    load(model)
    (before,) = cache.iterdir()
    file = model.directory / "text_encoder/model.safetensors"
    os.utime(file, ns=(1, 1))
    load(model)
    (after,) = cache.iterdir()
    assert len(reads) == 2 and before.name != after.name


def test_a_broken_copy_is_written_anew(model, cache, reads, caplog):
    load(model)
    (copy,) = cache.iterdir()
    for file in copy.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:10])
    load(model)
    load(model)
    assert len(reads) == 2
    assert [record.levelno for record in caplog.records if record.name == converted.__name__] == [logging.WARNING]


def test_small_networks_are_not_copied(model, cache, monkeypatch):
    monkeypatch.setattr(converted, "_SMALL", 100_000_000)
    load(model)
    assert not cache.exists()


def test_weights_that_need_no_cast_are_not_copied(model, cache):
    load(model, jnp.float32)
    assert not cache.exists()


def test_off(model, cache, monkeypatch, tmp_path):
    monkeypatch.setenv("RIVAL_CACHE", "off")
    monkeypatch.chdir(tmp_path)
    load(model)
    assert not cache.exists() and not (tmp_path / "off").exists()


def test_a_cache_that_cannot_be_written(model, cache, caplog):
    cache.write_text("a file in the way")
    load(model)
    messages = [record.getMessage() for record in caplog.records if record.name == converted.__name__]
    assert len(messages) == 1 and "No converted copy was kept" in messages[0]


def test_where_copies_lie(monkeypatch, tmp_path):
    monkeypatch.delenv("RIVAL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert converted.cache_directory() == tmp_path / "rival_jax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert converted.cache_directory() == tmp_path / ".cache/rival_jax"
