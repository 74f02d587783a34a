"""Running jobs: the same pictures however they are shared out or interrupted, and bad samples that harm no others."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from command import save_photo
from dataset import contents, job_of, planned, write_dataset
from PIL import Image

from rival_jax.errors import JobError
from rival_jax.images import load_images
from rival_jax.jobs import engine, finalize, make_plan, retry, run, status
from rival_jax.jobs.rows import read_rows
from rival_jax.jobs.shards import publishing
from rival_jax.jobs.worker import Worker, guidance_scale


@pytest.fixture
def work(pipe):
    """The worker of a plan, with the tests' model."""
    return lambda plan: Worker(plan, pipe, "model", None, None)


@pytest.fixture
def whole(tmp_path, work):
    """A job that ran undisturbed."""
    plan = planned(tmp_path / "in", tmp_path / "whole")
    assert run(plan, work(plan)) == 3
    finalize(plan)
    return plan


def _rows(plan):
    return [row for shard in sorted(plan.done()) for row in read_rows(plan.rows_file(shard))]


def _same(plan, other):
    """Whether two jobs left the same files; their folders' names are in some."""
    mine, its = contents(plan.folder), contents(other.folder)
    skipped = ("job.json", "README.md")
    assert mine.keys() == its.keys()
    return [name for name in mine if mine[name] != its[name] and name not in skipped] == []


def test_pictures_are_what_vary_draws(whole, pipe, tmp_path):
    """Of each sample, by its own seed, prompt and guidance."""
    rows = _rows(whole)
    assert len(rows) == 15 and {row.status for row in rows} == {"success"}
    sample = whole.samples(2)[0]
    own = [row for row in rows if row.source_id == sample.id]
    assert [row.variation for row in own] == [0, 1, 2] and [row.recipe for row in own] == [0, 1, 0]
    assert {row.prompt for row in own} == {"a dog"} and own[0].source_sha256 and own[0].model == "model"
    photo = load_images(tmp_path / "in" / sample.id, 16, 16)
    chain = pipe.invert(photo, "a dog", 1)
    guidance = np.array([[own[0].guidance_scale, own[2].guidance_scale]], np.float32)
    assert guidance[0, 0] != guidance[0, 1] and (guidance >= 3).all() and (guidance <= 6).all()
    drawn = pipe.vary(chain, own[0].prompt, num_variations=2, seed=own[0].seed, guidance_scale=guidance)
    for picture, row in zip(drawn.images[0], (own[0], own[2]), strict=True):
        written = np.asarray(Image.open(whole.data / row.file_name)).astype(int)
        assert np.abs(written - picture).max() <= 1


@pytest.mark.parametrize("size", [1, 3, 64])
def test_sharding_changes_no_picture(whole, work, tmp_path, size):
    plan = make_plan(job_of(tmp_path / "in", tmp_path / "other", shard_size=size))
    run(plan, work(plan))
    mine = {(row.key, row.variation): (plan.data / row.file_name).read_bytes() for row in _rows(plan)}
    assert mine == {(row.key, row.variation): (whole.data / row.file_name).read_bytes() for row in _rows(whole)}


def test_workers_share_the_shards(whole, work, tmp_path):
    plan = make_plan(job_of(tmp_path / "in", tmp_path / "shared"))
    assert run(plan, work(plan), index=1, count=2) == 1 and plan.done() == {1}
    assert run(plan, work(plan), index=0, count=2) == 2 and run(plan, work(plan)) == 0
    finalize(plan)
    assert _same(plan, whole)


@pytest.mark.parametrize("name", ["publish", "file_name", "load"])
def test_a_stopped_job_goes_on(whole, work, tmp_path, monkeypatch, name):
    """Stopped by whatever and wherever, once after another."""
    plan = make_plan(job_of(tmp_path / "in", tmp_path / "stopped"))
    home = engine if name == "load" else publishing
    real, calls, stops = getattr(home, name), [], 0

    def stop(*arguments):
        calls.append(name)
        if len(calls) % (7 if name == "file_name" else 3) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(home, name, stop)
    while plan.pending():
        try:
            run(plan, work(plan))
        except KeyboardInterrupt:
            stops += 1
        assert stops < 50
    finalize(plan)
    assert stops and _same(plan, whole)


def test_broken_pictures_become_rows(whole, work, tmp_path):
    shutil.copytree(tmp_path / "in", tmp_path / "worse")
    good = write_dataset(tmp_path / "worse")
    for name, data in {
        "cat/0001.png": b"",
        "cat/0003.png": b"not a picture",
        "dog/0009.jpg": b"\x89PNG\r\n\x1a\n",
    }.items():
        (good / name).write_bytes(data)
    plan = make_plan(job_of(good, tmp_path / "out"))
    run(plan, work(plan))
    rows = _rows(plan)
    bad = [row for row in rows if row.status == "failed_to_read"]
    assert {row.source_id for row in bad} == {"cat/0001.png", "cat/0003.png", "dog/0009.jpg"}
    assert all(row.message.endswith(".") and row.source_id in row.message and row.file_name is None for row in bad)
    assert len(bad) == 9 and len(rows) == 24
    before = {(row.key, row.variation): (whole.data / row.file_name).read_bytes() for row in _rows(whole)}
    after = {(row.key, row.variation): (plan.data / row.file_name).read_bytes() for row in rows if row.file_name}
    assert after == before


def test_retry_makes_what_failed_and_what_is_gone(whole, work, tmp_path):
    shutil.copytree(tmp_path / "in", tmp_path / "broken")
    hurt = tmp_path / "broken" / "cat" / "0002.png"
    good = hurt.read_bytes()
    hurt.write_bytes(b"")
    plan = make_plan(job_of(tmp_path / "broken", tmp_path / "again"))
    run(plan, work(plan))
    assert status(plan).pictures["failed_to_read"] == 3
    lost = next(row for row in _rows(plan) if row.source_id == "dog/0003.png")
    (plan.data / lost.file_name).unlink()
    hurt.write_bytes(good)
    assert retry(plan, work(plan)) == 2 and retry(plan, work(plan)) == 0
    finalize(plan)
    mine, its = contents(plan.folder), contents(whole.folder)
    same = [name for name in its if name.startswith(("data/", "records/"))]
    assert [name for name in same if mine.get(name) != its[name]] == []


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_retry_in_files_of_whole_shards(work, tmp_path, form):
    write_dataset(tmp_path / "in")
    hurt = tmp_path / "in" / "cat" / "0002.png"
    good = hurt.read_bytes()
    output = {"format": form}
    whole = make_plan(job_of(tmp_path / "in", tmp_path / "whole", output={"path": str(tmp_path / "whole")} | output))
    run(whole, work(whole))
    hurt.write_bytes(b"")
    plan = make_plan(job_of(tmp_path / "in", tmp_path / "out", output={"path": str(tmp_path / "out")} | output))
    run(plan, work(plan))
    hurt.write_bytes(good)
    assert retry(plan, work(plan)) == 1
    mine, its = contents(plan.folder), contents(whole.folder)
    assert [name for name in its if name.startswith(("data/", "records/")) and mine[name] != its[name]] == []


def test_one_exemplar_that_fails_fails_alone(work, tmp_path, monkeypatch):
    plan = planned(tmp_path / "in", tmp_path / "out")
    worker = work(plan)
    vary = type(worker.pipe).vary

    def fail(pipe, chain, prompt, **options):
        if plan.samples(0)[1].seed(0, 0) in options["seed"]:
            raise RuntimeError("a\nbad day")
        return vary(pipe, chain, prompt, **options)

    monkeypatch.setattr(type(worker.pipe), "vary", fail)
    run(plan, worker)
    bad = {(row.source_id, row.status, row.message) for row in _rows(plan) if row.status != "success"}
    assert bad == {("cat/0002.png", "failed_to_generate", "RuntimeError: a bad day")}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("RESOURCE_EXHAUSTED: no memory", "Too little memory on the device; a smaller batch_size"),
        ("a bug", "No picture of a whole shard could be generated: RuntimeError: a bug"),
    ],
)
def test_a_model_that_fails_always_stops_the_job(work, tmp_path, monkeypatch, error, words):
    plan = planned(tmp_path / "in", tmp_path / "out")
    worker = work(plan)

    def fail(*_, **__):
        raise RuntimeError(error)

    monkeypatch.setattr(type(worker.pipe), "invert", fail)
    with pytest.raises(JobError, match=words):
        run(plan, worker)
    assert plan.done() == set() and contents(plan.data) == {}


def test_a_shard_that_fails_alone_becomes_rows(whole, work, tmp_path, monkeypatch):
    """Where others are drawn it is not the device's fault; retry makes it later."""
    plan = make_plan(job_of(tmp_path / "in", tmp_path / "out"))
    worker = work(plan)
    vary = type(worker.pipe).vary
    bad = {sample.seed(0, number) for sample in plan.samples(1) for number in (0, 1)}

    def fail(pipe, chain, prompt, **options):
        if bad & set(options["seed"]):
            raise RuntimeError("a bad day")
        return vary(pipe, chain, prompt, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(worker.pipe), "vary", fail)
        assert run(plan, worker) == 3
        assert retry(plan, worker) == 2
    failed = [row for row in _rows(plan) if row.status != "success"]
    assert len(failed) == 6 and {row.message for row in failed} == {"RuntimeError: a bad day"}
    assert retry(plan, worker) == 2
    finalize(plan)
    assert _same(plan, whole)


def test_an_input_that_goes_away_stops_the_job(whole, work, tmp_path):
    plan = make_plan(job_of(tmp_path / "in", tmp_path / "out"))
    run(plan, work(plan), index=0, count=2)
    before = contents(plan.folder)
    os.rename(tmp_path / "in", tmp_path / "away")
    with pytest.raises(JobError, match="no longer there"):
        run(plan, work(plan))
    assert contents(plan.folder) == before
    os.rename(tmp_path / "away", tmp_path / "in")
    run(plan, work(plan))
    finalize(plan)
    assert _same(plan, whole)


def test_a_full_disk_loses_nothing(whole, work, tmp_path, monkeypatch):
    plan = make_plan(job_of(tmp_path / "in", tmp_path / "out"))
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 15:
            raise OSError(28, "No space left on device")
        return real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run(plan, work(plan))
    assert len(plan.done()) < 3
    monkeypatch.undo()
    run(plan, work(plan))
    finalize(plan)
    assert _same(plan, whole)


def test_filters_drop_and_record(work, tmp_path):
    filters = {"duplicates": 1.0, "min_psnr": 0.0}
    plan = planned(tmp_path / "in", tmp_path / "out", count=2, filters=filters)
    run(plan, work(plan))
    rows = _rows(plan)
    assert {row.status for row in rows} == {"filtered_duplicate"} and all(row.distance is not None for row in rows)
    assert all("Nearly the same picture as the exemplar" in row.message for row in rows) and contents(plan.data) == {}
    plan = make_plan(job_of(tmp_path / "in", tmp_path / "low", filters={"min_psnr": 99.0}))
    run(plan, work(plan))
    assert {row.status for row in _rows(plan)} == {"filtered_inversion"} and _rows(plan)[0].psnr < 99
    assert _rows(plan)[0].nsfw is None


def test_what_the_safety_checker_flags_is_dropped(work, tmp_path):
    """Every other picture here; none is blackened, and all scores are recorded."""
    plan = planned(tmp_path / "in", tmp_path / "out", count=2, filters={"duplicates": 0.0})
    worker = work(plan)

    def checker(pictures):
        scores = np.where(np.arange(len(pictures)) % 2, -0.25, 0.125).astype(np.float32)
        return scores > 0, scores

    run(plan, replace(worker, pipe=replace(worker.pipe, safety_checker=checker)))
    rows = _rows(plan)
    assert {(row.status, row.nsfw, row.nsfw_score) for row in rows} == {
        ("success", False, -0.25),
        ("filtered_nsfw", True, 0.125),
    }
    assert all((row.file_name is None) == bool(row.nsfw) for row in rows)
    assert all(np.asarray(Image.open(path)).any() for path in plan.data.rglob("*.png"))


def test_originals_and_their_sizes(work, tmp_path):
    write_dataset(tmp_path / "in", 2)
    wide = save_photo(tmp_path / "in" / "cat" / "wide.png", size=(40, 20))
    output = {"path": str(tmp_path / "out"), "originals": True, "restore_size": True}
    plan = make_plan(job_of(tmp_path / "in", tmp_path / "out", output=output, filters={"duplicates": 0.0}))
    run(plan, work(plan))
    rows = [row for row in _rows(plan) if row.source_id == "cat/wide.png"]
    assert [row.variation for row in rows] == [None, 0, 1, 2]
    assert all(Image.open(plan.data / row.file_name).size == (40, 20) == (row.width, row.height) for row in rows)
    np.testing.assert_array_equal(Image.open(plan.data / rows[0].file_name), Image.open(wide))


def test_guidance_is_drawn_for_each_variation(tmp_path):
    plan = planned(tmp_path / "in", tmp_path / "out", count=2)
    setting, other = plan.job.recipe
    drawn = {guidance_scale(0, setting, sample, v) for sample in plan.samples(0) for v in range(50)}
    assert len(drawn) > 90 and 3 <= min(drawn) < 3.2 and 5.8 < max(drawn) <= 6
    assert guidance_scale(0, other, plan.samples(0)[0], 1) == other.guidance_scale


def test_stats_are_the_mark(whole):
    marks = [json.loads(whole.stats_file(shard).read_text()) for shard in sorted(whole.done())]
    assert [mark["successes"] for mark in marks] == [6, 6, 3]
