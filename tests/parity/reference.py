"""The whole method in plain torch on diffusers models, one exemplar at a time: the oracle of the parity tests.

It follows the paper (https://arxiv.org/abs/2305.18729) step by step and shares no code with the package.
A latent is (c, h, w), a chain (T+1, c, h, w) with index 0 clean, N variations are (N, c, h, w), and the
embedding of one prompt is (m, d). Latents stay in float32 whatever the dtype of the models.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer


@dataclass(frozen=True)
class Schedule:
    """The noise levels 0 … T of a chain.

    `timesteps[k - 1]` is t_k in the training scale and `alphas[k]` the cumulative alpha of level k, level 0 being the
    clean one. Computed in float64.
    """

    timesteps: list[int]
    alphas: list[float]
    v_prediction: bool

    @classmethod
    def read(cls, config: dict, steps: int) -> "Schedule":
        """The DDIM schedule of `steps` steps that a `scheduler_config.json` describes, whatever class it names."""
        train_steps = config.get("num_train_timesteps", 1000)
        start, end = config.get("beta_start", 0.00085), config.get("beta_end", 0.012)
        match config.get("beta_schedule", "scaled_linear"):
            case "scaled_linear":
                betas = np.linspace(start**0.5, end**0.5, train_steps) ** 2
            case "linear":
                betas = np.linspace(start, end, train_steps)
            case unknown:
                raise ValueError(f"unknown beta_schedule {unknown!r}")
        abar = np.cumprod(1 - betas)
        if config.get("rescale_betas_zero_snr"):
            root = np.sqrt(abar)
            abar = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
        match config.get("timestep_spacing", "leading"):
            case "leading":
                timesteps = np.arange(steps) * (train_steps // steps) + config.get("steps_offset", 1)
            case "trailing":
                timesteps = np.round(np.arange(train_steps, 0, -train_steps / steps))[::-1] - 1
            case "linspace":
                timesteps = np.round(np.linspace(0, train_steps - 1, steps))
            case unknown:
                raise ValueError(f"unknown timestep_spacing {unknown!r}")
        timesteps = [int(timestep) for timestep in timesteps]
        clean = 1.0 if config.get("set_alpha_to_one", False) else float(abar[0])
        prediction_type = config.get("prediction_type", "epsilon")
        assert prediction_type in ("epsilon", "v_prediction"), prediction_type
        return cls(timesteps, [clean, *(float(abar[t]) for t in timesteps)], prediction_type == "v_prediction")

    def noise(self, prediction: Tensor, x: Tensor, level: int) -> Tensor:
        """The noise that the UNet's `prediction` stands for, `x` being at `level`."""
        if not self.v_prediction:
            return prediction
        return self.alphas[level] ** 0.5 * prediction + (1 - self.alphas[level]) ** 0.5 * x

    def start(self, prediction: Tensor, x: Tensor) -> Tensor:
        """The first step down where the noisiest level has no signal: there -v is the clean picture and x the noise."""
        return (1 - self.alphas[-2]) ** 0.5 * x - self.alphas[-2] ** 0.5 * prediction

    def move(self, x: Tensor, noise: Tensor, a: int, b: int) -> Tensor:
        """DDIM from level `a` to level `b` in either direction: Eq. 4 down, Eq. 5 up."""
        abar_a, abar_b = self.alphas[a], self.alphas[b]
        scale = (abar_b / abar_a) ** 0.5
        return scale * x + ((1 - abar_b) ** 0.5 - (abar_b * (1 - abar_a) / abar_a) ** 0.5) * noise

    def second_order(self, x: Tensor, cleaned: list[Tensor], k: int) -> Tensor:
        """DPM-Solver++ (2M), algorithm 2 of https://arxiv.org/abs/2211.01095, from level k to k - 1.

        `cleaned` ends with what x, and before it the latents at level k + 1, were cleaned to.
        """

        def rate(level: int) -> float:
            return 0.5 * math.log(self.alphas[level] / (1 - self.alphas[level]))

        if self.alphas[k + 1] == 0:  # infinitely far
            return self.move(x, (x - self.alphas[k] ** 0.5 * cleaned[-1]) / (1 - self.alphas[k]) ** 0.5, k, k - 1)
        h, before = rate(k - 1) - rate(k), rate(k) - rate(k + 1)
        r = before / h
        direction = (1 + 1 / (2 * r)) * cleaned[-1] - 1 / (2 * r) * cleaned[-2]
        sigma, next_sigma = ((1 - self.alphas[level]) ** 0.5 for level in (k, k - 1))
        return next_sigma / sigma * x - self.alphas[k - 1] ** 0.5 * math.expm1(-h) * direction


class SelfAttention:
    """Attention processor of one self-attention layer, switched from outside through `mode`.

    "plain" attends as usual; "record" does too and keeps the hidden states in `seen`; "replace" and "concat" take keys
    and values from `reference` (1, tokens, channels) alone, or from it and the row's own hidden states at once (Eq. 3).
    """

    def __init__(self) -> None:
        self.mode = "plain"
        self.seen = self.reference = None

    def __call__(self, attn: Attention, hidden_states: Tensor, *_, **__) -> Tensor:
        own = hidden_states
        match self.mode:
            case "plain":
                context = own
            case "record":
                context = self.seen = own
            case "replace":
                context = self.reference.expand(len(own), -1, -1)
            case "concat":
                context = torch.cat([self.reference.expand(len(own), -1, -1), own], dim=1)
        query, key, value = (
            projected.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for projected in (attn.to_q(own), attn.to_k(context), attn.to_v(context))
        )
        heads = F.scaled_dot_product_attention(query, key, value)
        return attn.to_out[0](heads.transpose(1, 2).flatten(2))


@contextmanager
def self_attentions(unet: UNet2DConditionModel) -> Iterator[list[SelfAttention]]:
    """Puts a `SelfAttention` into every self-attention layer and takes it out again; cross-attention keeps its own."""
    before = unet.attn_processors
    ours = {name: SelfAttention() for name in before if name.endswith("attn1.processor")}
    unet.set_attn_processor(before | ours)
    try:
        yield list(ours.values())
    finally:
        unet.set_attn_processor(before)


@dataclass(frozen=True)
class Told:
    """A prompt's tokens (m, d), and what diffusers' networks take beside them, each (1, ...)."""

    tokens: Tensor
    added: dict[str, Tensor] = field(default_factory=dict)
    classes: Tensor | None = None

    def arguments(self, rows: int) -> dict:
        """The last arguments of a call for so many rows."""
        added = {name: value.expand(rows, *value.shape[1:]) for name, value in self.added.items()}
        classes = None if self.classes is None else self.classes.expand(rows, -1)
        return {"added_cond_kwargs": added, "class_labels": classes}


def predict(
    unet: UNet2DConditionModel, x: Tensor, timestep: int, embedding: Tensor | Told, controls: Sequence["Control"] = ()
) -> Tensor:
    """The UNet's raw prediction for the rows `x` (n, c, h, w), all under one prompt and steered by `controls`."""
    told = Told(embedding) if isinstance(embedding, Tensor) else embedding
    text, more = told.tokens.to(unet.dtype).expand(len(x), -1, -1), told.arguments(len(x))
    added = [control(x, timestep, text, more) for control in controls]
    residuals = {}
    if added:
        residuals["down_block_additional_residuals"] = [
            sum(each) for each in zip(*(down for down, _ in added), strict=True)
        ]
        residuals["mid_block_additional_residual"] = sum(mid for _, mid in added)
    return unet(x.to(unet.dtype), timestep, text, **more, **residuals).sample.float()


@dataclass(frozen=True)
class Control:
    """A ControlNet that is shown `image` (1, 3, H, W) in [0, 1]."""

    network: ControlNetModel
    image: Tensor
    scale: float

    def __call__(self, x: Tensor, timestep: int, text: Tensor, more: dict) -> tuple[list[Tensor], Tensor]:
        """What it adds to the UNet's skips and middle, for the rows `x`."""
        image = self.image.expand(len(x), -1, -1, -1)
        return self.network(x, timestep, text, image, conditioning_scale=self.scale, **more, return_dict=False)


@torch.no_grad()
def encode(vae: AutoencoderKL, pixels: Tensor) -> Tensor:
    """Pictures (n, 3, H, W) in [-1, 1] -> scaled latents: the mean of the posterior, no sampling."""
    return vae.encode(pixels.to(vae.dtype)).latent_dist.mean.float() * vae.config.scaling_factor


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Scaled latents (n, c, h, w) -> pictures (n, 3, H, W) around [-1, 1]."""
    return vae.decode((latents / vae.config.scaling_factor).to(vae.dtype)).sample.float()


@torch.no_grad()
def invert(
    unet: UNet2DConditionModel, latent: Tensor, source: Tensor, scheduler_config: dict, steps: int, convention: str
) -> Tensor:
    """The chain of the clean `latent` under the prompt embedding `source` (Eq. 5), without guidance.

    `convention` says which timestep the UNet is told on the way from t_k to t_{k+1}: "target" t_{k+1}, "current" t_k.
    """
    schedule = Schedule.read(scheduler_config, steps)
    told = {"target": schedule.timesteps, "current": [0, *schedule.timesteps[:-1]]}[convention]
    chain = [latent[None].float()]
    for level, timestep in enumerate(told):
        x = chain[-1]
        noise = schedule.noise(predict(unet, x, timestep, source), x, level)
        chain.append(schedule.move(x, noise, level, level + 1))
    return torch.cat(chain)


def shuffled(latent: Tensor, permutations: Tensor) -> Tensor:
    """Eq. 6: `permutations` (N, h * w) of the positions of `latent`, the same for all channels."""
    return latent.flatten(1)[:, permutations].transpose(0, 1).unflatten(-1, latent.shape[1:])


def gaussian(latent: Tensor, noise: Tensor) -> Tensor:
    """Draws with the mean and the full channel covariance of `latent`, from standard normal `noise` (N, c, h, w).

    The covariance is unbiased and its root the symmetric one.
    """
    flat = latent.flatten(1)
    values, vectors = torch.linalg.eigh(torch.cov(flat))
    root = vectors @ values.sqrt().diag() @ vectors.T
    return (flat.mean(1)[:, None] + root @ noise.flatten(2)).unflatten(-1, latent.shape[1:])


def adain(x: Tensor, target: Tensor) -> Tensor:
    """Eq. 8: gives each channel of each row of `x` (n, c, h, w) the mean and deviation of `target` (1, c, h, w)."""

    def statistics(rows: Tensor) -> tuple[Tensor, Tensor]:
        variance, mean = torch.var_mean(rows, dim=(2, 3), keepdim=True, correction=1)
        return mean, (variance + 1e-5).sqrt()

    mean, deviation = statistics(x)
    target_mean, target_deviation = statistics(target)
    return (x - mean) / deviation * target_deviation + target_mean


@torch.no_grad()
def generate(
    unet: UNet2DConditionModel,
    chain: Tensor,
    initial: Tensor,
    source: Tensor,
    prompt: Tensor,
    negative: Tensor,
    scheduler_config: dict,
    *,
    guidance_scale: float = 7.0,
    t_align: float = 600,
    t_early: float = 600,
    attention_start: float = 1000,
    align: str = "noise",
    empty: Tensor | None = None,
    hole: Tensor | None = None,
    controls: Sequence[Control] = (),
    solver: str = "ddim",
    null: Tensor | None = None,
) -> Tensor:
    """The latents of N variations at every level, (T+1, N, c, h, w), index 0 final and T `initial` itself.

    `source`, `prompt`, `negative` are prompt embeddings. Given `empty`, the embedding of the empty prompt, the
    reference is paired: a second reference row runs under it on the same chain, and the negative rows attend to that.
    Outside the `hole` (h, w) latents are set to the chain's after each step; `controls` steer the generated rows alone.
    `null` (T, m, d) stands in for `negative`, a row for each step.
    """
    steps = len(chain) - 1
    schedule = Schedule.read(scheduler_config, steps)
    levels, cleaned = [initial.float()], []
    with self_attentions(unet) as layers:

        def reference_row(embedding: Tensor) -> Tensor:
            """Runs x[k] alone, leaves its hidden states in the layers, and returns its noise (1, c, h, w)."""
            for layer in layers:
                layer.mode = "record"
            return schedule.noise(predict(unet, chain[k : k + 1], timestep, embedding), chain[k : k + 1], k)

        def generated_rows(embedding: Tensor) -> Tensor:
            """Runs the variations against the hidden states that `reference_row` left; what the UNet says of them."""
            for layer in layers:
                layer.mode, layer.reference = mode, layer.seen
            return predict(unet, levels[-1], timestep, embedding, controls)

        for k in range(steps, 0, -1):
            timestep = schedule.timesteps[k - 1]
            mode = "plain" if timestep > attention_start else "replace" if timestep > t_align else "concat"
            reference_noise = reference_row(source)
            positive = generated_rows(prompt)
            if empty is not None:
                reference_row(empty)
            unconditional = generated_rows(negative if null is None else null[k - 1])
            guided = unconditional + guidance_scale * (positive - unconditional)
            noise = schedule.noise(guided, levels[-1], k)
            if align == "noise" and timestep > t_early:
                noise = adain(noise, reference_noise)
            if schedule.alphas[k] == 0:
                cleaned.append(-guided)
                x = schedule.start(guided, levels[-1])
            else:
                cleaned.append((levels[-1] - (1 - schedule.alphas[k]) ** 0.5 * noise) / schedule.alphas[k] ** 0.5)
                x = schedule.move(levels[-1], noise, k, k - 1)
            if solver == "dpm++" and 1 < k < steps:
                x = schedule.second_order(levels[-1], cleaned, k)
            if align == "latent" and timestep > t_early:
                x = adain(x, chain[k - 1 : k])
            if hole is not None:
                x = torch.where(hole, x, chain[k - 1 : k])
            levels.append(x)
    return torch.stack(levels[::-1])


def null_text(
    unet: UNet2DConditionModel,
    chain: Tensor,
    source: Tensor,
    empty: Tensor,
    scheduler_config: dict,
    guidance_scale: float,
    inner_steps: int,
) -> tuple[Tensor, Tensor]:
    """Embeddings (T, m, d) for the unconditional branch (https://arxiv.org/abs/2211.09794), and where they lead to."""
    steps = len(chain) - 1
    schedule = Schedule.read(scheduler_config, steps)
    null, x, found = empty, chain[-1:], []
    unet.requires_grad_(False)
    for index, k in enumerate(range(steps, 0, -1)):
        timestep = schedule.timesteps[k - 1]
        positive = predict(unet, x, timestep, source)
        null = null.detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([null], lr=1e-2 * (1 - index / 100))

        def moved() -> Tensor:
            negative = predict(unet, x, timestep, null)  # noqa: B023
            noise = schedule.noise(negative + guidance_scale * (positive - negative), x, k)  # noqa: B023
            return schedule.move(x, noise, k, k - 1)  # noqa: B023

        for _ in range(inner_steps):
            loss = F.mse_loss(moved(), chain[k - 1 : k])
            if loss < 1e-5 + 2e-5 * index:
                break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        x = moved().detach()
        found.append(null.detach())
    return torch.stack(found[::-1]), x


Embed = Callable[[str], Tensor]


def embedder(tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel) -> Embed:
    """The function from a prompt to its embedding (m, d): 77 tokens, the last hidden state after the final norm."""

    @torch.no_grad()
    def embed(prompt: str) -> Tensor:
        ids = tokenizer(prompt, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
        return text_encoder(ids).last_hidden_state[0].float()

    return embed
