"""The plan of stages, and the rows of a call."""

import jax.numpy as jnp
import numpy as np
import pytest

from rival_jax.attend import FromReference, plain
from rival_jax.sampling import Prompts, Stage, _references, _rows, _split, _text_rows, stages
from rival_jax.schedule import Schedule

TIMESTEPS = Schedule().timesteps(50)  # 1, 21 ... 981


def plan(t_align=600, t_early=600, attention_start=1000, align="noise", reference="shared", timesteps=TIMESTEPS):
    """The plan with the paper's defaults, as (attention, align, references, steps)."""
    made = stages(
        timesteps,
        t_align=float(t_align),
        t_early=float(t_early),
        attention_start=float(attention_start),
        align=align,
        reference=reference,
    )
    return [(stage.attention, stage.align, stage.references, count) for stage, count in made]


def test_the_paper_s_plan():
    assert plan() == [("replace", "noise", 1, 20), ("concat", "none", 1, 30)]
    assert plan(reference="paired") == [("replace", "noise", 2, 20), ("concat", "none", 2, 30)]


@pytest.mark.parametrize(("boundary", "above"), [(600, 20), (600.5, 20), (601, 19), (600.999, 20), (0, 50), (981, 0)])
def test_a_step_on_a_boundary_is_not_above_it(boundary, above):
    assert sum(count for attention, *_, count in plan(t_align=boundary) if attention == "replace") == above
    assert sum(count for _, align, _, count in plan(t_early=boundary) if align == "noise") == above
    assert sum(count for attention, *_, count in plan(attention_start=boundary) if attention == "plain") == above


def test_attention_start():
    assert plan(attention_start=960) == [
        ("plain", "noise", 1, 2),
        ("replace", "noise", 1, 18),
        ("concat", "none", 1, 30),
    ]
    assert plan(attention_start=961)[0] == ("plain", "noise", 1, 1)
    assert plan(attention_start=500) == [("plain", "noise", 1, 20), ("plain", "none", 0, 5), ("concat", "none", 1, 25)]


def test_boundaries_apart():
    assert plan(t_align=300, t_early=600) == [
        ("replace", "noise", 1, 20),
        ("replace", "none", 1, 15),
        ("concat", "none", 1, 15),
    ]
    assert plan(t_early=400)[1] == ("concat", "noise", 1, 10)


@pytest.mark.parametrize("reference", ["shared", "paired"])
@pytest.mark.parametrize("options", [{"t_early": 1000}, {"align": "none"}])
def test_ordinary_sampling_has_no_reference_rows(options, reference):
    assert plan(attention_start=0, reference=reference, **options) == [("plain", "none", 0, 50)]


def test_alignment_of_plain_steps():
    """Only the noise of the chain's own row needs such a row."""
    assert plan(attention_start=0, t_early=0, reference="paired") == [("plain", "noise", 1, 50)]
    assert plan(attention_start=0, t_early=0, align="latent") == [("plain", "latent", 0, 50)]


@pytest.mark.parametrize("steps", [1, 4, 10, 50, 333, 999])
def test_every_step_is_in_one_stage(steps):
    timesteps = Schedule().timesteps(steps)
    made = plan(timesteps=timesteps, attention_start=960, t_early=400)
    assert sum(count for *_, count in made) == steps
    assert sum(count for attention, *_, count in made if attention == "concat") == (timesteps <= 600).sum()


def test_who_attends():
    assert Stage("plain", "noise", 1).attend(3) is plain
    assert Stage("replace", "noise", 1).attend(3) == FromReference(rows=7, keep_own=False)
    assert Stage("concat", "none", 2).attend(3) == FromReference(rows=4, keep_own=True)


E, N = 2, 3
LAYOUTS = {  # of one exemplar: what each row is, and where positive and negative rows start
    0: "pppnnn",
    1: "Rpppnnn",
    2: "RpppEnnn",
}


@pytest.mark.parametrize("references", LAYOUTS)
def test_rows_and_their_texts(references):
    """Rows hold the exemplar's latents and the prompts that belong to them, and split up again."""
    ids = np.arange(E, dtype=np.float32).reshape(E, 1, 1)
    prompts = Prompts(*(jnp.asarray(ids + 10 * kind) for kind in range(4)))  # source 0, target 1, negative 2, empty 3
    kinds = dict(zip("RpnE", range(4), strict=True))
    text = np.asarray(_text_rows(prompts, references, N)).ravel()
    np.testing.assert_array_equal(text, [10 * kinds[row] + e for e in range(E) for row in LAYOUTS[references]])

    chain = jnp.asarray(ids[..., None])
    halves = jnp.arange(100, 100 + E * 2 * N, dtype=jnp.float32).reshape(E, 2, N, 1, 1, 1)
    rows = _rows(_references(chain, references), halves)
    assert rows.shape == (len(text), 1, 1, 1)
    reference, positive, negative = _split(rows, (E, N), references)
    np.testing.assert_array_equal(positive, halves[:, 0])
    np.testing.assert_array_equal(negative, halves[:, 1])
    if references:
        np.testing.assert_array_equal(reference, chain[:, None])
        first = np.asarray(rows).ravel()[:: len(LAYOUTS[references])]
        np.testing.assert_array_equal(first, ids.ravel())
