"""All settings of some tables over the held-out exemplars; what is measured is kept, so a run goes on where it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rival_jax import checks
from rival_jax.arguments import Reproduce
from rival_jax.evidence.exemplars import draw_exemplars
from rival_jax.evidence.figures import divergence_charts, guidance_sheet
from rival_jax.evidence.scores import measure
from rival_jax.evidence.settings import DEFAULTS, TABLES, Setting
from rival_jax.evidence.tables import markdown
from rival_jax.inversion import Chain
from rival_jax.metrics.judge import EMBEDDED, Judge
from rival_jax.options import TimestepConvention
from rival_jax.outputs import prepare_folder
from rival_jax.pipeline import RivalPipeline
from rival_jax.steps import Progress

_BASE = {"3": "full", "4": "t_align 600, t_early 600", "5": "guidance 7", "variants": "full"}
"""The row that a table's other rows are compared with."""
_TOGETHER = 16
"""Exemplars in one program."""


@dataclass(frozen=True)
class Evidence:
    """What is measured: the model, the judge, the exemplars, and the folder that keeps the results."""

    pipe: RivalPipeline
    judge: Judge
    exemplars: np.ndarray
    captions: tuple[str, ...]
    num_variations: int
    folder: Path
    _chains: dict[tuple, Chain] = field(default_factory=dict)

    @classmethod
    def prepare(cls, pipe: RivalPipeline, judge: Judge, exemplars: int, num_variations: int, folder: Path) -> Evidence:
        """Draws the exemplars at the model's own size."""
        return cls(pipe, judge, *draw_exemplars(exemplars, pipe.size), num_variations, folder)

    def table(self, name: str, progress: Progress) -> dict[str, dict[str, np.ndarray]]:
        """The measures of a table's rows by their names."""
        results = {}
        for number, setting in enumerate(TABLES[name], start=1):
            results[setting.name] = self.scores(setting)
            progress(f"table {name}", number, len(TABLES[name]))
        return results

    def draw_figures(self, exemplars: int = 8) -> None:
        """Fig. 11 and 12 over the first exemplars, as PNG files in the folder."""
        chain = self.pipe.invert(self.exemplars[:exemplars], self.captions[:exemplars])
        guidance_sheet(self.pipe, chain, chain.source_prompt).save(self.folder / "figure-11.png")
        divergence_charts(self.pipe, chain, chain.source_prompt).save(self.folder / "figure-12.png")

    def scores(self, setting: Setting) -> dict[str, np.ndarray]:
        """MEASURES of a setting, one value an exemplar each (e,); read from the folder if they are there."""
        path = self.folder / f"{self._key(setting)}.json"
        if not path.exists():
            images = self.images(setting)
            scores = measure(self.judge, self.exemplars, self.captions, images)
            content = {"setting": setting.name} | {name: values.tolist() for name, values in scores.items()}
            path.with_suffix(".tmp").write_text(json.dumps(content))
            path.with_suffix(".tmp").replace(path)
        content = json.loads(path.read_text())
        return {name: np.asarray(values) for name, values in content.items() if name != "setting"}

    def images(self, setting: Setting) -> np.ndarray:
        """Pictures (e, n, H, W, 3) uint8; exemplar i has seed i in every setting, so that rows are paired."""
        parts = []
        for start in range(0, len(self.captions), _TOGETHER):
            rows = slice(start, start + _TOGETHER)
            seeds = list(range(len(self.captions)))[rows]
            chain = self._chain(*setting.chain, start)
            options = {"num_variations": self.num_variations, "seed": seeds, **setting.options}
            parts.append(self.pipe.vary(chain, self.captions[rows], **options).images)
        return np.concatenate(parts)

    def _chain(self, steps: int, convention: TimestepConvention, source: str, start: int) -> Chain:
        """The chain of the exemplars from `start`, inverted once for all settings that follow it."""
        key = steps, convention, source, start
        if key not in self._chains:
            rows = slice(start, start + _TOGETHER)
            prompts = self.captions[rows] if source == "caption" else ""
            self._chains[key] = self.pipe.invert(self.exemplars[rows], prompts, steps, convention)
        return self._chains[key]

    def _key(self, setting: Setting) -> str:
        """A name that changes with anything that changes the numbers."""
        what = {**DEFAULTS, **setting.options}, setting.chain, len(self.captions), self.num_variations, self.pipe.dtype
        weights = [(file.name, file.stat().st_size) for file in sorted(self.pipe.directory.rglob("*.safetensors"))]
        return hashlib.sha256(json.dumps([what, weights]).encode()).hexdigest()[:16]


def reproduce(args: Reproduce, progress: Progress) -> str:
    """Does what `rival reproduce` was asked for, writes tables, figures and scores, and returns the tables."""
    checks.count("exemplars", args.exemplars)
    checks.count("num_variations", args.num_variations)
    folder = prepare_folder(args.out)
    judge = Judge.from_pretrained(args.clip or EMBEDDED)
    pipe = RivalPipeline.from_pretrained(args.model, args.dtype)
    evidence = Evidence.prepare(pipe, judge, args.exemplars, args.num_variations, folder)
    wanted = [name for name in args.evidence if name in TABLES]
    tables = {name: markdown(TABLES[name], evidence.table(name, progress), _BASE[name]) for name in wanted}
    for name, text in tables.items():
        (folder / f"table-{name}.md").write_text(text)
    if "figures" in args.evidence:
        evidence.draw_figures()
    return "\n".join(tables.values())
