"""`rival augment` from a user's side: its actions one after another, and one sentence for what cannot be done."""

import json
import os
import re

import pytest
from command import rival
from dataset import contents, job_of, write_dataset

from rival_jax import RivalPipeline
from rival_jax.jobs import cost, estimate, read_plan
from rival_jax.jobs.command import _ACTIONS


@pytest.fixture
def file(checkpoint, pipe, tmp_path, monkeypatch):
    """A job's file; the model is the tests' own, loaded once."""
    monkeypatch.setattr(RivalPipeline, "from_pretrained", lambda *_, **__: pipe)
    job = job_of(write_dataset(tmp_path / "in", 3), tmp_path / "out", model={"name": str(checkpoint)})
    (tmp_path / "job.json").write_text(json.dumps(job.model_dump(mode="json")))
    return tmp_path / "job.json"


@pytest.mark.slow
def test_all_actions(file, tmp_path):
    said = rival("augment", "plan", file)
    assert said.code == 0 and "samples   3, of which 3 were looked at" in said.out, said.err
    assert "pictures  9 in 2 shards, 0 of them done" in said.out and "time      about" in said.out
    said = rival("augment", "pilot", file, "--samples", 2)
    assert said.code == 0 and said.out == f"{tmp_path / 'out' / 'pilot' / 'gallery' / 'index.html'}\n"
    assert read_plan(tmp_path / "out" / "pilot").num_samples == 2
    said = rival("augment", "run", file, "--shard-index", 1, "--shard-count", 2)
    assert said.code == 0 and "This worker is done; 1 shards are left to others." in said.err
    said = rival("augment", "status", "out")
    assert said.code == 0 and "1 of 2 shards, 1 of 3 samples" in said.out
    said = rival("augment", "run", file)
    assert said.code == 0 and "2 of 2 shards, 3 of 3 samples" in said.out and "pictures 6/6" in said.err
    assert "has the dataset in data/, its card README.md" in said.err
    whole = contents(tmp_path / "out")
    assert {"data/metadata.jsonl", "README.md", "errors.jsonl", "job.json"} <= whole.keys()
    for action in (("run", file), ("run", "out"), ("retry", "out"), ("finalize", "out")):
        assert rival("augment", *action).code == 0
    assert contents(tmp_path / "out") == whole
    said = rival("augment", "gallery", "out")
    assert said.code == 0 and os.path.isfile(said.out.strip())
    assert rival("augment", "status", "out", "--live").out.count("2 of 2 shards") == 1


def test_an_estimate_counts_what_will_be_done(file, tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "peak", lambda *_: 1e9)
    rival("augment", "plan", file)
    plan = read_plan(tmp_path / "out")
    whole = estimate(plan)
    assert (whole.samples, whole.pictures, whole.shards, whole.sizes) == (3, 9, 2, {(16, 16): 3})
    assert whole.operations > 1e6 and whole.seconds > 0 and whole.memory > 10_000 and whole.nbytes > 1000
    assert whole.seconds == pytest.approx(whole.operations / 4e8)
    (tmp_path / "in" / "cat" / "0000.png").write_bytes(b"")
    fewer = estimate(plan)
    assert fewer.unreadable == 1 and fewer.operations == pytest.approx(whole.operations * 2 / 3)


def test_a_changed_job_is_refused(file):
    assert rival("augment", "run", file).code == 0
    said = rival("augment", "run", file, "--seed", 5, "--recipe.0.t-align", 1)
    assert said.code == 2 and "recipe.0.t_align (was 600.0, is 1.0), seed (was 0, is 5)" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "missing.toml"), "The job file missing.toml cannot be read: No such file or directory."),
        (("run", "job.json", "--seed", "-1"), "seed is -1"),
        (("run", "job.json", "--sed", "1"), "Unrecognized options: --sed, 1."),
        (("run", "--seed", "1", "job.json"), "The job file comes first, as in rival augment run job.json"),
        (("run", "job.json", "--shard-count", "0"), "shard_count is 0, but must be at least 1"),
        (("pilot", "job.json", "--samples", "-1"), "samples is -1, but must be at least 1"),
        (("run", "job.json", "--output.format", "zip"), "zip"),
        (("run", "job.json", "--input.path", "nowhere"), "nowhere"),
        (("run", "job.json", "--output.path", "in"), "holds cat and no job"),
        (("run", "job.json", "--output.path", "job.json"), "job.json"),
        (("run", "job.json", "--shard-index", "2", "--shard-count", "2"), "shard_index is 2, but must be from 0 to 1"),
        (("run", "job.json", "--caption.column", "text", "--caption.template", "x"), "are both given"),
        (("plan", "job.json", "--model.name", "nowhere"), "The model nowhere is not a directory"),
        (("plan", "--input.path", "in"), "output.path"),
        (("status", "in"), "holds no planned job (job.json)"),
        (("retry", "nowhere"), "holds no planned job"),
        (("gallery", "in"), "holds no planned job"),
        (("paint",), "paint"),
    ],
)
def test_bad_input(file, tmp_path, arguments, words):
    before = contents(tmp_path / "in")
    said = rival("augment", *arguments)
    assert said.code == 2 and said.out == "" and words in said.err, said.err
    assert said.err.removeprefix("planning 3/3\n").startswith("error: ") and said.err.endswith(".\n")
    assert contents(tmp_path / "in") == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_output(file, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    said = rival("augment", "run", file, "--output.path", tmp_path / "locked" / "out")
    assert said.code == 2 and "Permission denied" in said.err


@pytest.mark.parametrize("name", _ACTIONS)
def test_help(name):
    said = rival("augment", name, "--help")
    text = re.sub(r"[\s│]+", " ", said.out)
    assert said.code == 0 and "None" not in text
    assert name in ("status", "retry", "finalize", "gallery") or "--recipe.0.t-align" in text


def test_help_names_the_actions():
    said = rival("augment", "--help")
    assert said.code == 0 and all(name in said.out for name in _ACTIONS) and "augment" in rival("--help").out
