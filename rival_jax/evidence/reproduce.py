"""All settings of some tables over the held-out exemplars; what is measured is kept, so a run goes on where it was."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rival_jax import checks
from rival_jax.arguments import Reproduce
from rival_jax.evidence.exemplars import draw_exemplars
from rival_jax.evidence.figures import divergence_charts, guidance_sheet
from rival_jax.evidence.quality import quality
from rival_jax.evidence.scores import measure
from rival_jax.evidence.settings import DEFAULTS, TABLES, Setting
from rival_jax.evidence.store import Store
from rival_jax.evidence.tables import markdown, quality_markdown
from rival_jax.images import check_images
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
    store: Store
    _chains: dict[tuple, Chain] = field(default_factory=dict)

    @classmethod
    def prepare(cls, pipe: RivalPipeline, judge: Judge, exemplars: int, num_variations: int, store: Store) -> Evidence:
        """Draws the exemplars at the model's own size."""
        return cls(pipe, judge, *draw_exemplars(exemplars, pipe.size), num_variations, store)

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
        guidance_sheet(self.pipe, chain, chain.source_prompt).save(self.store.folder / "figure-11.png")
        divergence_charts(self.pipe, chain, chain.source_prompt).save(self.store.folder / "figure-12.png")

    def scores(self, setting: Setting) -> dict[str, np.ndarray]:
        """MEASURES of a setting, one value an exemplar each (e,); read from the folder if they are there."""

        def measured() -> dict[str, list[float]]:
            scores = measure(self.judge, self.exemplars, self.captions, self.images(setting))
            return {name: values.tolist() for name, values in scores.items()}

        what = [
            {**DEFAULTS, **setting.options},
            setting.chain,
            len(self.captions),
            self.num_variations,
            self.pipe.dtype,
        ]
        results = self.store.kept(setting.name, what, measured)
        return {name: np.asarray(values) for name, values in results.items()}

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


def reproduce(args: Reproduce, progress: Progress) -> str:
    """Does what `rival reproduce` was asked for, writes tables, figures and scores, and returns the tables."""
    checks.count("exemplars", args.exemplars)
    checks.count("num_variations", args.num_variations)
    clip = args.clip or EMBEDDED
    judge = Judge.from_pretrained(clip)
    if args.photos:
        check_images(list(args.photos))
    pipe = RivalPipeline.from_pretrained(args.model, args.dtype)
    store = Store(prepare_folder(args.out), (pipe.directory, clip))
    evidence = Evidence.prepare(pipe, judge, args.exemplars, args.num_variations, store)
    tables = {}
    for name in args.evidence:
        if name in TABLES:
            tables[name] = markdown(TABLES[name], evidence.table(name, progress), _BASE[name])
        elif name == "quality":
            tables[name] = quality_markdown(quality(pipe, judge, args.exemplars, args.photos, store, progress))
        else:
            evidence.draw_figures()
    for name, text in tables.items():
        (store.folder / f"table-{name}.md").write_text(text)
    return "\n".join(tables.values())
