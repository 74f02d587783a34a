"""Filters: what each drops, in which order, and with what sentence."""

import numpy as np
import pytest
from made import row_of

from rival_jax.errors import InputError
from rival_jax.jobs import Plan
from rival_jax.jobs.job import Filters, make_job
from rival_jax.jobs.sample import Sample
from rival_jax.jobs.verdicts import LabelJudge, distance_to, thumbnail, verdict
from rival_jax.training.datasets import labelled

FILTERS = Filters(duplicates=0.03, min_psnr=20.0)
CAT = Sample("a.png", {}, "cat", None)


@pytest.mark.parametrize(
    ("values", "status", "words"),
    [
        ({}, "success", ""),
        ({"distance": 0.0299}, "filtered_duplicate", "as the exemplar (0.0299 of 0.03)"),
        ({"distance": 0.0, "label_found": "dog", "label_score": 0.2}, "filtered_label", "likelier than cat (at 0.2)"),
        ({"label_found": "cat"}, "success", ""),
        ({"label_found": "dog", "nsfw": True, "nsfw_score": 0.02}, "filtered_nsfw", "flags it (0.02)"),
        ({"nsfw": False, "nsfw_score": -0.1}, "success", ""),
        ({"nsfw": True, "psnr": 19.9}, "filtered_inversion", "at 19.9 dB only, of 20.0"),
        ({"psnr": 20.0}, "success", ""),
    ],
)  # fmt: skip
def test_the_first_that_drops(values, status, words):
    found, message = verdict(row_of(CAT, 0, **values), FILTERS, nearest=0)
    assert found == status and words in message and (status == "success") == (message == "")
    assert "a sibling" in verdict(row_of(CAT, 0, distance=0.0), FILTERS, nearest=2)[1]


def test_nothing_is_dropped_where_filters_are_off():
    row = row_of(CAT, 0, distance=0.0, psnr=1.0)
    assert verdict(row, Filters(duplicates=0.0, min_psnr=0.0), 0) == ("success", "")


def test_distances_are_between_thumbnails():
    """Half of the pixels off by all of their range: the root of a half; noise of single pixels hardly matters."""
    black, half = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
    half[:32] = 255
    assert distance_to(thumbnail(half), [thumbnail(black)]) == (0.7071, 0)
    assert distance_to(thumbnail(half), [thumbnail(black), thumbnail(half)]) == (0.0, 1)
    noisy = np.random.default_rng(0).integers(0, 40, black.shape, np.uint8)
    assert distance_to(thumbnail(noisy), [thumbnail(black + 20)])[0] < 0.02


def _plan(tmp_path, labels):
    job = make_job({"input": {"path": "x"}, "output": {"path": str(tmp_path)}, "filters": {"labels": True}})
    return Plan(job, tmp_path, 10, labels)


def test_clip_finds_what_the_drawn_world_shows(tmp_path):
    world = labelled(60, seed=3)
    labels = tuple(sorted(set(world.objects.tolist())))
    judged = LabelJudge.load(_plan(tmp_path, labels))(world.pictures, world.objects.tolist())
    right = [found == label for (found, _), label in zip(judged, world.objects, strict=True)]
    assert np.mean(right) > 0.6  # of 240 it names 0.74; chance is a twelfth
    assert all((score > 1 / len(labels)) for (found, score), hit in zip(judged, right, strict=True) if hit)


def test_one_label_cannot_be_told_from_others(tmp_path):
    with pytest.raises(InputError, match="at least two labels, but the input has 1"):
        LabelJudge.load(_plan(tmp_path, ("cat",)))
