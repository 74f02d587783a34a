"""Pictures of the evidence: variations over guidance (Fig. 11), and the chains' distance (Fig. 12)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rival_jax.chain import Chain
from rival_jax.evidence.divergence import divergence
from rival_jax.evidence.settings import PAPER, TABLE_3
from rival_jax.pipeline import RivalPipeline
from rival_jax.sheets import grid

_GUIDANCE = (3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0)
_WIDTH, _HEIGHT, _MARGIN, _FONT = 560, 320, 48, 14  # pixels, of one chart
_INKS = ("#1b6ca8", "#d1495b", "#3a7d44", "#8d6a9f", "#e08e45")

ABLATIONS = ("full", "w/o NA", "w/o AI & AF", "w/o LI", "baseline")
"""The rows of Table 3 that Fig. 12 compares."""

Curves = dict[str, list[float]]
"""`kl` at chain indices T ... 0, `share` at T ... 1."""


def guidance_sheet(pipe: RivalPipeline, chain: Chain, captions: tuple[str, ...]) -> Image.Image:
    """Fig. 11: for each exemplar two rows, with and without noise alignment, over guidance scales."""

    def row(align: str) -> np.ndarray:
        options = [PAPER | {"guidance_scale": scale, "align": align} for scale in _GUIDANCE]
        return np.stack([chain.pixels, *(pipe.vary(chain, captions, **given).images[:, 0] for given in options)], 1)

    cells = np.stack([row("noise"), row("none")], axis=1).reshape(-1, 1 + len(_GUIDANCE), *chain.pixels.shape[1:])
    headings = ["exemplar", *(f"guidance {scale:g}" for scale in _GUIDANCE)]
    return grid(cells, headings, ["align=noise", "align=none"] * len(captions))


def divergence_curves(pipe: RivalPipeline, chain: Chain, captions: tuple[str, ...]) -> dict[str, Curves]:
    """Fig. 12's numbers for some rows of Table 3."""
    rows = {row.name: PAPER | row.options for row in TABLE_3}
    curves = {name: divergence(pipe, chain, captions, **rows[name]) for name in ABLATIONS}
    return {name: {"kl": kl.tolist(), "share": share.tolist()} for name, (kl, share) in curves.items()}


def divergence_charts(timesteps: np.ndarray, curves: Mapping[str, Curves]) -> Image.Image:
    """Fig. 12: KL divergence of the chains' latents, and the reference's share of attention, over the timesteps."""
    kls = {name: np.log10(np.asarray(both["kl"][:-1]) + 1e-6) for name, both in curves.items()}
    shares = {name: np.asarray(both["share"]) for name, both in curves.items()}
    charts = Image.new("RGB", (_WIDTH * 2, _HEIGHT), "white")
    charts.paste(_chart("KL divergence to the inversion chain (log scale)", timesteps, kls), (0, 0))
    charts.paste(_chart("share of attention on the reference", timesteps, shares), (_WIDTH, 0))
    return charts


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
        line = _HEIGHT - 42 - 16 * (len(curves) - 1 - number)
        draw.text((_MARGIN + 60, line), name, fill=ink, font=font, anchor="lm")
    return image
