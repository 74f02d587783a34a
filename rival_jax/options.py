"""The words that arguments accept, in one place and without importing JAX, so that `rival --help` is quick."""

from __future__ import annotations

from typing import Literal, get_args

Initial = Literal["shuffle", "gaussian", "inverted", "random"]
"""What generation starts from (RIVAL Eq. 6)."""
Align = Literal["noise", "latent", "none"]
"""What is held to the chain's statistics: the predicted noise (Eq. 7-8), the latents, or nothing."""
Reference = Literal["shared", "paired"]
"""Whether both guidance halves read one reference row, or the negative half one of the empty prompt."""
TimestepConvention = Literal["target", "current"]
"""Which timestep the UNet is told during inversion."""
Solver = Literal["ddim", "dpm++"]
"""How a step is made of a prediction: DDIM, or DPM-Solver++ of second order (2M)."""
Kind = Literal["outer", "inner"]
"""What is mixed between two ends: what attention makes of either, or their keys and values (AID section 3.2)."""
Choice = Literal["explore", "search", "beta"]
"""How coefficients of frames are found: by frames where the sequence jumps most, by a search for the Beta distribution
that spaces three of them evenly, or by a Beta distribution as it is given."""
SlerpAxis = Literal["width", "flat"]
"""What of a latent is one vector: a row of a channel (the authors'), or all of it."""
Backend = Literal["dense", "cudnn", "chunked", "pallas"]
"""How attention is computed."""
DType = Literal["float32", "bfloat16", "float16"]
"""Of the UNet's and the text encoder's weights and arithmetic."""

NUM_INFERENCE_STEPS = 30
"""Of inversion and of generation, where nobody says."""

GENERATE = {"source_prompt": "", "attention_start": 960.0}
EDIT = {"source_prompt": "", "attention_start": 900.0, "initial": "inverted"}
INPAINT = {"source_prompt": ""}
"""What `generate`, `edit` and `inpaint` do otherwise than `vary`."""

Learner = Literal["textual-inversion", "lora", "dreambooth"]
"""How a concept is learnt."""

Topic = Literal[
    "3",
    "4",
    "5",
    "variants",
    "figures",
    "quality",
    "inversion",
    "editing",
    "concepts",
    "interpolation",
    "morphing",
    "baselines",
]
"""Tables of the paper's Appendix D, what the paper leaves open, its Fig. 11 and 12, how good the model is, how well
photos come back, what editing keeps, whether a learnt concept is drawn, how sequences change, and how
other methods do."""

INITIALS, ALIGNMENTS, REFERENCES = get_args(Initial), get_args(Align), get_args(Reference)
CONVENTIONS, SOLVERS, KINDS = get_args(TimestepConvention), get_args(Solver), get_args(Kind)
CHOICES, SLERP_AXES = get_args(Choice), get_args(SlerpAxis)
LEARNERS = get_args(Learner)
DTYPES, BACKENDS = get_args(DType), get_args(Backend)
