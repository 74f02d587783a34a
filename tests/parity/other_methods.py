"""MasaCtrl and Plug-and-Play in plain torch on diffusers' UNet, one exemplar at a time.

Written from the papers (https://arxiv.org/abs/2304.08465 section 3.2, https://arxiv.org/abs/2211.12572 section 4);
layers are named as diffusers names them. A latent is (c, h, w), a chain (T+1, c, h, w), a prompt's embedding (m, d).
Chains are of the empty prompt.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor

from .reference import Schedule

DECODER_FROM_LAYER_10 = ("up_blocks.2", "up_blocks.3")
"""Of Stable Diffusion's 16 self-attention layers, counted from 0 as they are used: 6 down, 1 in the middle, 9 up."""
DECODER_FROM_BLOCK_4 = ("up_blocks.1.attentions.1", "up_blocks.1.attentions.2", *DECODER_FROM_LAYER_10)
"""Of its 12 decoder blocks, counted from 0; the first three have no attention."""


@dataclass
class FromFirstRow:
    """Self-attention whose rows take what `taken` names from the first row of the call while it is `active`."""

    taken: str
    active: bool = False

    def __call__(self, attn: Attention, hidden_states: Tensor, *_, **__) -> Tensor:
        parts = {"q": attn.to_q(hidden_states), "k": attn.to_k(hidden_states), "v": attn.to_v(hidden_states)}
        for name in self.taken if self.active else "":
            parts[name] = parts[name][:1].expand_as(parts[name])
        q, k, v = (part.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for part in parts.values())
        weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return attn.to_out[0]((weights @ v).transpose(1, 2).flatten(2))


@contextmanager
def taking(unet: UNet2DConditionModel, taken: str, blocks: tuple[str, ...]) -> Iterator[FromFirstRow]:
    """Puts one processor into the self-attention layers of some blocks, and takes it out again."""
    before, ours = unet.attn_processors, FromFirstRow(taken)
    chosen = {name: ours for name in before if name.startswith(blocks) and name.endswith("attn1.processor")}
    unet.set_attn_processor(before | chosen)
    try:
        yield ours
    finally:
        unet.set_attn_processor(before)


def descend(chain: Tensor, schedule: Schedule, predict: Callable[[Tensor, int], Tensor]) -> Tensor:
    """DDIM from the inverted latents down; `predict` says what the UNet makes of latents at a level, under guidance."""
    x = chain[-1:]
    for k in range(len(chain) - 1, 0, -1):
        x = schedule.move(x, schedule.noise(predict(x, k), x, k), k, k - 1)
    return x[0]


@torch.no_grad()
def masactrl(
    unet: UNet2DConditionModel,
    chain: Tensor,
    prompt: Tensor,
    empty: Tensor,
    schedule: Schedule,
    guidance_scale: float,
) -> Tensor:
    """Keys and values of layers from 10 on are the source's own half's, from the step after 4 of 50 on."""
    steps = len(chain) - 1
    with taking(unet, "kv", DECODER_FROM_LAYER_10) as attention:

        def predict(x: Tensor, k: int) -> Tensor:
            attention.active = (steps - k) / steps >= 4 / 50
            halves = []
            for text in (empty, prompt):
                rows, texts = torch.cat([chain[k : k + 1], x]), torch.stack([empty, text])
                halves.append(unet(rows, schedule.timesteps[k - 1], texts).sample[1:])
            return halves[0] + guidance_scale * (halves[1] - halves[0])

        return descend(chain, schedule, predict)


@torch.no_grad()
def plug_and_play(
    unet: UNet2DConditionModel,
    chain: Tensor,
    prompt: Tensor,
    empty: Tensor,
    schedule: Schedule,
    guidance_scale: float,
) -> Tensor:
    """The source's queries and keys in decoder blocks 4 to 11 for half of the steps, its block 4 features for 80 %."""
    steps = len(chain) - 1
    injecting = False

    def inject(_module, _arguments, features: Tensor) -> Tensor:
        return features[:1].expand_as(features) if injecting else features

    handle = unet.up_blocks[1].resnets[1].conv2.register_forward_hook(inject)
    with taking(unet, "qk", DECODER_FROM_BLOCK_4) as attention:

        def predict(x: Tensor, k: int) -> Tensor:
            nonlocal injecting
            attention.active, injecting = (steps - k) / steps < 0.5, (steps - k) / steps < 0.8
            rows = torch.cat([chain[k : k + 1], x, x])
            _, negative, positive = unet(rows, schedule.timesteps[k - 1], torch.stack([empty, empty, prompt])).sample
            return (negative + guidance_scale * (positive - negative))[None]

        final = descend(chain, schedule, predict)
    handle.remove()
    return final
