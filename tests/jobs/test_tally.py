"""How far a job is, and how long it still takes."""

import os

import pytest
from made import plan_of, shard_of

from rival_jax.jobs.shards import publishing
from rival_jax.jobs.tally import lines, status


def publish(plan, shard: int, seconds: float, end: float) -> None:
    """A shard that took so many seconds until a moment."""
    publishing.publish(plan, shard, shard_of(plan, shard), seconds)
    os.utime(plan.stats_file(shard), (end, end))


def test_nothing_is_done(tmp_path):
    found = status(plan_of(tmp_path, "folder"))
    assert (found.shards_done, found.shards, found.samples_done, found.samples) == (0, 4, 0, 14)
    assert found.pictures_per_hour is None and found.seconds_left is None and not any(found.pictures.values())
    assert lines(found) == "done      0 of 4 shards, 0 of 14 samples\npictures  none yet"


def test_time_counts_while_any_worker_works(tmp_path):
    plan = plan_of(tmp_path, "folder")
    publish(plan, 0, 100, end=1100)
    publish(plan, 1, 100, end=1150)  # another worker, or written while the next was drawn
    publish(plan, 3, 50, end=90_000)  # the day after
    found = status(plan)
    assert found.seconds == pytest.approx(200)
    assert (found.samples_done, found.pictures["success"], found.pictures["failed_to_read"]) == (10, 17, 2)
    assert found.pictures_per_hour == pytest.approx(17 / 200 * 3600)
    assert found.seconds_left == pytest.approx(200 / 10 * 4)
    assert lines(found).splitlines() == [
        "done      3 of 4 shards, 10 of 14 samples",
        "pictures  17 success, 2 failed_to_read, 1 filtered_duplicate",
        "speed     306 pictures an hour, 3 min of work",
        "left      about 1 min",
    ]


@pytest.mark.parametrize(
    "seconds, said", [(20, "20 s"), (60 * 59, "59 min"), (3600 * 5 + 660, "5 h 11 min"), (86400 * 3 + 7200, "3 d 2 h")]
)
def test_durations(tmp_path, seconds, said):
    plan = plan_of(tmp_path, "folder", samples=8)
    publish(plan, 0, seconds, end=1e9)
    assert lines(status(plan)).endswith(f"left      about {said}")
    publish(plan, 1, 1, end=1e9)
    assert "left" not in lines(status(plan)) and status(plan).seconds_left == 0
