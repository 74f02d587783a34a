# ---
# jupyter:
#   accelerator: GPU
#   colab:
#     gpuType: T4
#     provenance: []
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: accelerator,colab
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Augment a dataset
#
# Variations of every picture of a dataset, as a job that survives whatever stops it: it is planned, tried on a few
# samples, run, and gone on with after a disconnect. The result is an image folder with labels that `datasets` loads.
#
# Choose a T4 or a v5e-1 TPU under *Runtime > Change runtime type* (it has not been run on either yet); the cells then
# download Stable Diffusion 1.5. Without an accelerator they run with a tiny model from inside the package. Colab is for
# trying a job out and for small ones; for large ones take the same settings to `rival augment run` on a cluster.

# %%
try:
    import rival_jax
except ImportError:
    # %pip install -q rival-jax
    import rival_jax

import jax

print(
    f"rival_jax {rival_jax.__version__}, jax {jax.__version__}, {jax.device_count()} x {jax.devices()[0].device_kind}"
)

# %% [markdown]
# ## Settings
#
# `INPUT` has class folders, metadata, WebDataset tars or parquet files, here, on Drive, or wherever fsspec reads
# (`gs://...`, `hf://...`). `OUTPUT` is a folder; only one on Drive outlives the session. Both empty: a few drawings
# from the package, in temporary folders.
#
# `STOP_AFTER_SHARDS` shows what a disconnect does: the run is broken off after so many shards. For a dataset of your
# own take 0, which runs all, and a `SHARD_SIZE` of 64.

# %%
MODEL = ""  # @param ["", "tiny", "stable-diffusion-v1-5/stable-diffusion-v1-5"] {allow-input: true}
MOUNT_DRIVE = False  # @param {type: "boolean"}
INPUT = ""  # @param {type: "string"}
OUTPUT = ""  # @param {type: "string"}
TEMPLATE = "a photo of a {label}"  # @param {type: "string"}
VARIATIONS = 2  # @param {type: "integer"}
STEPS = 30  # @param {type: "integer"}
SHARD_SIZE = 2  # @param {type: "integer"}
BATCH_SIZE = 2  # @param {type: "integer"}
STOP_AFTER_SHARDS = 1  # @param {type: "integer"}

MODEL = MODEL or ("tiny" if jax.default_backend() == "cpu" else "stable-diffusion-v1-5/stable-diffusion-v1-5")

# %% [markdown]
# A bucket of your own needs `google.colab.auth.authenticate_user()` first, and a TPU runtime `%pip install -q gcsfs`.

# %%
import tempfile
from pathlib import Path

from rival_jax import samples

if MOUNT_DRIVE:
    from google.colab import drive

    drive.mount("/content/drive")

folder = Path(tempfile.mkdtemp())
if not INPUT:
    for name in ("boat", "boat-teal", "car-faded", "car-moonlight", "house", "house-dark"):
        label = name.split("-")[0]
        (folder / "photos" / label).mkdir(parents=True, exist_ok=True)
        (folder / "photos" / label / f"{name}.png").write_bytes((samples.DIRECTORY / f"{name}.png").read_bytes())
photos, augmented = INPUT or str(folder / "photos"), OUTPUT or str(folder / "augmented")

# %% [markdown]
# ## Plan
#
# A job is a value that decides every picture (`configs/augment.toml` in the repository explains each key). Planning
# lists the input and writes `job.json`; planning the same job again finds that. Nothing is drawn yet.

# %%
from rival_jax import jobs
from rival_jax.jobs.cost import describe
from rival_jax.jobs.job import make_job
from rival_jax.jobs.tally import lines


def progress(stage, done, total):
    print(f"\r{stage} {done}/{total}", end="\n" if done == total else "", flush=True)


job = make_job(
    {
        "input": {"path": photos},
        "output": {"path": augmented},
        "model": {"name": MODEL},
        "caption": {"template": TEMPLATE},
        "recipe": [{"preset": "balanced", "num_inference_steps": STEPS, "guidance_scale": [4.0, 6.0]}],
        "num_variations": VARIATIONS,
        "shard_size": SHARD_SIZE,
        "batch_size": BATCH_SIZE,
    }
)
plan = jobs.make_plan(job)
print(describe(jobs.estimate(plan)))

# %% [markdown]
# `BATCH_SIZE` x `VARIATIONS` pictures are drawn at once, always: the shape of a batch is part of what decides a
# picture's last bits. If the memory above is more than the device has, make one of them smaller.
#
# ## Pilot
#
# A few samples, evenly chosen, on the page by which to judge them: every picture with its verdict, score, seed and
# prompt. If it is not what you want, change the settings and plan again.

# %%
import base64
import html
import re

from IPython.display import HTML, display


def inline(page, height=640):
    """A gallery in one piece, its thumbnails inside it."""

    def embedded(match):
        data = (page.parent / match[1]).read_bytes()
        return f'src="data:image/{match[2]};base64,{base64.b64encode(data).decode()}"'

    text = re.sub(r'src="(thumbs/[^"]+\.(\w+))"', embedded, page.read_text(encoding="utf-8"))
    frame = f'<iframe srcdoc="{html.escape(text)}" width="100%" height="{height}" style="border: 0"></iframe>'
    display(HTML(f"<div>{frame}</div>"))


inline(jobs.pilot(plan, 2, progress=progress))

# %% [markdown]
# ## Run
#
# A shard is written aside, renamed, and marked as done last, so that a job can be stopped at any moment and nothing is
# torn. Here that moment is chosen: after `STOP_AFTER_SHARDS` shards the run is interrupted while it draws the next, as
# the stop button would do it.


# %%
def stopping(stage, done, total):
    progress(stage, done, total)
    if STOP_AFTER_SHARDS and len(plan.done()) >= STOP_AFTER_SHARDS:
        raise KeyboardInterrupt


try:
    jobs.run(plan, jobs.Worker.load(plan), progress=stopping)
except KeyboardInterrupt:
    print("\nstopped")
print(lines(jobs.status(plan)))

# %% [markdown]
# ## Go on
#
# After a disconnect run the cells down to *Plan*, and then this one: it goes on where the job was, as often as need be,
# and finished shards are not touched. That needs an `OUTPUT` on Drive; temporary folders are gone with their session.

# %%
before = {path: path.stat().st_mtime_ns for path in plan.data.rglob("*.png")}
plan = jobs.read_plan(plan.folder)
if plan.pending():
    print(f"{jobs.run(plan, jobs.Worker.load(plan), progress=progress)} shards were left")
print("pictures from before are untouched:", all(path.stat().st_mtime_ns == time for path, time in before.items()))
print(lines(jobs.status(plan)))

# %% [markdown]
# ## Finish
#
# `finalize` writes metadata, a dataset card and statistics. What the filters dropped (the safety checker where the
# checkpoint has one, near-duplicates) or what failed is in `records/` and `errors.jsonl`, each with its reason;
# `jobs.retry` makes failed ones again.

# %%
jobs.finalize(plan)
print((plan.folder / "README.md").read_text(encoding="utf-8"))

# %% [markdown]
# ## Load
#
# The result as any training script finds it, with the labels of the exemplars.

# %%
import datasets

data = datasets.load_dataset(str(plan.folder), split="train")
print(data)

# %%
from rival_jax.images import load_images
from rival_jax.sheets import grid

across = min(len(data), 6)
shown = data.select(range(min(len(data), 12) // across * across))
pixels = load_images([picture.convert("RGB") for picture in shown["image"]], 192, 192)
display(grid(pixels.reshape(-1, across, *pixels.shape[1:]), captions=shown["label"]))
