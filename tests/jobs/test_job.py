"""The job file: its defaults, its presets, and one sentence for whatever is wrong with it."""

from pathlib import Path

import pytest

from rival_jax.errors import InputError
from rival_jax.jobs.command import parse
from rival_jax.jobs.job import PRESETS, Job, Setting, make_job, read_job

ENDS = {"input": {"path": "a"}, "output": {"path": "b"}}
CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_documented_file_names_every_key():
    text = (CONFIGS / "augment.toml").read_text()

    def keys(model):
        for name, field in model.model_fields.items():
            inner = Setting if name == "recipe" else field.annotation
            yield from keys(inner) if hasattr(inner, "model_fields") else [name]

    assert not [key for key in keys(Job) if f"{key} = " not in text]
    job = read_job(CONFIGS / "augment.toml")
    assert job.recipe[0].guidance_scale == (4.0, 6.0)
    plain = make_job(ENDS | {"recipe": [{"guidance_scale": [4.0, 6.0]}]})
    same = {name: getattr(job, name) for name in Job.model_fields if name not in ("input", "output")}
    assert same == {name: getattr(plain, name) for name in same}


def test_a_preset_fills_what_is_left_out():
    job = make_job(ENDS | {"recipe": [{"preset": "close", "t_align": 100}, {"preset": "free"}]})
    close, free = job.recipe
    assert (close.t_align, close.t_early) == (100, PRESETS["close"]["t_early"])
    assert {name: getattr(free, name) for name in PRESETS["free"]} == PRESETS["free"]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"input": {}}, "input.path is missing"),
        ({"input": {"path": "a", "label_column": "x"}}, "input.label_column is unknown; accepted: path, label, image"),
        ({"output": {"path": "gs://bucket/x"}}, "output: path is a URL, but a job writes to a folder"),
        ({"output": {"path": "b", "format": "zip"}}, "output.format is 'zip'"),
        ({"seed": -1}, "seed is -1"),
        ({"num_variations": 0}, "num_variations is 0"),
        ({"recipe": []}, "recipe is []"),
        ({"recipe": [{}] * 5, "num_variations": 5}, "recipe is"),
        ({"recipe": [{}, {}], "num_variations": 1}, "num_variations is 1, but the recipe has 2 settings"),
        ({"recipe": [{"preset": "wild"}]}, "recipe.0.preset is 'wild'"),
        ({"recipe": [{"t_align": 1001}]}, "recipe.0.t_align is 1001"),
        ({"recipe": [{"guidance_scale": [6, 4]}]}, "guidance_scale is a range that ends before it begins"),
        ({"recipe": [{"guidance_scale": "much"}]}, "recipe.0.guidance_scale is 'much'"),
        ({"recipe": [{"prompt": "{kind}"}]}, "'{kind}' is no template; accepted are words with {caption} and {label}"),
        ({"caption": {"template": "a {label}", "column": "text"}}, "template and column are both given"),
        ({"filters": {"labels": True}, "model": {"name": "elsewhere"}}, "filters.clip"),
    ],
)
def test_a_bad_key_is_named(keys, words):
    with pytest.raises(InputError) as error:
        make_job(ENDS | keys)
    assert words in str(error.value) and str(error.value).count("\n") == 0 and str(error.value).endswith(".")


@pytest.mark.parametrize(("text", "words"), [("a = [", "not valid TOML"), (None, "cannot be read")])
def test_a_bad_file_is_named(tmp_path, text, words):
    if text:
        (tmp_path / "job.toml").write_text(text)
    with pytest.raises(InputError, match=words):
        read_job(tmp_path / "job.toml")


def test_flags_win_over_the_file(tmp_path):
    (tmp_path / "job.toml").write_text(
        'seed = 3\n[input]\npath = "x"\n[output]\npath = "y"\n[[recipe]]\npreset = "close"\nt_early = 50\n'
    )
    job = parse(["run", "job.toml", "--seed", "4", "--output.path", "z"]).job
    assert (job.seed, job.input.path, job.output.path, job.recipe[0].t_align) == (4, "x", "z", 400)
    setting = parse(["run", "job.toml", "--recipe.0.preset", "free", "--recipe.0.guidance-scale", "2"]).job.recipe[0]
    assert (setting.preset, setting.t_align, setting.guidance_scale) == ("free", PRESETS["free"]["t_align"], 2)
    same = parse(["run", "job.toml", "--recipe.0.preset", "free", "--recipe.0.t-align", "400"]).job.recipe[0]
    assert (same.t_align, same.t_early) == (400, PRESETS["free"]["t_early"])


def test_a_job_of_flags_alone():
    job = parse(["plan", "--input.path", "x", "--output.path", "y", "--caption.column", "text"]).job
    assert job == make_job({"input": {"path": "x"}, "output": {"path": "y"}, "caption": {"column": "text"}})


def test_what_a_job_writes_of_itself_is_that_job():
    job = make_job(ENDS | {"recipe": [{"preset": "free", "guidance_scale": [1, 2]}]})
    assert make_job(job.model_dump(mode="json")) == job
