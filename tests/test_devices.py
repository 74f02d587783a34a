"""Many devices: the same pictures, and no device waits for another. In a process of its own, which has eight."""

import os
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from rival_jax.devices import mesh_for

PROGRAM = """
import sys
import jax
jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
import numpy as np
from rival_jax import RivalPipeline

pipe = RivalPipeline.from_pretrained("tiny", "float32")
photos = np.random.default_rng(0).integers(0, 256, (7, 48, 48, 3), np.uint8)
few = {"num_inference_steps": 10, "seed": list(range(7)), "t_align": 500, "t_early": 500}
many = pipe.vary(photos, "a red house", num_variations=2, **few)
one = pipe.vary(photos[:1], "a red house", num_variations=5, num_inference_steps=10, t_align=1000, t_early=0)
np.savez(sys.argv[2], many=many.latents, one=one.latents, chain=many.chain.latents)
print(len(many.latents.sharding.device_set))
"""
OURS = {"jit__embed_text", "jit_read", "jit_ascend", "jit_descend", "jit__encode", "jit__decode"}
COLLECTIVE = "all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter|collective-broadcast"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What one device and eight said and made, with the embedded model: a random one would magnify rounding."""
    folder = tmp_path_factory.mktemp("devices")

    def run(devices):
        file, programs = folder / f"{devices}.npz", folder / f"programs-{devices}"
        flags = f"--xla_dump_to={programs} --xla_dump_hlo_as_text --xla_dump_hlo_module_re=jit_.*"
        command = [sys.executable, "-c", PROGRAM, str(devices), str(file)]
        environment = os.environ | {"XLA_FLAGS": flags, "RIVAL_CACHE": "off", "JAX_ENABLE_COMPILATION_CACHE": "false"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        return int(done.stdout), programs, dict(np.load(file))

    return run(1), run(8)


@pytest.mark.slow
def test_no_collectives(runs):
    """Each device has its own exemplars or variations, and its programs speak to no other."""
    _, (devices, folder, _) = runs
    texts = {file.name: file.read_text() for file in folder.glob("*after_optimizations.txt")}
    ours = {name: text for name, text in texts.items() if name.split(".")[1] in OURS}
    assert devices == 8 and {name.split(".")[1] for name in ours} == OURS
    assert {name: found for name, text in ours.items() if (found := re.findall(COLLECTIVE, text))} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chain", "many", "one"])
def test_eight_devices_make_what_one_makes(runs, name):
    """Seven exemplars (the rest is filled up), and one, whose variations are split."""
    (*_, alone), (*_, together) = runs
    difference = np.linalg.norm(together[name] - alone[name]) / np.linalg.norm(alone[name])
    print(f"{name}: {difference:.1e}")
    assert difference <= 1e-4


@pytest.mark.parametrize(
    ("exemplars", "variations", "shape"),
    [(1, 8, (1, 8)), (8, 1, (8, 1)), (64, 4, (8, 1)), (1, 1, (1, 8)), (2, 4, (2, 4)), (4, 16, (4, 2)), (3, 16, (1, 8))],
)
def test_the_mesh_with_the_shortest_share(exemplars, variations, shape):
    """The fullest device has as few rows as can be: a reference and two a variation, for each exemplar."""
    devices = jax.local_devices() * 4
    mesh = mesh_for(exemplars, variations, devices)
    rows = {(e, 8 // e): -(-exemplars // e) * (1 + 2 * -(-variations // (8 // e))) for e in (1, 2, 4, 8)}
    found = mesh.shape["exemplars"], mesh.shape["variations"]
    assert rows[found] == min(rows.values()) == rows[shape]
