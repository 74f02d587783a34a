"""Pictures of the evidence: over guidance (Fig. 11), the chains' distance (Fig. 12), and what prompts become."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rival_jax.evidence.divergence import divergence
from rival_jax.evidence.settings import PAPER, TABLE_3
from rival_jax.inversion import Chain
from rival_jax.pipeline import RivalPipeline

_GUIDANCE = (3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0)
_CELL, _GAP, _FONT, _SMALL = 144, 6, 14, 11  # pixels
_WIDTH, _HEIGHT, _MARGIN = 560, 320, 48  # pixels, of one chart
_INKS = ("#1b6ca8", "#d1495b", "#3a7d44", "#8d6a9f", "#e08e45")

ABLATIONS = ("full", "w/o NA", "w/o AI & AF", "w/o LI", "baseline")
"""The rows of Table 3 that Fig. 12 compares."""


def guidance_sheet(pipe: RivalPipeline, chain: Chain, captions: tuple[str, ...]) -> Image.Image:
    """Fig. 11: for each exemplar two rows, with and without noise alignment, over guidance scales."""
    columns = ["exemplar", *(f"m = {scale:g}" for scale in _GUIDANCE)]

    def drawn(align: str, scale: float) -> np.ndarray:
        return pipe.vary(chain, captions, **PAPER | {"guidance_scale": scale, "align": align}).images[:, 0]

    cells = [[chain.pixels, *(drawn(align, scale) for scale in _GUIDANCE)] for align in ("noise", "none")]
    rows = [[pictures[index] for pictures in row] for index in range(len(captions)) for row in cells]
    names = [f"align={name}" for _ in captions for name in ("noise", "none")]
    step, left = _CELL + _GAP, 96
    sheet = Image.new("RGB", (left + len(columns) * step, 24 + len(rows) * step), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    for column, heading in enumerate(columns):
        draw.text((left + column * step + _CELL / 2, 12), heading, fill="black", font=font, anchor="mm")
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        y = 24 + number * step
        draw.text((4, y + _CELL / 2), name, fill="black", font=font, anchor="lm")
        for column, pixels in enumerate(row):
            picture = Image.fromarray(pixels).resize((_CELL, _CELL), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left + column * step, y))
    return sheet


def prompt_sheet(pictures: np.ndarray, prompts: Sequence[str]) -> Image.Image:
    """Pictures (n, H, W, 3) uint8, eight in a row, each above its prompt."""
    step, lines = _CELL + _GAP, 3
    height = step + lines * _SMALL + _GAP
    sheet = Image.new("RGB", (8 * step + _GAP, -(-len(pictures) // 8) * height + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_SMALL)
    for number, (pixels, prompt) in enumerate(zip(pictures, prompts, strict=True)):
        x, y = _GAP + number % 8 * step, _GAP + number // 8 * height
        sheet.paste(Image.fromarray(pixels).resize((_CELL, _CELL), Image.Resampling.LANCZOS), (x, y))
        draw.text((x, y + _CELL), "\n".join(textwrap.wrap(prompt, 26)[:lines]), fill="black", font=font, spacing=1)
    return sheet


def divergence_charts(pipe: RivalPipeline, chain: Chain, captions: tuple[str, ...]) -> Image.Image:
    """Fig. 12: KL divergence of the chains' latents, and the reference's share of attention, over the timesteps."""
    rows = {row.name: PAPER | row.options for row in TABLE_3}
    curves = {name: divergence(pipe, chain, captions, **rows[name]) for name in ABLATIONS}
    timesteps = pipe.schedule.timesteps(chain.num_inference_steps)[::-1]
    kls = {name: kl[:-1] for name, (kl, _) in curves.items()}
    shares = {name: share for name, (_, share) in curves.items()}
    charts = [
        _chart(
            "KL divergence to the inversion chain (log scale)",
            timesteps,
            {n: np.log10(k + 1e-6) for n, k in kls.items()},
        ),
        _chart("share of attention on the reference", timesteps, shares),
    ]
    both = Image.new("RGB", (_WIDTH * 2, _HEIGHT), "white")
    for number, chart in enumerate(charts):
        both.paste(chart, (number * _WIDTH, 0))
    return both


def _chart(title: str, timesteps: np.ndarray, curves: Mapping[str, np.ndarray]) -> Image.Image:
    """Lines over timesteps from 999 (left) to 0."""
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(_FONT)
    low, high = (bound(np.concatenate(list(curves.values()))) for bound in (np.min, np.max))
    draw.text((_WIDTH / 2, 12), title, fill="black", font=font, anchor="mm")
    draw.rectangle((_MARGIN, 28, _WIDTH - 12, _HEIGHT - 28), outline="gray")
    for value, y in ((high, 34), (low, _HEIGHT - 34)):
        draw.text((_MARGIN - 4, y), f"{value:.2f}", fill="black", font=font, anchor="rm")
    for timestep, x in ((999, _MARGIN), (0, _WIDTH - 12)):
        draw.text((x, _HEIGHT - 14), f"t = {timestep}", fill="black", font=font, anchor="mm" if timestep else "rm")
    for number, (ink, (name, values)) in enumerate(zip(_INKS, curves.items(), strict=True)):
        xs = _MARGIN + (999 - timesteps) / 999 * (_WIDTH - 12 - _MARGIN)
        ys = _HEIGHT - 34 - (values - low) / max(high - low, 1e-9) * (_HEIGHT - 68)
        draw.line(list(zip(xs.tolist(), ys.tolist(), strict=True)), fill=ink, width=2)
        draw.text((_MARGIN + 10, 42 + 16 * number), name, fill=ink, font=font, anchor="lm")
    return image
