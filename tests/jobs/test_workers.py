"""One, two and four workers: processes that share shards out, and machines of a Ray cluster, of which one is killed."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
from dataset import contents, job_of, write_dataset

pytestmark = pytest.mark.slow
on_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs pip install 'rival-jax[ray]'")

DRIVER = """
import os, sys, threading, time
os.environ["RAY_AUTH_MODE"] = "disabled"
import ray
from ray.cluster_utils import Cluster
from rival_jax.jobs import read_job, make_plan, finalize, run_on_ray

plan = make_plan(read_job(sys.argv[1]))
workers, kill = int(sys.argv[2]), sys.argv[3] == "kill"
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
nodes = [cluster.add_node(num_cpus=1, resources={"TPU": 4}) for _ in range(workers)]
ray.init(cluster.address, log_to_driver=False)

def kill_one():
    while len(plan.done()) < 2:
        time.sleep(0.05)
    cluster.remove_node(nodes[0], allow_graceful=False)
    print("killed with", len(plan.pending()), "shards left", flush=True)
    cluster.add_node(num_cpus=1, resources={"TPU": 4})

if kill:
    threading.Thread(target=kill_one, daemon=True).start()
calls = []
try:
    run_on_ray(plan, workers=(1, workers), resources={"TPU": 4}, progress=lambda *call: calls.append(call))
    finalize(plan)
    print(calls[-1], "jax" in sys.modules, flush=True)
except Exception as error:
    print(type(error).__name__, error, flush=True)
ray.shutdown()
cluster.shutdown()
"""
COUNT = 24


@pytest.fixture(scope="module")
def job(checkpoint, tmp_path_factory):
    """Writes a job of 12 shards into a folder of its own; its file."""
    folder = tmp_path_factory.mktemp("ray")
    write_dataset(folder / "in", COUNT)

    def job(name, **keys):
        keys = {"model": {"name": str(checkpoint)}, "filters": {"duplicates": 0.0}} | keys
        path = folder / f"{name}.json"
        path.write_text(json.dumps(job_of(folder / "in", folder / name, **keys).model_dump(mode="json")))
        return path

    return job


@pytest.fixture(scope="module")
def whole(job):
    """What one worker without Ray makes."""
    command = [sys.executable, "-m", "rival_jax.cli", "augment", "run", str(job("whole"))]
    subprocess.run(command, check=True, capture_output=True)
    return contents(job("whole").parent / "whole")


def _same(folder, whole):
    files = contents(folder)
    assert files.keys() == whole.keys()
    name = folder.name.encode()
    assert [path for path in whole if files[path].replace(name, b"whole") != whole[path]] == []


@pytest.mark.parametrize("workers", [2, 4])
def test_processes_share_the_shards_out(job, whole, workers):
    """All at the same time, each planning for itself."""
    file = job(f"static-{workers}")
    command = [sys.executable, "-m", "rival_jax.cli", "augment", "run", str(file), "--shard-count", str(workers)]
    started = [
        subprocess.Popen([*command, "--shard-index", str(index)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for index in range(workers)
    ]
    said = [process.communicate()[1].decode() for process in started]
    assert [process.returncode for process in started] == [0] * workers, said
    _same(file.with_suffix(""), whole)


def _driven(file, workers, kill=False):
    environment = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_DISABLE_IMPORT_WARNING": "1"}
    command = [sys.executable, "-c", DRIVER, str(file), str(workers), "kill" if kill else ""]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=550)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@on_ray
@pytest.mark.parametrize(("workers", "kill"), [(1, False), (2, False), (4, False), (2, True)])
def test_machines_of_a_cluster(job, whole, workers, kill):
    """However many actors there are; no JAX in the driver."""
    file = job(f"ray-{workers}-{kill}")
    said = _driven(file, workers, kill)
    assert f"('shards', {COUNT // 2}, {COUNT // 2}) False" in said, said
    assert not kill or "killed with" in said
    _same(file.with_suffix(""), whole)


@on_ray
def test_bad_input_is_a_sentence(job):
    said = _driven(job("bad", model={"name": "/nowhere"}), 1)
    assert said.startswith("InputError The model /nowhere is not a directory; accepted") and "Traceback" not in said, (
        said
    )
