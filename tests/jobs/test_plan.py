"""Plans: what is in a shard, seeds that depend on nothing but the sample, and jobs that may not change."""

import json
import shutil
import subprocess
import sys

import pytest
from dataset import job_of, planned, write_dataset

from rival_jax.errors import InputError
from rival_jax.jobs import make_plan, read_plan
from rival_jax.jobs.plan import subset
from rival_jax.jobs.sample import Sample


def test_shards_share_the_samples_out(tmp_path):
    plan = planned(tmp_path / "in", tmp_path / "out")
    assert (plan.num_samples, plan.num_shards, plan.labels) == (5, 3, ("cat", "dog"))
    ids = [sample.id for shard in range(3) for sample in plan.samples(shard)]
    assert ids == ["cat/0000.png", "cat/0002.png", "cat/0004.png", "dog/0001.png", "dog/0003.png"]
    assert plan.pending() == [0, 1, 2] and plan.pending(1, 2) == [1] and plan.pending(0, 2) == [0, 2]
    assert read_plan(tmp_path / "out") == plan


def test_seeds_depend_on_job_seed_and_id_alone():
    sample = Sample("cat/0.png", {"path": "/one"}, "cat", "a cat")
    moved = Sample("cat/0.png", {"path": "/other"}, "dog", None)
    assert sample.seed(7, 0) == moved.seed(7, 0) == 1571101318
    assert (
        len({sample.seed(7, 0), sample.seed(7, 1), sample.seed(8, 0), Sample("cat/1.png", {}, None, None).seed(7, 0)})
        == 4
    )
    assert all(0 <= sample.seed(seed, -1, 3) < 2**32 for seed in range(100))


def test_keys_are_names_of_files():
    keys = [
        Sample(name, {}, None, None).key
        for name in ("a/b c.png", "a/b-c.png", "ü.png", "\udcff.png", "x" * 300, ".png")
    ]
    assert len(set(keys)) == len(keys) and keys[0].startswith("b-c-")
    assert all(key.isascii() and len(key) < 64 and "/" not in key for key in keys)


def test_a_changed_job_is_refused_once_it_has_begun(tmp_path):
    plan = planned(tmp_path / "in", tmp_path / "out")
    other = job_of(tmp_path / "in", tmp_path / "out", seed=1, num_variations=4)
    assert make_plan(other).job.seed == 1
    plan = make_plan(plan.job)
    (plan.records / "00000_stats.json").write_text("{}")
    with pytest.raises(InputError) as error:
        make_plan(other)
    assert "num_variations (was 3, is 4), seed (was 0, is 1)" in str(error.value)
    assert read_plan(plan.folder) == plan and make_plan(plan.job) == plan


def test_a_job_may_be_moved(tmp_path):
    plan = planned(tmp_path / "in", tmp_path / "out")
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    moved = read_plan(tmp_path / "elsewhere")
    assert moved.folder == tmp_path / "elsewhere" and moved.samples(2) == [
        Sample("dog/0003.png", {"path": str(tmp_path / "in" / "dog" / "0003.png")}, "dog", "a dog")
    ]
    assert make_plan(job_of(tmp_path / "in", tmp_path / "elsewhere")).num_samples == plan.num_samples


def test_an_unusable_input_makes_no_folder(tmp_path):
    (tmp_path / "in").mkdir()
    for path, words in ((tmp_path / "in", "has no pictures"), (tmp_path / "missing", "missing")):
        with pytest.raises(InputError, match=words):
            make_plan(job_of(path, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_an_attempt_at_another_plan_loses_nothing(tmp_path):
    """The folder stays usable, whatever was tried before."""
    plan = planned(tmp_path / "in", tmp_path / "out")
    (tmp_path / "out" / "pilot").mkdir()
    with pytest.raises(InputError, match="nowhere"):
        make_plan(job_of(tmp_path / "nowhere", tmp_path / "out"))
    assert read_plan(tmp_path / "out") == plan
    (tmp_path / "out" / "job.json").unlink()
    (tmp_path / "out" / ".job.json.0123").touch()  # of a planner that was killed
    assert make_plan(plan.job) == plan


def test_paths_mean_the_same_from_everywhere(tmp_path, monkeypatch):
    plan = planned(tmp_path / "in", tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    assert make_plan(job_of("in/", "out")) == plan


def test_a_sample_that_is_there_twice_is_named(tmp_path):
    write_dataset(tmp_path / "in")
    names = ["cat/0000.png", "dog/0001.png", "cat/0000.png"]
    (tmp_path / "in" / "list.txt").write_text("\n".join(names))
    job = job_of(tmp_path / "in" / "list.txt", tmp_path / "out", caption={"template": "a picture"})
    with pytest.raises(InputError, match="sample cat/0000.png twice"):
        make_plan(job)
    assert not (tmp_path / "out" / "job.json").exists()


def test_other_files_are_not_written_among(tmp_path):
    write_dataset(tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    with pytest.raises(InputError, match="holds mine.txt and no job"):
        make_plan(job_of(tmp_path / "in", tmp_path / "out"))
    with pytest.raises(InputError, match="holds no planned job"):
        read_plan(tmp_path / "out")


def test_all_workers_draw_alike(tmp_path):
    plan = planned(tmp_path / "in", tmp_path / "out")
    plan.check_networks("abc", "float32")
    plan.check_networks("abc", "float32")
    with pytest.raises(InputError, match="dtype is bfloat16, but the job in .* was begun with float32"):
        plan.check_networks("abc", "bfloat16")


def test_a_pilot_takes_samples_from_everywhere(tmp_path):
    some = subset(planned(tmp_path / "in", tmp_path / "out"), tmp_path / "pilot", 3)
    assert [sample.id for shard in (0, 1) for sample in some.samples(shard)] == [
        "cat/0000.png",
        "cat/0004.png",
        "dog/0003.png",
    ]
    assert some.labels == ("cat", "dog")


def test_planning_imports_no_jax(tmp_path):
    write_dataset(tmp_path / "in")
    (tmp_path / "job.json").write_text(json.dumps(job_of(tmp_path / "in", tmp_path / "out").model_dump(mode="json")))
    code = (
        "import sys; from rival_jax import jobs; import rival_jax.jobs.on_ray; "
        "plan = jobs.make_plan(jobs.read_job('job.json')); jobs.finalize(plan); jobs.status(plan); "
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0
