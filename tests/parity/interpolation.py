"""AID in plain torch on diffusers models, one pair at a time: the oracle of interpolation's parity tests.

It follows the paper (https://arxiv.org/abs/2403.17924) row by row: all n frames, the ends among them, run in one
conditional call, whose attention layers mix the first and the last row's keys and values. Shares no code with the
package. Latents are (c, h, w), a frame's axis comes first.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor

from .reference import Schedule, Told


class Interpolated:
    """Attention processor of any layer, self or cross; plain while `t` is None.

    t: (n,) of the rows; rows 0 and n - 1 are the ends. kind: "outer" or "inner". In cross-attention `reads`, weights of
    an adapter, make keys and values of `pictures` (n, p, d), to which each row attends as to prompts, or alone; what is
    found is weighed with `scales` and added.
    """

    def __init__(self) -> None:
        self.t, self.kind, self.fused = None, "outer", True
        self.reads = self.pictures = self.scales = None
        self.alone = False

    def __call__(self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, *_, **__):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for x in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        heads = F.scaled_dot_product_attention(query, key, value) if self.t is None else self.mixed(query, key, value)
        if encoder_hidden_states is not None and self.pictures is not None:
            seen = [F.linear(self.pictures, w).unflatten(-1, (attn.heads, -1)).transpose(1, 2) for w in self.reads]
            plain = self.t is None or self.alone
            found = F.scaled_dot_product_attention(query, *seen) if plain else self.mixed(query, *seen)
            heads = heads + self.scales[:, None, None, None] * found
        return attn.to_out[0](heads.transpose(1, 2).flatten(2))

    def mixed(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        rows = []
        for r, t in enumerate(self.t):

            def attend(k: Tensor, v: Tensor) -> Tensor:
                if self.fused:
                    k, v = torch.cat([key[r], k], dim=1), torch.cat([value[r], v], dim=1)  # noqa: B023
                return F.scaled_dot_product_attention(query[r], k, v)  # noqa: B023

            if self.kind == "outer":
                rows.append((1 - t) * attend(key[0], value[0]) + t * attend(key[-1], value[-1]))
            else:
                rows.append(attend((1 - t) * key[0] + t * key[-1], (1 - t) * value[0] + t * value[-1]))
        return torch.stack(rows)


@dataclass(frozen=True)
class Shown:
    """What an adapter is shown: what its encoder gives of the start, the end and nothing, (3, ...).

    tensors: the adapter's file. scale: its weight; None scales what is shown of the end from 0 to 1.
    """

    seen: Tensor
    project: Callable[[Tensor], Tensor]
    tensors: dict[str, Tensor]
    scale: float | None

    def tokens(self, coefficients: list[float]) -> tuple[Tensor, Tensor]:
        """Of n frames (n, p, d), and of their negatives."""
        start, end, nothing = self.seen
        mixed = [end if self.scale is None else (1 - t) * start + t * end for t in coefficients]
        return tuple(self.project(torch.stack(rows)) for rows in (mixed, [nothing] * len(mixed)))

    def scales(self, coefficients: list[float]) -> Tensor:
        return torch.tensor([t if self.scale is None else self.scale for t in coefficients])


@contextmanager
def interpolated(unet: UNet2DConditionModel, shown: Shown | None = None) -> Iterator[list[Interpolated]]:
    """Puts an `Interpolated` into every attention layer and takes it out again."""
    before = unet.attn_processors
    ours = {name: Interpolated() for name in before}
    for number, (name, layer) in enumerate(ours.items()):
        if shown and ".attn2." in name:
            layer.reads = [shown.tensors[f"ip_adapter.{number}.to_{kind}_ip.weight"] for kind in "kv"]
            layer.alone = shown.scale is None
    unet.set_attn_processor(dict(ours))
    try:
        yield list(ours.values())
    finally:
        unet.set_attn_processor(before)


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Along the last axis: each image row of each channel."""
    cosine = F.cosine_similarity(a, b, dim=-1)[..., None]
    angle = torch.arccos(cosine)
    arc = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
    return torch.where((cosine.abs() > 0.9995) | cosine.isnan(), (1 - t) * a + t * b, arc)


def between(start: Told, end: Told, t: float) -> Told:
    """A mixture of two prompts; sizes are the same in both."""
    added = {name: (1 - t) * x + t * end.added[name] for name, x in start.added.items()}
    return Told((1 - t) * start.tokens + t * end.tokens, added)


def rows(told: list[Told]) -> tuple[Tensor, dict]:
    """Of prompts the last arguments of a call with a row of each."""
    added = {name: torch.cat([own.added[name] for own in told]) for name in told[0].added}
    return torch.stack([own.tokens for own in told]), {"added_cond_kwargs": added}


@torch.no_grad()
def interpolate(
    unet: UNet2DConditionModel,
    noise: tuple[Tensor, Tensor],
    start: Told,
    end: Told,
    negative: Told,
    coefficients: list[float],
    scheduler_config: dict,
    steps: int,
    *,
    kind: str = "outer",
    fused: bool = True,
    warmup: int,
    guidance_scale: float,
    guide: Told | None = None,
    shown: Shown | None = None,
) -> Tensor:
    """The latents of n frames at every level, (T + 1, n, c, h, w), index 0 final."""
    schedule = Schedule.read(scheduler_config, steps)
    told = [start, *(guide or between(start, end, t) for t in coefficients[1:-1]), end]
    levels = [torch.stack([slerp(*noise, t) for t in coefficients])]
    positives, negatives = rows(told), rows([replace(negative)] * len(told))
    pictures = shown.tokens(coefficients) if shown else (None, None)
    with interpolated(unet, shown) as layers:
        for index, k in enumerate(range(steps, 0, -1)):
            x, predictions = levels[-1], []
            for is_positive, (text, more) in ((True, positives), (False, negatives)):
                for layer in layers:
                    layer.t = coefficients if is_positive and index < warmup else None
                    layer.kind, layer.fused = kind, fused
                    layer.pictures = pictures[not is_positive]
                    layer.scales = shown and shown.scales(coefficients)
                predictions.append(unet(x, schedule.timesteps[k - 1], text, **more).sample)
            guided = predictions[1] + guidance_scale * (predictions[0] - predictions[1])
            levels.append(schedule.move(x, schedule.noise(guided, x, k), k, k - 1))
    return torch.stack(levels[::-1])
