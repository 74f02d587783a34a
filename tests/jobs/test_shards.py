"""Whatever happens and whenever, a shard is there as a whole or not at all."""

import json
import math
import os
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from made import FORMATS, SIZE, plan_of, shard_of, tree

from rival_jax.jobs.rows import STATUSES, read_rows
from rival_jax.jobs.sample import Sample
from rival_jax.jobs.shards import publishing

_CALLS = ("fsync", "rename", "replace", "mkdir", "unlink", "rmdir")


class Killed(BaseException):
    """Nothing of the process runs any more, not even what tidies up."""


@pytest.fixture(params=FORMATS)
def plan(request, tmp_path):
    return plan_of(tmp_path / "out", request.param)


def kill_after(monkeypatch, count: int) -> None:
    """From now on all that touches the disk fails after so many calls."""
    left = count

    def dying(call):
        def called(*arguments, **keywords):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return call(*arguments, **keywords)

        return called

    for name in _CALLS:
        monkeypatch.setattr(os, name, dying(getattr(os, name)))


def test_what_is_published_is_read_back(plan):
    for shard in range(plan.num_shards):
        content = shard_of(plan, shard)
        publishing.publish(plan, shard, content, 1.5)
        assert publishing.read(plan, shard) == content
        assert all(publishing.home(plan, shard, row).is_file() for row in content.rows if row.status == "success")
    assert plan.pending() == [] and not tree(plan.staging) and not any(plan.staging.iterdir())
    stats = json.loads(plan.stats_file(0).read_text())
    counts = {"success": 5, "failed_to_read": 2, "filtered_duplicate": 1}
    assert stats == {
        "shard": 0,
        "count": 2 * SIZE,
        "successes": 5,
        "statuses": {status: counts.get(status, 0) for status in STATUSES},
        "seconds": 1.5,
    }


def test_the_same_content_gives_the_same_bytes(plan, tmp_path):
    other = plan_of(tmp_path / "other", plan.job.output.format)
    for each, seconds in ((plan, 1.0), (other, 1.0)):
        publishing.publish(each, 1, shard_of(each, 1), seconds)
    assert tree(plan.folder) == tree(other.folder)


def test_samples_are_left_out_by_key(plan):
    content = shard_of(plan, 1)
    publishing.publish(plan, 1, content, 0)
    without = publishing.read(plan, 1, {content.rows[0].key})
    assert without.rows == content.rows[2:] and set(without.files) == {row.file_name for row in content.rows[2:]}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("previous", ["nothing", "another"])
def test_killed_at_any_moment(form, previous, tmp_path):
    """After every single call on the disk: no torn file, and publishing anew gives what an undisturbed one gives."""
    undisturbed = plan_of(tmp_path / "undisturbed", form)
    content = shard_of(undisturbed, 0, labels=("cat", "dog/wolf"), run=2)
    neighbour = shard_of(undisturbed, 1, labels=("cat",))
    publishing.publish(undisturbed, 1, neighbour, 1)
    if previous == "another":
        publishing.publish(undisturbed, 0, replace(content, rows=content.rows[:5]), 1)
    shutil.copytree(undisturbed.folder, tmp_path / "before")
    before = tree(tmp_path / "before")
    publishing.publish(undisturbed, 0, content, 1, replace=True)
    after = tree(undisturbed.folder)
    for count in range(1000):
        plan = replace(undisturbed, folder=shutil.copytree(tmp_path / "before", tmp_path / str(count)))
        with pytest.MonkeyPatch.context() as patch:
            kill_after(patch, count)
            try:
                publishing.publish(plan, 0, content, 1, replace=True)
                break
            except Killed:
                pass
        found = {name: data for name, data in tree(plan.folder).items() if not name.startswith("staging")}
        if 0 in plan.done():
            assert found in (before, after)
        assert all(data in (before.get(name), after.get(name)) for name, data in found.items())
        for folder in {name.rpartition("/")[0] for name in found if name.startswith("data/")}:
            inside = [{name for name in each if name.startswith(f"{folder}/")} for each in (found, before, after)]
            assert form != "folder" or inside[0] in inside[1:]
        assert publishing.read(plan, 1) == neighbour
        publishing.publish(plan, 0, content, 1, replace=True)
        assert tree(plan.folder) == after and not any(plan.staging.iterdir())
    assert count > 15


def test_two_processes_with_one_shard(plan):
    """Both end well, and what is there in the end is whole."""
    content = shard_of(plan, 0)
    for _ in range(20):
        with ThreadPoolExecutor(3) as pool:
            for future in [pool.submit(publishing.publish, plan, 0, content, 1.0) for _ in range(3)]:
                future.result()
        assert plan.done() == {0} and publishing.read(plan, 0) == content and not any(plan.staging.iterdir())
        publishing.withdraw(plan, 0)


def test_a_shard_that_is_done_stays(plan):
    publishing.publish(plan, 0, content := shard_of(plan, 0), 1)
    publishing.publish(plan, 0, publishing.Shard([], {}), 1)
    assert publishing.read(plan, 0) == content
    publishing.publish(plan, 0, publishing.Shard(content.rows[2:3], {}), 1, replace=True)
    assert publishing.read(plan, 0).rows == content.rows[2:3]


def test_a_full_disk_leaves_what_was_there(plan, monkeypatch):
    publishing.publish(plan, 0, content := shard_of(plan, 0), 1)

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            publishing.publish(plan, 0, shard_of(plan, 1), 1, replace=True)
    assert plan.done() == {0} and publishing.read(plan, 0) == content


def test_withdrawn_shards_are_gone(plan):
    for shard in (0, 1):
        publishing.publish(plan, shard, shard_of(plan, shard), 1)
    kept = tree(plan.folder)
    publishing.publish(plan, 2, shard_of(plan, 2), 1)
    publishing.withdraw(plan, 2)
    publishing.withdraw(plan, 3)
    assert tree(plan.folder) == kept and plan.pending() == [2, 3]


def test_lost_pictures_are_missing_and_the_rest_is_read(plan):
    content = shard_of(plan, 1)
    publishing.publish(plan, 1, content, 1)
    lost = publishing.home(plan, 1, content.rows[0])
    lost.unlink()
    again = publishing.read(plan, 1)
    assert again.rows == content.rows
    left = content.files.keys() - {content.rows[0].file_name} if plan.job.output.format == "folder" else set()
    assert again.files.keys() == left


def test_a_shard_without_pictures_is_done_without_data(plan):
    rows = [replace(row, status="failed_to_generate", file_name=None) for row in shard_of(plan, 0).rows]
    publishing.publish(plan, 0, publishing.Shard(rows, {}), 1)
    assert plan.done() == {0} and not any(plan.data.iterdir())
    assert list(read_rows(plan.rows_file(0))) == publishing.read(plan, 0).rows == rows
    with pytest.raises(ValueError, match="has no picture"):
        publishing.home(plan, 0, rows[0])


def test_numbers_that_json_has_not(plan):
    content = shard_of(plan, 1)
    odd = [replace(row, psnr=math.inf, nsfw_score=math.nan, distance=-0.5) for row in content.rows]
    publishing.publish(plan, 1, publishing.Shard(odd, content.files), 1)
    assert {(row.psnr, row.nsfw_score, row.distance) for row in publishing.read(plan, 1).rows} == {(None, None, -0.5)}


@pytest.mark.parametrize("image_format, suffix", [("png", "png"), ("jpeg", "jpg"), ("webp", "webp")])
def test_names(tmp_path, image_format, suffix):
    plan = plan_of(tmp_path / "a", "folder", image_format=image_format)
    sample = Sample("photos/My cat.jpeg", {}, "cat", None)
    assert (
        publishing.file_name(plan, 7, Sample("x", {}, None, None), 0) == f"unlabelled/00007/x-2d711642b726_v0.{suffix}"
    )
    assert publishing.file_name(plan, 7, sample, None).startswith("cat-77af778b51ab/00007/My-cat-")
    tarred = plan_of(tmp_path / "b", "webdataset", image_format=image_format)
    assert publishing.file_name(tarred, 7, sample, None) == f"{sample.key}_original.{suffix}"


def test_members_of_a_tar(tmp_path):
    plan = plan_of(tmp_path, "webdataset", originals=True)
    for shard in range(2):
        publishing.publish(plan, shard, shard_of(plan, shard), 1)
    with tarfile.open(plan.data / "00000.tar") as tar:
        names = tar.getnames()
    assert not any(name.endswith(".cls") for name in names) and len(names) == 3 * 8
    with tarfile.open(plan.data / "00001.tar") as tar:
        members = {member.name: (member, tar.extractfile(member).read()) for member in tar}
    assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m, _ in members.values()} == {(0, 0, 0, "", 0o644)}
    row = shard_of(plan, 1).rows[1]
    stem = f"{row.key}_v0"
    assert list(members)[4:8] == [f"{stem}.{suffix}" for suffix in ("png", "json", "txt", "cls")]
    assert json.loads(members[f"{stem}.json"][1])["seed"] == 2**32 - 1
    assert members[f"{stem}.txt"][1] == b"a <drawn> thing & more"
    assert members[f"{row.key}_original.txt"][1] == b"a thing"
    assert plan.labels[int(members[f"{stem}.cls"][1])] == "cat"


def test_columns_of_a_table_keep_their_types_without_values(tmp_path):
    plan = plan_of(tmp_path, "parquet")
    publishing.publish(plan, 0, shard_of(plan, 0), 1)
    types = {field.name: str(field.type) for field in pq.read_schema(plan.data / "00000.parquet")}
    assert types["image"] == "struct<bytes: binary, path: string>"
    assert (types["psnr"], types["nsfw"], types["label_found"], types["seed"]) == ("double", "bool", "string", "int64")
