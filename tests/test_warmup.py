"""Programs that are compiled beforehand, and kept for later starts."""

import jax
import numpy as np
import pytest
from command import rival, save_photo

from rival_jax import RivalPipeline, cache, run
from rival_jax.cache import cache_directory, keep_programs
from rival_jax.checkpoint import StableDiffusion

SHAPES = {"num_variations": 2, "num_inference_steps": 4}


@pytest.fixture(autouse=True)
def _no_folder_yet():
    """Nobody has told JAX where to keep programs; afterwards all is as before."""
    before = {
        name: getattr(jax.config, name)
        for name in ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    }
    jax.config.update("jax_compilation_cache_dir", None)
    cache.compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    cache.compilation_cache.reset_cache()


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A folder for programs, in which every one is kept."""
    monkeypatch.setenv("RIVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_WORTH_KEEPING", 0.0)
    return tmp_path / "cache" / "programs"


def test_a_run_after_it_compiles_nothing(checkpoint, photos, compilations):
    """Without weights, for the same shapes; what is run then is what would have been run anyway."""
    pipe = RivalPipeline.from_pretrained(checkpoint, "float32", weights=False)
    steps = []
    pipe.warmup(2, **SHAPES, height=12, width=20, progress=lambda *call: steps.append(call))
    assert steps[-1][1] == steps[-1][2]
    loaded, before = pipe.load(), compilations()
    out = loaded.vary(photos, ["a car", "a house"], **SHAPES, height=12, width=20, seed=[1, 2], guidance_scale=3.0)
    loaded.reconstruct(out.chain)
    assert compilations() == before
    other = RivalPipeline.from_pretrained(checkpoint, "float32")
    expected = other.vary(photos, ["a car", "a house"], **SHAPES, height=12, width=20, seed=[1, 2], guidance_scale=3.0)
    np.testing.assert_array_equal(out.latents, expected.latents)


@pytest.mark.slow
def test_programs_are_kept_for_later_starts(kept, checkpoint, photos):
    """The second time, after everything in memory is forgotten, nothing is missing from the folder."""
    found = {"hits": 0, "misses": 0}

    def listen(event, **_):
        for name in found:
            found[name] += event == f"/jax/compilation_cache/cache_{name}"

    jax.monitoring.register_event_listener(listen)
    counts = []
    for _ in range(2):
        jax.clear_caches()
        RivalPipeline.from_pretrained(checkpoint, "float32").vary(photos, "a car", **SHAPES)
        counts.append(dict(found))
    assert counts[0]["misses"] > 5 and any(kept.iterdir())
    assert counts[1]["misses"] == counts[0]["misses"] and counts[1]["hits"] > counts[0]["hits"] + 5


@pytest.mark.slow
def test_the_command(kept, checkpoint, monkeypatch):
    (result := rival("warmup", "--model", checkpoint, "-n", 2, "--photos", 2, "--dtype", "float32"))
    assert result.code == 0 and f"Compiled programs are in {kept}." in result.err and any(kept.iterdir())
    assert (bad := rival("warmup", "--photos", 0)).code == 2 and "photos is 0, but must be" in bad.err
    assert (bad := rival("warmup", "--height", 13)).code == 2 and "height is 13" in bad.err


def test_where(kept, tmp_path, monkeypatch):
    assert cache_directory() == tmp_path / "cache"
    keep_programs()
    assert jax.config.jax_compilation_cache_dir == str(kept)
    monkeypatch.setenv("RIVAL_CACHE", str(tmp_path / "elsewhere"))
    keep_programs()  # whoever has chosen a folder keeps it
    assert jax.config.jax_compilation_cache_dir == str(kept)
    monkeypatch.delenv("RIVAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "rival_jax"
    monkeypatch.setenv("RIVAL_CACHE", "off")
    assert cache_directory() is None


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    """One warning, and nothing is kept."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("RIVAL_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="Compiled programs cannot be kept"):
        keep_programs()
    assert jax.config.jax_compilation_cache_dir is None


def test_the_command_takes_what_vary_takes(tmp_path, monkeypatch):
    """Flags over a preset, whatever programs depend on."""
    asked = {}
    monkeypatch.setattr(
        StableDiffusion, "from_pretrained", lambda *args, **_: asked.update(model=args) or RivalPipeline
    )
    monkeypatch.setattr(RivalPipeline, "warmup", lambda photos, progress, **rest: asked.update(photos=photos, **rest))
    preset = tmp_path / "preset.toml"
    preset.write_text('model = "elsewhere"\nnum_variations = 8\nheight = 512\nprompt = "a car"\nguidance_scale = 3.0\n')
    assert rival("warmup", "--config", preset, "--t-align", 500, "--photos", 3, "--height", 256).code == 0
    assert asked["model"][0] == "elsewhere" and asked["photos"] == 3 and asked["num_variations"] == 8
    assert asked["height"] == 256 and asked["t_align"] == 500 and not {"prompt", "guidance_scale", "seed"} & set(asked)


def test_what_compiles_while_weights_load_is_a_hint(checkpoint, tmp_path, monkeypatch):
    """On accelerators; whatever becomes of it, the run goes on."""
    monkeypatch.setattr(run.jax, "default_backend", lambda: "gpu")
    tried = []
    monkeypatch.setattr(RivalPipeline, "warmup", lambda *_, **rest: tried.append(rest) or 1 / 0)
    flags = ("--prompt", "a car", "--model", checkpoint, "-n", 1, "--num-inference-steps", 4, "--dtype", "float32")
    result = rival("vary", save_photo(tmp_path / "a.png"), *flags, "--out", tmp_path / "out")
    assert result.code == 0 and tried[0]["num_variations"] == 1 and "seed" not in tried[0]


@pytest.mark.slow
def test_cache_reference_is_stated_beforehand(checkpoint, tmp_path):
    flags = ("--prompt", "a car", "--model", checkpoint, "-n", 1, "--num-inference-steps", 4, "--dtype", "float32")
    result = rival("vary", save_photo(tmp_path / "a.png"), *flags, "--cache-reference")
    assert result.code == 0 and "cache_reference keeps 0.00 GiB on the device." in result.err
