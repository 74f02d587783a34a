"""What a dataset's files say of it, at any time and the same each time."""

import json
from dataclasses import replace

import pytest
import yaml
from made import FORMATS, plan_of, publish_all, shard_of, tree

from rival_jax.jobs.rows import to_lines
from rival_jax.jobs.shards import publishing
from rival_jax.jobs.summary.finalize import finalize
from rival_jax.jobs.summary.scores import Scores

FILES = ("README.md", "errors.jsonl", "statistics.json")


@pytest.mark.parametrize("form", FORMATS)
def test_files_say_what_there_is(form, tmp_path):
    plan = plan_of(tmp_path, form)
    made = publish_all(plan)
    statistics = finalize(plan)
    assert json.loads((tmp_path / "statistics.json").read_text()) == statistics
    counts = {"success": 25, "failed_to_read": 2, "filtered_duplicate": 1}
    assert statistics["pictures"] == counts and len(made) == 25
    assert statistics["labels"] == {
        "Cat": {"success": 4},
        "cat": {"success": 8},
        "dog/wolf": {"success": 8},
    }
    assert (statistics["shards_done"], statistics["seconds"], statistics["models"]) == (4, 10.0, ["0123abcd"])
    assert (
        statistics["scores"]["psnr"] | {"count": 20, "min": 24.0, "max": 33.0, "p50": 28.0}
        == statistics["scores"]["psnr"]
    )
    failed = [row for row in shard_of(plan, 0).rows if row.status != "success"]
    assert (tmp_path / "errors.jsonl").read_bytes() == to_lines(failed)
    metadata = plan.data / "metadata.jsonl"
    assert metadata.exists() == (form == "folder")
    if form == "folder":
        assert metadata.read_bytes() == to_lines(made)
        assert all((plan.data / row.file_name).is_file() for row in made)


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_shards_give_the_same_bytes(form, tmp_path):
    plan, other = plan_of(tmp_path / "a", form), plan_of(tmp_path / "b", form)
    publish_all(plan)
    finalize(plan)
    first = tree(plan.folder)
    finalize(plan)
    assert tree(plan.folder) == first
    for shard in (3, 0, 2, 1):
        publishing.publish(other, shard, shard_of(other, shard), 2.5)
        finalize(other)
    assert tree(other.folder) == first and not any(other.staging.iterdir())


@pytest.mark.parametrize("form", FORMATS)
def test_unfinished_jobs_are_told_apart(form, tmp_path):
    plan = plan_of(tmp_path, form)
    assert finalize(plan)["pictures"] == {}
    assert "4 of 4 shards are not done yet" in (tmp_path / "README.md").read_text()
    publishing.publish(plan, 2, shard_of(plan, 2), 1)
    finalize(plan)
    assert "3 of 4 shards are not done yet" in (tmp_path / "README.md").read_text()
    publish_all(plan)
    finalize(plan)
    assert "not done yet" not in (tmp_path / "README.md").read_text()


def test_an_interrupted_summary_leaves_the_former_one(tmp_path):
    plan = plan_of(tmp_path, "folder")
    publish_all(plan)
    finalize(plan)
    first = tree(tmp_path)
    broken = plan.rows_file(3).read_bytes()
    plan.rows_file(3).write_bytes(broken[:-20])
    with pytest.raises(ValueError):
        finalize(plan)
    plan.rows_file(3).write_bytes(broken)
    assert tree(tmp_path) == first


@pytest.mark.parametrize("form", FORMATS)
def test_the_card_is_for_people_and_for_machines(form, tmp_path):
    plan = plan_of(tmp_path, form, provenance=False)
    publish_all(plan)
    finalize(plan)
    _, front, text = (tmp_path / "README.md").read_text().split("---\n", 2)
    content = yaml.safe_load(front)
    assert content["license"] == "unknown" and content["tags"] == ["synthetic"]
    assert content["configs"][0]["data_files"][0]["path"].startswith("data/*")
    for part in ("25 pictures", "`0123abcd`", "| 0 | `a \\| b 'c'` |  | 3 ... 6 |", "masks", "| failed_to_read | 2 |"):
        assert part in text
    assert "do not say that they were generated" in text and str(tmp_path) not in text


def test_percentiles_are_of_the_nearest_rank(tmp_path):
    scores = Scores()
    row = shard_of(plan_of(tmp_path, "folder"), 0).rows[0]
    for number in reversed(range(1, 101)):
        scores.add(replace(row, psnr=float(number), distance=None, nsfw_score=-0.00049))
    summary = scores.summary()
    assert summary["psnr"] == {
        **{"count": 100, "mean": 50.5, "min": 1.0, "max": 100.0},
        **{"p5": 5.0, "p25": 25.0, "p50": 50.0, "p75": 75.0, "p95": 95.0},
    }
    assert summary.keys() == {"psnr", "nsfw_score"} and summary["nsfw_score"]["p95"] == 0
