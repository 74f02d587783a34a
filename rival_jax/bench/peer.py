"""The same method in torch and diffusers, as a process of its own that is told what to run: `--against torch`.

"authors"   their scheme: a reference row for each guidance half, run anew for every variation, in concat attending to
            its own keys twice
"eager"     our algorithm: one reference row, all variations in one call; but the UNet as diffusers has it, which reads
            the prompts in every step and takes both guidance halves through its first layers
"compiled"  the same through `torch.compile`, on GPUs

Both sides read one checkpoint, the same pictures, tokens and permutations. This file uses nothing else of the package.
"""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel
from transformers.utils.logging import disable_progress_bar


class Reading:
    """Attention processor of all layers. Rows come in groups of `rows`, the first of each is the reference."""

    def __init__(self) -> None:
        self.mode, self.rows, self.twice = "plain", 1, False

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_) -> Tensor:
        x, text = hidden_states, encoder_hidden_states
        q = _heads(attn, attn.to_q(x))
        if text is not None or self.mode == "plain":
            context = x if text is None else text
            out = F.scaled_dot_product_attention(q, _heads(attn, attn.to_k(context)), _heads(attn, attn.to_v(context)))
        elif self.mode == "replace":
            reference = self._references(x)
            k, v = _heads(attn, attn.to_k(reference)), _heads(attn, attn.to_v(reference))
            b, h, s, d = q.shape
            folded = q.reshape(-1, self.rows, h, s, d).transpose(1, 2).reshape(-1, h, self.rows * s, d)
            out = F.scaled_dot_product_attention(folded, k, v)
            out = out.reshape(-1, h, self.rows, s, d).transpose(1, 2).reshape(b, h, s, d)
        else:
            out = self._concat(q, _heads(attn, attn.to_k(x)), _heads(attn, attn.to_v(x)))
        return attn.to_out[0](out.transpose(1, 2).flatten(2))

    def _concat(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        (q, k, v), first = (x.unflatten(0, (-1, self.rows)) for x in (q, k, v)), 0 if self.twice else 1

        def beside(x: Tensor) -> Tensor:
            generated = x[:, first:]
            return torch.cat([x[:, :1].expand_as(generated), generated], dim=3).flatten(0, 1)

        out = F.scaled_dot_product_attention(q[:, first:].flatten(0, 1), beside(k), beside(v))
        if self.twice:
            return out
        own = F.scaled_dot_product_attention(q[:, 0], k[:, 0], v[:, 0])
        return torch.cat([own[:, None], out.unflatten(0, (-1, self.rows - 1))], dim=1).flatten(0, 1)

    def _references(self, x: Tensor) -> Tensor:
        return x.unflatten(0, (-1, self.rows))[:, 0]


def _heads(attn: Any, x: Tensor) -> Tensor:
    return x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)


def _adain(x: Tensor, target: Tensor) -> Tensor:
    (variance, mean), (other, center) = (torch.var_mean(y, dim=(-2, -1), keepdim=True) for y in (x, target))
    return (x - mean) / (variance + 1e-5).sqrt() * (other + 1e-5).sqrt() + center


class Peer:
    """A checkpoint in torch: UNet and text encoder in `dtype`, the autoencoder in float32."""

    def __init__(self, directory: Path, device: str, dtype: torch.dtype):
        self.device = device
        self.unet = UNet2DConditionModel.from_pretrained(directory / "unet", torch_dtype=dtype)
        self.unet = self.unet.to(device, memory_format=torch.channels_last)
        self.vae = AutoencoderKL.from_pretrained(directory / "vae", torch_dtype=torch.float32)
        self.vae = self.vae.to(device, memory_format=torch.channels_last)
        self.text = CLIPTextModel.from_pretrained(directory / "text_encoder", torch_dtype=dtype).to(device)
        self.scheduler = DDIMScheduler.from_pretrained(directory / "scheduler")
        self.attention = Reading()
        self.unet.set_attn_processor(self.attention)
        backend = "inductor" if device == "cuda" else "eager"  # a CPU only says that the graph has no breaks
        compiled = torch.compile(self.unet, fullgraph=True, dynamic=False, backend=backend)  # a graph a shape
        self.calls = {"eager": self.unet, "compiled": compiled}

    @torch.no_grad()
    def run(self, variant: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Final latents (e, n, h, w, c) and pixels of photos (e, H, W, 3) uint8; the kind of call, not its time."""
        unet = self.calls["compiled" if variant == "compiled" else "eager"]
        steps, permutations = int(inputs["num_inference_steps"]), self._tensor(inputs["permutations"])
        self._levels(steps)
        pixels = self._tensor(inputs["pixels"]).permute(0, 3, 1, 2).float() / 127.5 - 1
        factor = self.vae.config.scaling_factor
        clean = torch.cat([self.vae.encode(picture[None]).latent_dist.mean for picture in pixels]) * factor
        prompt, empty = (self.text(self._tensor(inputs[name]).long()).last_hidden_state for name in ("prompt", "empty"))
        chain = self._invert(unet, clean, prompt)
        start = chain[-1].flatten(2)[:, None].expand(-1, permutations.shape[1], -1, -1)
        start = start.gather(3, permutations[:, :, None].expand_as(start)).unflatten(-1, clean.shape[2:])
        guidance = float(inputs["guidance_scale"])
        boundaries = [float(inputs[name]) for name in ("t_align", "t_early")]
        if variant == "authors":
            each = [
                self._generate(unet, chain, start[:, n : n + 1], prompt, empty, guidance, *boundaries, references=2)
                for n in range(start.shape[1])
            ]
            final = torch.cat(each, dim=1)
        else:
            final = self._generate(unet, chain, start, prompt, empty, guidance, *boundaries, references=1)
        decoded = [self.vae.decode(row[None] / factor).sample for row in final.flatten(0, 1)]
        pictures = (torch.cat(decoded).clamp(-1, 1) * 127.5 + 127.5).round().byte().permute(0, 2, 3, 1)
        latents = final.permute(0, 1, 3, 4, 2)
        return {"latents": latents.cpu().numpy(), "pixels": pictures.unflatten(0, final.shape[:2]).cpu().numpy()}

    def _tensor(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(x)).to(self.device)

    def _levels(self, steps: int) -> None:
        self.scheduler.set_timesteps(steps)
        told = self.scheduler.timesteps.flip(0)
        self.timesteps, self.told = told.tolist(), told.to(self.device)  # there, so that no step waits for a copy
        alphas = self.scheduler.alphas_cumprod
        clean = self.scheduler.final_alpha_cumprod
        self.levels = [float(clean), *(float(alphas[t]) for t in self.timesteps)]

    def _predict(self, unet: Any, rows: Tensor, index: int, text: Tensor) -> Tensor:
        """The noise in latents, told a timestep by its place in the chain."""
        rows = rows.to(self.unet.dtype, memory_format=torch.channels_last)
        return unet(rows, self.told[index], text, return_dict=False)[0].float()

    def _move(self, x: Tensor, noise: Tensor, a: int, b: int) -> Tensor:
        (s, t) = self.levels[a], self.levels[b]
        return (t / s) ** 0.5 * x + ((1 - t) ** 0.5 - (t * (1 - s) / s) ** 0.5) * noise

    def _invert(self, unet: Any, clean: Tensor, text: Tensor) -> list[Tensor]:
        self.attention.mode = "plain"
        chain = [clean]
        for level in range(len(self.timesteps)):
            noise = self._predict(unet, chain[-1], level, text)
            chain.append(self._move(chain[-1], noise, level, level + 1))
        return chain

    def _generate(self, unet, chain, x, prompt, empty, guidance, t_align, t_early, *, references: int) -> Tensor:
        """x: (e, n, c, h, w). Rows: [ref | pos x n | neg x n], or [ref | pos x n] [ref of "" | neg x n]."""
        e, n, *shape = x.shape
        self.attention.rows, self.attention.twice = 1 + 2 * n // references, references == 2
        told = [(prompt, 1), (prompt, n), (empty, n)]
        if references == 2:
            told.insert(2, (empty, 1))
        text = torch.cat([one[:, None].expand(-1, count, -1, -1) for one, count in told], dim=1).flatten(0, 1)
        for level in range(len(self.timesteps), 0, -1):
            timestep = self.timesteps[level - 1]
            self.attention.mode = "replace" if timestep > t_align else "concat"
            reference = chain[level][:, None]
            rows = [reference, x, x] if references == 1 else [reference, x, reference, x]
            noise = self._predict(unet, torch.cat(rows, dim=1).flatten(0, 1), level - 1, text).unflatten(0, (e, -1))
            positive, negative = noise[:, 1 : 1 + n], noise[:, -n:]
            guided = negative + guidance * (positive - negative)
            if timestep > t_early:
                guided = _adain(guided, noise[:, :1])
            x = self._move(x, guided, level, level - 1)
        self.attention.mode = "plain"
        return x


def serve(directory: Path, device: str, dtype: str) -> None:
    """Answers one JSON line with another: {"variant", "inputs", "out"} with {"seconds"}."""
    disable_progress_bar()
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = dtype != "float32"
    peer = Peer(directory, device, getattr(torch, dtype))
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        inputs = dict(np.load(request["inputs"]))
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        results = peer.run(request["variant"], inputs)
        seconds = time.perf_counter() - start
        if request.get("out"):
            np.savez(request["out"], **results)
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
