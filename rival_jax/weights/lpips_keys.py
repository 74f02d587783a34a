"""How LPIPS's files name its layers: torchvision's trunks, the `lpips` package's heads, and its state as a whole."""

from __future__ import annotations

from rival_jax.weights.rules import Rule, Table
from rival_jax.weights.sd_keys import CONV, POINTWISE, VECTOR

LPIPS = Table(
    (
        Rule(r"features\.\d+", "weight", "kernel", CONV),
        Rule(r"features\.\d+", "bias", "bias", VECTOR),
        Rule(r"heads\.\d", "weight", "kernel", POINTWISE),
        Rule(r"classifier\.\d", "(?:weight|bias)", None),
        Rule(r"lins\.\d\.model\.1", "weight", None),  # the heads once more
        Rule(r"scaling_layer", "(?:shift|scale)", None),  # the same numbers for all
    ),
    aliases=((r"^net\.slice\d\.", "features."), (r"^lin(\d)\.model\.1\.", r"heads.\1.")),
)
