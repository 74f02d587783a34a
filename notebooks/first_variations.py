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
# # First variations
#
# Other pictures of the same subject, in a photo's own colours and style, by Stable Diffusion without any training:
# [RIVAL](https://arxiv.org/abs/2305.18729) in JAX.
#
# Choose a T4 or a v5e-1 TPU under *Runtime > Change runtime type* and run the cells from the top (it has not been run
# on either yet). They then download Stable Diffusion 1.5, 2 to 4 GB, and an example photo from GitHub. Without an
# accelerator, or with `MODEL = "tiny"`, a tiny model from inside the package draws in its place, without internet. It
# knows a small drawn world only, but every cell runs with it.

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
# An empty field is filled with what suits. The photo may be a URL, a path (also on a mounted Drive) or a bucket's
# (`gs://...`), or `upload`; say in `CAPTION` what it shows.

# %%
MODEL = ""  # @param ["", "tiny", "stable-diffusion-v1-5/stable-diffusion-v1-5"] {allow-input: true}
PHOTO = ""  # @param ["", "upload"] {allow-input: true}
CAPTION = ""  # @param {type: "string"}
OTHER_SUBJECT = ""  # @param {type: "string"}
EDITED_CAPTION = ""  # @param {type: "string"}
VARIATIONS = 4  # @param {type: "integer"}
STEPS = 30  # @param {type: "integer"}
SEED = 0  # @param {type: "integer"}
OUT = "variations"  # @param {type: "string"}

MODEL = MODEL or ("tiny" if jax.default_backend() == "cpu" else "stable-diffusion-v1-5/stable-diffusion-v1-5")

# %% [markdown]
# ## Photo
#
# The example is a drawing from the package for the tiny model, and for others the lynx of RIVAL's authors.

# %%
import fsspec
from IPython.display import display

from rival_jax import samples
from rival_jax.images import decode_picture

if PHOTO and not CAPTION:
    raise ValueError("Say in CAPTION what your photo shows.")
if MODEL == "tiny":
    example = str(samples.DIRECTORY / "house.png")
    prompts = samples.captions()["house.png"], "a boat on water", "a blue house on green grass under a blue sky"
else:
    repository = "https://raw.githubusercontent.com/dvlab-research/RIVAL/dfc990b390a5463d2cc4ef2c105fdf549d6dcde7"
    example = f"{repository}/assets/images/references/00_lynx.png"
    prompts = "a lynx is sitting in the grass", "a castle on a hill", "a dog is sitting in the grass"
caption, other_subject, edited_caption = (
    CAPTION or prompts[0],
    OTHER_SUBJECT or prompts[1],
    EDITED_CAPTION or prompts[2],
)

if PHOTO == "upload":
    from google.colab import files

    [data] = files.upload().values()
else:
    with fsspec.open(PHOTO or example, "rb") as file:
        data = file.read()
photo = decode_picture(data, PHOTO or example)
print(f"{photo.width} x {photo.height} pixels: {caption}")

# %% [markdown]
# ## Model
#
# Before any weights are read, this is what the checkpoint is and what it needs. The dtype is the device's: bfloat16 on
# TPUs and new GPUs, float16 on a T4, float32 on CPUs. Variations are drawn in as few batches as the memory that is left
# allows, so `VARIATIONS` may be any number.

# %%
from rival_jax import RivalPipeline
from rival_jax.info import describe

print(describe(MODEL, num_variations=VARIATIONS))
pipe = RivalPipeline.from_pretrained(MODEL)

# %% [markdown]
# ## Variations
#
# The photo is inverted to noise once; each variation starts from that noise, shuffled. The first run compiles and takes
# minutes with Stable Diffusion; later ones find the programs compiled.

# %%
from rival_jax.sheets import contact_sheet, grid


def progress(stage, done, total):
    print(f"\r{stage} {done}/{total}", end="\n" if done == total else "", flush=True)


def show(sheet):
    sheet.thumbnail((1600, 1600))
    display(sheet)


chain = pipe.invert(photo, caption, num_inference_steps=STEPS, progress=progress)
out = pipe.vary(chain, caption, num_variations=VARIATIONS, seed=SEED, progress=progress)
reconstruction = pipe.reconstruct(chain)
show(contact_sheet(chain.pixels, reconstruction, out.images))

# %% [markdown]
# `reconstruction` is the photo as the model draws it again from its inverted noise: how well it came through inversion.

# %%
from rival_jax.images import psnr

print(f"reconstruction: {psnr(reconstruction, chain.pixels)[0]:.1f} dB")
if out.nsfw is not None:
    print(f"flagged by the checkpoint's safety checker: {out.nsfw.sum()} of {out.nsfw.size}")

# %% [markdown]
# ## Seeds
#
# A variation's noise follows from the seed and its own number alone: a seed draws the same pictures again, another seed
# others.

# %%
again = pipe.vary(chain, caption, num_variations=VARIATIONS, seed=SEED)
other = pipe.vary(chain, caption, num_variations=VARIATIONS, seed=SEED + 1)
print("the same seed, the same pictures:", (again.images == out.images).all())
numbers = [f"variation {number + 1}" for number in range(VARIATIONS)]
show(grid(other.images, numbers, [f"seed {SEED + 1}"]))

# %% [markdown]
# ## Another subject
#
# `generate` draws any prompt in the photo's look.

# %%
generated = pipe.generate(
    photo, other_subject, num_variations=VARIATIONS, seed=SEED, num_inference_steps=STEPS, progress=progress
)
print(other_subject)
show(contact_sheet(chain.pixels, reconstruction, generated.images, "generated"))

# %% [markdown]
# ## The same photo, changed
#
# `edit` starts from the photo's noise as it is, so that the structure stays, and changes what the prompt says
# otherwise. A smaller `strength`
# keeps more of it.

# %%
edited = pipe.edit(photo, edited_caption, caption, num_inference_steps=STEPS, progress=progress)
print(edited_caption)
show(contact_sheet(chain.pixels, reconstruction, edited.images, "edited"))

# %% [markdown]
# ## Save
#
# Files get new numbers; none is overwritten. Name a folder on a mounted Drive in `OUT` to keep them.

# %%
from rival_jax.outputs import prepare_folder, write_png

folder = prepare_folder(OUT)
for kind, made in {"variation": out, "generated": generated, "edited": edited}.items():
    for picture in made.pil[0]:
        print(write_png(folder, f"{kind}-0001.png", picture))
