"""The peer that `rival bench --against torch` times does the same work as we do."""

import json

import numpy as np
import pytest

from rival_jax import RivalPipeline
from rival_jax.bench.stages import PROMPT, Workload
from rival_jax.bench.versus import _Process, inputs_of

from .comparison import relative

pytestmark = pytest.mark.parity

LIMIT = 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "reference"), [("authors", "paired"), ("eager", "shared"), ("compiled", "shared")])
def test_the_same_latents(variant, reference, tmp_path, record_property):
    """ "compiled" is the graph that torch captures, which has no breaks."""
    pipe = RivalPipeline.from_pretrained("tiny", "float32")
    work = Workload(2, 2, 10, 48, 48)
    found = pipe.vary(work.photos(), PROMPT, **work.arguments | {"reference": reference})
    with _Process(pipe, tmp_path, inputs_of(pipe, work)) as torch:
        expected = torch.outputs(variant)
        seconds = torch.seconds(variant)
    error = relative(np.asarray(found.latents), expected["latents"])
    record_property("relative error", error)
    print(json.dumps({"variant": variant, "relative error": f"{error:.1e}", "seconds": round(seconds, 2)}))
    assert error <= LIMIT and np.abs(found.images.astype(int) - expected["pixels"]).max() <= 2
