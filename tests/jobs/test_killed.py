"""A job that is killed again and again, wherever it is, ends on the same bytes."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from dataset import contents, job_of, write_dataset
from PIL import Image

from rival_jax.jobs import read_plan
from rival_jax.jobs.rows import read_rows

KILLS, SAMPLES = 50, 200


def _start(folder, job):
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(folder / "programs")}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, "-m", "rival_jax.cli", "augment", "run", str(job)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _finished(folder):
    return len(list((folder / "records").glob("*_stats.json"))) if folder.exists() else 0


def _check_nothing_is_torn(folder):
    """Every picture that can be seen is whole, and every finished shard has all of its files."""
    for path in (folder / "data").rglob("*.png"):
        with Image.open(path) as image:
            image.load()
    if (folder / "job.json").exists():
        plan = read_plan(folder)
        for shard in plan.done():
            rows = list(read_rows(plan.rows_file(shard)))
            assert len(rows) == 2 * len(plan.samples(shard))
            assert all((plan.data / row.file_name).is_file() for row in rows if row.file_name)


@pytest.mark.slow
def test_fifty_kills(checkpoint, tmp_path):
    write_dataset(tmp_path / "in", SAMPLES)
    rng, starts = random.Random(0), {}

    def job(name):
        keys = {"shard_size": 5, "batch_size": 5, "num_variations": 2, "model": {"name": str(checkpoint)}}
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(job_of(tmp_path / "in", tmp_path / name, **keys).model_dump(mode="json")))
        return path

    process = _start(tmp_path, job("whole"))
    begun = time.monotonic()
    said = process.communicate()[1]
    assert process.returncode == 0, said
    whole = contents(tmp_path / "whole")
    took = time.monotonic() - begun

    kills, killed_at = 0, []
    for attempt in range(1000):
        name = f"killed{attempt}"
        while kills < KILLS or attempt == 0:
            before, folder = _finished(tmp_path / name), tmp_path / name
            process = _start(tmp_path, job(name))
            if rng.random() < 0.3:  # while it starts, plans and loads
                time.sleep(rng.uniform(0, took))
            else:  # while it works
                wanted = before + rng.randint(1, 4)
                while process.poll() is None and _finished(folder) < wanted:
                    time.sleep(0.002)
                time.sleep(rng.uniform(0, 0.1))
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            killed_at.append(_finished(folder))
            _check_nothing_is_torn(folder)
        process = _start(tmp_path, job(name))
        said = process.communicate()[1]
        assert process.returncode == 0, said
        starts[name] = contents(tmp_path / name)
        if kills >= KILLS:
            break
    print(f"{kills} kills in {len(starts)} jobs, at {len(set(killed_at))} different numbers of finished shards")
    assert kills >= KILLS
    for name, files in starts.items():
        assert files.keys() == whole.keys()
        different = [path for path in whole if files[path].replace(name.encode(), b"whole") != whole[path]]
        assert different == []
