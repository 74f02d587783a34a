"""The rows of the paper's tables, and of our own, as arguments of `RivalPipeline.vary`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from rival_jax.options import TimestepConvention

ChainKind = tuple[int, TimestepConvention, str, bool]
"""Steps, convention, whether the caption or nothing is the source prompt, whether the reference is kept."""
Scores = tuple[float, float, float]
"""Palette distance, text alignment and image alignment."""

PAPER_STEPS = 50
"""The paper's number of inference steps; tables, figures and the model's own figures are of so many."""


@dataclass(frozen=True)
class Setting:
    """One row: what `vary` is told besides PAPER, the paper's own scores, how its chain was inverted.

    `against` names the row that this one is compared with; by default the table's first.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    paper: Scores | None = None
    against: str = ""
    num_inference_steps: int = PAPER_STEPS
    timestep_convention: TimestepConvention = "target"
    source: Literal["caption", "empty"] = "caption"
    cache_reference: bool = False

    @property
    def chain(self) -> ChainKind:
        """What tells one chain from another."""
        return self.num_inference_steps, self.timestep_convention, self.source, self.cache_reference


PAPER: dict[str, Any] = {
    "negative_prompt": "",
    "guidance_scale": 7.0,
    "t_align": 600,
    "t_early": 600,
    "attention_start": 1000,
    "initial": "shuffle",
    "reference": "shared",
    "align": "noise",
}
"""The paper's arguments, whatever the defaults of `vary` are; a row says what it does otherwise."""

_NO_ATTENTION = {"attention_start": 0}
_CONCAT_ONLY = {"t_align": 1000}
_NO_START = {"initial": "random"}
_NO_ALIGNMENT = {"align": "none"}

TEXT_TO_IMAGE: dict[str, Any] = _NO_ATTENTION | _NO_START | _NO_ALIGNMENT
"""Nothing of an exemplar."""

TABLE_3 = (
    Setting("baseline", TEXT_TO_IMAGE, (3.917, 0.266, 0.751)),
    Setting("AI", _CONCAT_ONLY | _NO_START | _NO_ALIGNMENT, (3.564, 0.277, 0.804)),
    Setting("AF", _NO_START | _NO_ALIGNMENT, (3.518, 0.274, 0.820)),
    Setting("LI", _NO_ATTENTION | _NO_ALIGNMENT, (3.102, 0.268, 0.764)),
    Setting("NA", _NO_ATTENTION | _NO_START, (3.661, 0.251, 0.647)),
    Setting("full", {}, (1.810, 0.268, 0.846)),
    Setting("w/o AI & AF", _NO_ATTENTION, (2.576, 0.276, 0.760), "full"),
    Setting("w/o AF & NA", _CONCAT_ONLY | _NO_ALIGNMENT, (2.419, 0.279, 0.817), "full"),
    Setting("w/o AF", _CONCAT_ONLY, (1.902, 0.274, 0.818), "full"),
    Setting("w/o LI", _NO_START, (3.741, 0.242, 0.653), "full"),
    Setting("w/o NA", _NO_ALIGNMENT, (2.335, 0.267, 0.839), "full"),
)
"""AI: attention injection (concat throughout); AF: attention fusion (replace early); LI: latents initialised from the
chain; NA: noise alignment. A component alone is compared with the baseline, what is left without it with the whole."""


def _boundaries(t_align: int, t_early: int, paper: Scores) -> Setting:
    return Setting(f"t_align {t_align}, t_early {t_early}", {"t_align": t_align, "t_early": t_early}, paper)


TABLE_4 = (
    _boundaries(600, 600, (1.810, 0.268, 0.846)),
    _boundaries(0, 600, (1.421, 0.261, 0.873)),
    _boundaries(600, 0, (1.806, 0.269, 0.838)),
    _boundaries(0, 0, (1.483, 0.259, 0.865)),
    _boundaries(600, 1000, (2.359, 0.267, 0.839)),
    _boundaries(1000, 600, (2.061, 0.274, 0.813)),
    _boundaries(1000, 1000, (2.419, 0.279, 0.817)),
)

_GUIDANCE = {
    3: (1.749, 0.260, 0.859),
    5: (1.685, 0.272, 0.863),
    7: (1.737, 0.273, 0.845),
    9: (1.829, 0.273, 0.845),
    11: (1.902, 0.271, 0.838),
}
TABLE_5 = tuple(
    Setting(f"guidance {scale}", {"guidance_scale": float(scale)}, paper, "guidance 7")
    for scale, paper in _GUIDANCE.items()
)

_LATENT = {"align": "latent", "t_early": 300}
_GENTLE = _LATENT | {"guidance_scale": 5.0}
VARIANTS = (
    Setting("full"),
    Setting("paired reference", {"reference": "paired"}),
    Setting("inversion current", timestep_convention="current"),
    Setting("kept reference", cache_reference=True),
    Setting("empty source prompt", source="empty"),
    Setting("gaussian start", {"initial": "gaussian"}),
    Setting("latent alignment", _LATENT),
    Setting("latent alignment, guidance 5", _GENTLE),
    Setting("latent alignment, guidance 3", _LATENT | {"guidance_scale": 3.0}),
    *(Setting(f"T = {steps}", num_inference_steps=steps) for steps in (30, 20, 10)),
    *(
        Setting(f"latent alignment, guidance 5, T = {steps}", _GENTLE, num_inference_steps=steps)
        for steps in (30, 20, 10)
    ),
)
"""What the paper leaves open or does otherwise."""

TABLES = {"3": TABLE_3, "4": TABLE_4, "5": TABLE_5, "variants": VARIANTS}
