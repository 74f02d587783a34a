"""What interpolation is compared with, and how: prompts that are switched on the way, fidelity by pairs."""

import numpy as np
import pytest

from rival_jax.evidence.interpolating import denoising_interpolation, prompt_pairs
from rival_jax.evidence.sequences import fidelity, measure_sequences, sequences_markdown
from rival_jax.metrics.features import kid
from rival_jax.metrics.judge import Judge


@pytest.mark.filterwarnings("ignore:The prompt has")
def test_38_denoising_interpolation(pipe):
    """Its ends are what is drawn of either prompt alone; the later it is switched, the nearer to the start."""
    starts, ends = ["a red car", "grass"], ["a house", "a blue car"]
    found = denoising_interpolation(pipe, starts, ends, np.array([0, 0.25, 0.75, 1.0]), 4, 3.0)
    solo = pipe.interpolate(
        starts, ends, 3, coefficients=[0, 0.5, 1], num_inference_steps=4, guidance_scale=3.0, seed=[0, 1]
    )
    np.testing.assert_array_equal(found[:, 0], solo.images[:, 0])
    np.testing.assert_array_equal(found[:, -1], solo.images[:, -1])
    apart = np.abs(found.astype(float) - found[:, :1]).mean(axis=(0, 2, 3, 4))
    assert (np.diff(apart) > 0).all()


def test_pairs_are_prompts_of_different_scenes():
    starts, ends = prompt_pairs(20)
    assert len(set(starts) | set(ends)) > 35 and prompt_pairs(3) == (starts[:3], ends[:3])


def test_fidelity_is_of_all_pairs_together():
    """The mean of what pairs have to say is the KID with its bias taken out; frames like the ends have none."""
    features = np.random.default_rng(0).standard_normal((12, 5, 16))
    features /= np.linalg.norm(features, axis=-1, keepdims=True)
    of_pairs = fidelity(features)
    whole = kid(features[:, [0, -1]].reshape(-1, 16), features[:, 1:-1].reshape(-1, 16))
    assert of_pairs.shape == (12,) and abs(of_pairs.mean() - whole) < 0.3 * of_pairs.std()
    apart = features.copy()
    apart[:, 1:-1, 0] += 3
    assert fidelity(apart / np.linalg.norm(apart, axis=-1, keepdims=True)).mean() > 5 * np.abs(of_pairs.mean())


def test_the_table():
    def scores(shift):
        values = np.linspace(0.1, 0.2, 8)
        return {"smoothness": values + shift, "consistency": values, "fidelity": values - shift}

    lines = sequences_markdown({"TEI": scores(0.0), "AID": scores(0.5)}).splitlines()
    assert lines[2] == "| TEI | 0.150 | 0.150 | 0.150 |"
    assert lines[3] == "| AID | 0.650 [+0.500, +0.500]* | 0.150 [+0.000, +0.000] | -0.350 [-0.500, -0.500]* |"


def test_measures():
    """Frames that do not change, and frames that change in colour alone."""
    still = np.full((3, 4, 16, 16, 3), 100, np.uint8)
    changing = still + (50 * np.arange(4, dtype=np.uint8))[None, :, None, None, None] * np.uint8([1, 0, 0])
    found = [measure_sequences(Judge.from_pretrained(), pictures, colours=True) for pictures in (still, changing)]
    assert found[0]["smoothness"] == [1] * 3 and found[0]["jump"] == [0] * 3 and max(found[0]["consistency"]) < 1e-6
    np.testing.assert_allclose(found[1]["colour"], 10 * 50 / 255)
    assert min(found[1]["consistency"]) > 1e-3
