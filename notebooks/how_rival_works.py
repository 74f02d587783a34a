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
# # How RIVAL works
#
# What happens inside: the inverted chain and its statistics, the three things that
# [RIVAL](https://arxiv.org/abs/2305.18729) takes from it and what each is good for, and how
# [AID](https://arxiv.org/abs/2403.17924) draws what lies between two prompts through the same attention layers.
# Equations have the papers' numbers.
#
# All of it is quick on a CPU with the tiny model from inside the package. With an accelerator (a T4 or a v5e-1 TPU
# under *Runtime > Change runtime type*; it has not been run on either yet) the same cells download and run Stable
# Diffusion 1.5.

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
# An empty model is what suits the device.

# %%
MODEL = ""  # @param ["", "tiny", "stable-diffusion-v1-5/stable-diffusion-v1-5"] {allow-input: true}
STEPS = 30  # @param {type: "integer"}
FRAMES = 7  # @param {type: "integer"}
SEED = 0  # @param {type: "integer"}

MODEL = MODEL or ("tiny" if jax.default_backend() == "cpu" else "stable-diffusion-v1-5/stable-diffusion-v1-5")

# %%
import fsspec
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

from rival_jax import RivalPipeline, samples
from rival_jax.images import decode_picture
from rival_jax.sheets import grid

if MODEL == "tiny":
    names = ["house.png", "boat.png", "car-faded.png", "tree-sepia.png"]
    sources, captions = [str(samples.DIRECTORY / name) for name in names], [samples.captions()[name] for name in names]
    start, end = "a red ball on green grass", "a blue car on yellow sand"
else:
    repository = "https://raw.githubusercontent.com/dvlab-research/RIVAL/dfc990b390a5463d2cc4ef2c105fdf549d6dcde7"
    sources, captions = [f"{repository}/assets/images/references/00_lynx.png"], ["a lynx is sitting in the grass"]
    start, end = "a photo of a cat", "a photo of a dog"


def read(source):
    with fsspec.open(source, "rb") as file:
        return decode_picture(file.read(), source)


def show(sheet):
    sheet.thumbnail((1600, 1600))
    display(sheet)


pipe = RivalPipeline.from_pretrained(MODEL)
photos = [read(source) for source in sources]

# %% [markdown]
# ## The chain
#
# The photo's latents x[0] are stepped up to noise x[T] by DDIM run backwards (Eq. 5), without guidance, told what the
# photo shows. All latents on the way are kept: this chain is all that RIVAL knows of the photo. Decoded, they look so:

# %%
from rival_jax.codec import decode

chain = pipe.invert(photos, captions, num_inference_steps=STEPS)
timesteps = pipe.schedule.timesteps(STEPS)
places = np.linspace(0, STEPS, 6).round().astype(int)
pictures = np.asarray(decode(pipe.vae, jnp.asarray(chain.latents)[places].swapaxes(0, 1)))
show(grid(pictures, [f"x[{k}]" if k else "x[0]" for k in places]))

# %% [markdown]
# ## Its statistics
#
# A model that draws from prompts starts from normal noise N(0, I). Inverted noise is near that, but not it: each
# channel has a mean and a spread of its own, which are the photo's colours and contrast, and neighbouring positions are
# still alike. The KL divergence below is of a channel's normal distribution over the positions from N(0, 1), summed
# over channels.

# %%
latents = np.asarray(chain.latents)
means, deviations = latents.mean(axis=(2, 3)), latents.std(axis=(2, 3))
levels = np.concatenate([[0], timesteps])
kl = 0.5 * (deviations**2 + means**2 - 1 - np.log(deviations**2)).sum(axis=-1)

_, axes = plt.subplots(1, 3, figsize=(15, 4), layout="constrained")
for channel in range(latents.shape[-1]):
    axes[0].plot(levels, means[:, 0, channel], label=f"channel {channel}")
    axes[1].plot(levels, deviations[:, 0, channel])
for exemplar, caption in enumerate(captions):
    axes[2].semilogy(levels, kl[:, exemplar], label=caption)
for axis, title in zip(
    axes, ("mean (first exemplar)", "standard deviation (first exemplar)", "KL from N(0, I)"), strict=True
):
    axis.set(title=title, xlabel="timestep t, noise to the right")
axes[1].axhline(1, color="gray", linestyle=":")
axes[0].legend()
axes[2].legend(loc="upper center", bbox_to_anchor=(0.5, -0.15))
plt.show()

# %% [markdown]
# That is why a variation starts from x[T] **shuffled** (Eq. 6): one permutation of the positions for all channels keeps
# every channel's mean and spread exactly, and leaves no trace of where things were.

# %%
from rival_jax.alignment import initial_latents

seeds = jnp.full(len(photos), SEED)
shuffled, normal = (
    initial_latents(jnp.asarray(chain.latents[-1]), seeds, initial=initial, num_variations=1)[:, 0]
    for initial in ("shuffle", "random")
)


def likeness(x):
    """The correlation of neighbouring positions of a channel, mean over channels and exemplars."""
    x = np.asarray(x) - np.mean(x, axis=(1, 2), keepdims=True)
    return float(((x[:, :, 1:] * x[:, :, :-1]).mean(axis=(1, 2)) / (x**2).mean(axis=(1, 2))).mean())


print(f"{'':<16} {'mean of channels (first exemplar)':<40} neighbours' correlation")
for name, x in {"x[T]": latents[-1], "x[T] shuffled": shuffled, "normal noise": normal}.items():
    print(f"{name:<16} {np.array2string(np.mean(x[0], axis=(0, 1)), precision=3):<40} {likeness(x):.3f}")

# %% [markdown]
# ## What RIVAL takes from the chain, and what is left without it
#
# The photo's chain is run again beside each variation as its reference, and three things are taken from it:
#
# - **start**: x[T] shuffled (Eq. 6);
# - **attention** (Eq. 3): in every self-attention, queries are the variation's own. While t > `t_align` (600) keys and
#   values are the reference's alone; after that both rows' stand under one softmax;
# - **alignment** (Eq. 7-8): while t > `t_early`, channel by channel, mean and spread are moved to the reference's
#   (AdaIN). The paper does it to the predicted noise (`align="noise"`); this package's default does it to the latents
#   (`align="latent"`), which measured better.
#
# Each is left out in turn. The same seed everywhere.

# %%
NO_START, NO_ATTENTION, NO_ALIGNMENT = {"initial": "random"}, {"attention_start": 0}, {"align": "none"}
SETTINGS = {
    "RIVAL": {},
    "without start": NO_START,
    "without attention": NO_ATTENTION,
    "without alignment": NO_ALIGNMENT,
    "text to image": NO_START | NO_ATTENTION | NO_ALIGNMENT,
}


def follow(options):
    """The pictures (E, H, W, 3) of a generation, and its latents (T + 1, E, h, w, c) in the order of the chain."""
    path = []
    out = pipe.vary(chain, captions, seed=SEED, watch=lambda _, x: path.append(np.asarray(x[:, 0])), **options)
    return out.images[:, 0], np.stack(path[::-1])


made = {name: follow(options) for name, options in SETTINGS.items()}
show(grid(np.stack([chain.pixels, *(pictures for pictures, _ in made.values())], axis=1), ["exemplar", *made]))

# %% [markdown]
# How far the colours are from the exemplar's, as the paper measures it: palettes of ten colours each, matched at the
# least cost (0: the same). A few pictures prove little; `rival reproduce 3` repeats the paper's Table 3, with
# `align="noise"`, on 64 exemplars. There the start from the chain is what colours need most; aligned latents have the
# photo's statistics after the first step, whatever the start was, as the next figure shows.

# %%
from rival_jax.metrics.palette import palette_distance

for name, (pictures, _) in made.items():
    distances = [palette_distance(*pair) for pair in zip(pictures, chain.pixels, strict=True)]
    print(f"{name:<18} palette distance {np.mean(distances):.2f}")

# %% [markdown]
# ## The two chains side by side
#
# The KL divergence between a generation's latents and the inverted chain's at the same timestep (the paper's Fig. 12).
# Generation runs from the right to the left. Alignment of the latents holds it at zero, up to rounding, as long as it
# acts.

# %%
from rival_jax.evidence.divergence import gaussian_kl

plt.figure(figsize=(8, 4), layout="constrained")
for name, (_, path) in made.items():
    plt.semilogy(levels, np.maximum(gaussian_kl(path, latents).mean(axis=-1), 1e-5), label=name)
plt.axvline(300, color="gray", linestyle=":")
plt.text(310, 2e-5, "alignment acts >", color="gray")
plt.gca().set(title="KL from the inverted chain", xlabel="timestep t, noise to the right")
plt.legend()
plt.show()

# %% [markdown]
# ## How much attention falls on the photo
#
# Methods reach into the UNet in one place: every attention layer is handed a value `attend`, which says who attends to
# whom. The one below lets each generated row read its reference and itself (Eq. 3, late stage) and notes how much of
# the softmax falls on the reference. Above `t_align` RIVAL leaves no choice: all of it does. One half would be no
# preference, since both rows have equally many keys.

# %%
from rival_jax.evidence.divergence import Share


@jax.jit
def share(unet, generated, reference, timestep, text):
    """The share of each self-attention layer; generated, reference (E, h, w, c)."""
    shares = []
    rows = jnp.stack([reference, generated], axis=1).reshape(-1, *generated.shape[1:])
    unet.module()(rows, jnp.full(len(rows), timestep), jnp.repeat(text, 2, axis=0), attend=Share(shares))
    return jnp.stack(shares)


text = pipe.embed(tuple(captions), chain.pixels.shape[1:3]).tokens
layers = {
    name: np.stack([share(pipe.unet, path[k], latents[k], timesteps[k - 1], text) for k in range(1, STEPS + 1)])
    for name, (_, path) in made.items()
}

_, axes = plt.subplots(1, 2, figsize=(15, 4), layout="constrained")
for name, shares in layers.items():
    axes[0].plot(timesteps, shares.mean(axis=1), label=name)
axes[0].axhline(0.5, color="gray", linestyle=":")
axes[0].axvspan(600, 1000, color="gray", alpha=0.15)
axes[0].set(
    title="mean of the layers (grey: RIVAL reads the photo alone)",
    xlabel="timestep t, noise to the right",
    xlim=(0, 1000),
)
axes[0].legend()
numbers = range(1, layers["RIVAL"].shape[1] + 1)
axes[1].bar(numbers, layers["RIVAL"][timesteps <= 600].mean(axis=0), tick_label=numbers)
axes[1].axhline(0.5, color="gray", linestyle=":")
axes[1].set(title="RIVAL, mean over t <= 600, by layer", xlabel="self-attention layer, in the order of use")
plt.show()

# %% [markdown]
# ## From one prompt to another
#
# AID uses the same place in the attention layers. The two ends are drawn by their prompts. A frame between them, at
# coefficient t in 0 ... 1, reads its own keys and values (K, V) beside the start's (K_0, V_0) and beside the end's
# (K_1, V_1), in self- and cross-attention alike, and mixes what comes out (fused outer interpolation, AID-O):
#
# (1 - t) A(Q, [K; K_0], [V; V_0]) + t A(Q, [K; K_1], [V; V_1])
#
# The lower row interpolates the prompts' embeddings and the noise alone, with plain attention (`warmup_ratio=0`).

# %%
coefficients = np.linspace(0, 1, FRAMES)
sequences = {
    name: pipe.interpolate(
        start,
        end,
        num_frames=FRAMES,
        num_inference_steps=STEPS,
        coefficients=coefficients,
        warmup_ratio=ratio,
        seed=SEED,
    )
    for name, ratio in {"AID-O": 1.0, "prompts": 0.0}.items()
}
frames = np.concatenate([sequence.images for sequence in sequences.values()])
show(grid(frames, [f"t = {t:.2f}" for t in coefficients], list(sequences)))

# %% [markdown]
# Smoothness (at most 1, larger is better) says how even the steps between neighbours are, consistency (smaller is
# better) how large they are on average. One pair proves little: over 50 pairs with the tiny model, consistency is 0.133
# with AID-O and 0.156 with prompts alone, smoothness 0.548 and 0.488. At even coefficients a sequence still jumps
# somewhere; `coefficients="explore"`, the default, draws more frames there and takes the evenest path (0.881).

# %%
plt.figure(figsize=(8, 3.5), layout="constrained")
for name, sequence in sequences.items():
    plt.plot(range(1, FRAMES), sequence.distances[0], marker="o", label=name)
    [scores] = sequence.scores
    print(f"{name:<10} smoothness {scores.smoothness:.3f}   consistency {scores.consistency:.3f}")
plt.gca().set(title="distance between neighbouring frames", xlabel="step", ylim=(0, None))
plt.legend()
plt.show()
