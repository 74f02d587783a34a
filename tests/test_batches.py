"""Requests of any size: how much runs at once, and what happens where memory does not suffice after all."""

import jax
import numpy as np
import pytest

from rival_jax import generation, inversion
from rival_jax.batches import fitting, free_bytes, in_batches, undivided

GIGA = 10**9


@pytest.mark.parametrize(
    ("exemplars", "variations", "free", "expected"),
    [
        (4, 8, 1000, (4, 8)),
        (4, 8, 40, (2, 8)),  # two exemplars of 17 each fit in nine tenths
        (5, 8, 40, (2, 8)),
        (6, 8, 60, (3, 8)),
        (4, 8, 12, (1, 4)),  # one exemplar does not: variations are split evenly
        (4, 8, 1, (1, 1)),
        (4, 9, 15, (1, 5)),
    ],
)
def test_what_fits(exemplars, variations, free, expected):
    """One exemplar takes 3 with one variation and 5 with two."""
    found = fitting(exemplars, variations, lambda n: (3 + 2 * (n - 1)) * GIGA, free * GIGA)
    assert found == expected
    e, n = found
    assert (e, n) == (1, 1) or e * (3 + 2 * (n - 1)) <= 0.9 * free


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 5), (2, 5), (3, 1)])
def test_every_part_once_and_in_order(size):
    whole = np.arange(15).reshape(3, 5)
    seen = []
    parts = in_batches(lambda b: seen.append(b) or whole[b.exemplars, b.variations], 3, 5, size)
    np.testing.assert_array_equal(np.block(parts), whole)
    assert [batch.done for batch in seen] == list(range(len(seen))) and {batch.count for batch in seen} == {len(seen)}
    assert {batch.size for batch in seen} == {size}


def short_of_memory(most, calls, after=0):
    def run(batch):
        e = batch.exemplars.stop - batch.exemplars.start
        n = batch.variations.stop - batch.variations.start
        calls.append((e, n))
        if e * n > most and len(calls) > after:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return np.arange(15).reshape(3, 5)[batch.exemplars, batch.variations]

    return run


def test_too_little_memory_halves_once_and_says_so():
    calls = []
    with pytest.warns(UserWarning, match="Too little memory: going on with 2 exemplars x 5 variations at once"):
        parts = in_batches(short_of_memory(10, calls), 3, 5, (3, 5))
    np.testing.assert_array_equal(np.block(parts), np.arange(15).reshape(3, 5))
    assert calls == [(3, 5), (2, 5), (1, 5)]
    calls = []
    with pytest.warns(UserWarning, match="1 exemplars x 2 variations"):
        parts = in_batches(short_of_memory(2, calls, after=1), 3, 5, (1, 4))
    np.testing.assert_array_equal(np.block(parts), np.arange(15).reshape(3, 5))
    assert calls[:3] == [(1, 4), (1, 1), (1, 4)] and calls[3:] == [(1, 2), (1, 2), (1, 1)] * 2  # the first are kept
    with pytest.warns(UserWarning), pytest.raises(jax.errors.JaxRuntimeError):
        in_batches(short_of_memory(4, []), 3, 5, (3, 5))


def test_undivided():
    """One batch whatever fits, and nothing smaller after it; also where one is within another, or fails."""
    calls = []
    with undivided():
        with undivided():
            [[whole]] = in_batches(short_of_memory(15, calls), 3, 5, (1, 2))
        with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
            in_batches(short_of_memory(10, calls), 3, 5, (1, 2))
    np.testing.assert_array_equal(whole, np.arange(15).reshape(3, 5))
    assert calls == [(3, 5), (3, 5)]
    with pytest.raises(ZeroDivisionError), undivided():
        _ = 1 / 0
    in_batches(short_of_memory(15, calls), 3, 5, (3, 3))
    assert calls[2:] == [(3, 3), (3, 2)]


def test_an_undivided_request(pipe, photos, chain, monkeypatch):
    """The same bits where only one exemplar and variation would fit at a time."""
    whole = pipe.vary(chain, "a red car", num_variations=3)
    for module in (generation, inversion):
        monkeypatch.setattr(module, "fitting", lambda *_: (1, 1))
    with undivided():
        again = pipe.vary(pipe.invert(photos, chain.source_prompt, 4), "a red car", num_variations=3)
    np.testing.assert_array_equal(again.chain.latents, chain.latents)
    np.testing.assert_array_equal(again.latents, whole.latents)


def test_other_errors_are_not_memory():
    def run(batch):
        raise jax.errors.JaxRuntimeError("INVALID_ARGUMENT: something else")

    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        in_batches(run, 3, 5, (3, 5))


def test_a_split_request_gives_the_same_pictures(pipe, photos, chain, monkeypatch):
    """With room for one exemplar and two variations at a time, and for everything; each has its own guidance."""
    three = {"num_variations": 3, "seed": [1, 2], "guidance_scale": np.arange(6).reshape(2, 3)}
    whole = pipe.vary(chain, "a red car", **three)
    monkeypatch.setattr(generation, "fitting", lambda *_: (1, 1))
    monkeypatch.setattr(inversion, "fitting", lambda *_: (1, 1))
    calls = []
    split = pipe.vary(chain, "a red car", **three, progress=lambda *call: calls.append(call))
    assert np.abs(np.asarray(split.latents) - whole.latents).max() <= 1e-4 * np.abs(whole.latents).max()
    assert calls[-1][1] == calls[-1][2] > 4 and [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)
    again = pipe.invert(np.concatenate([photos, photos]), list(chain.source_prompt) * 2, 4)
    for half in (again.latents[:, :2], again.latents[:, 2:]):
        np.testing.assert_allclose(half, chain.latents, rtol=1e-4, atol=1e-4)


class Device:
    platform = "gpu"

    def __init__(self, stats):
        self.memory_stats = lambda: stats


@pytest.mark.parametrize(
    ("stats", "expected"),
    [({"bytes_limit": 16 * GIGA, "bytes_in_use": GIGA}, 15 * GIGA), (None, 2**62), ({"bytes_in_use": 0}, 2**62)],
)
def test_free_memory_of_a_device(stats, expected, monkeypatch):
    """What cannot be known is no limit: the host's memory says nothing of a device's."""
    monkeypatch.setattr(jax, "local_devices", lambda: [Device(stats)])
    assert free_bytes() == expected
