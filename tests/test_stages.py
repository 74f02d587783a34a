"""The plan of stages."""

import pytest

from rival_jax.attend import FromReference, Plain
from rival_jax.rows import Layout
from rival_jax.schedule import Schedule
from rival_jax.stages import Stage, stages

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
    """All rows, and the fewer rows before prompts are read: there a variation is one row, not two."""

    def values(attention, align, references):
        attend, prefix = Stage(attention, align, references, "dense").attend(Layout(references, 3), None)
        return attend, prefix.attend

    assert values("plain", "noise", 1) == (Plain("dense"), Plain("dense"))
    assert values("replace", "noise", 1) == tuple(FromReference(rows, False, "dense") for rows in (7, 4))
    assert values("concat", "none", 2) == tuple(FromReference(rows, True, "dense") for rows in (4, 4))


def test_kept_references_have_no_rows():
    for reference in ("shared", "paired"):
        made = stages(
            TIMESTEPS,
            t_align=600.0,
            t_early=600.0,
            attention_start=960.0,
            align="noise",
            reference=reference,
            kept=True,
        )
        assert [(stage.attention, stage.references, count) for stage, count in made] == [
            ("plain", 0, 2),
            ("replace", 0, 18),
            ("concat", 0, 30),
        ]
