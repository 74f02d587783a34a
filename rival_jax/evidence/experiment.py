"""One model and judge over the held-out exemplars; what is measured is kept, so a run goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rival_jax.chain import Chain
from rival_jax.evidence.exemplars import draw_exemplars
from rival_jax.evidence.scores import measure
from rival_jax.evidence.settings import PAPER, ChainKind, Setting
from rival_jax.evidence.store import Store, digest_of
from rival_jax.metrics.judge import Judge
from rival_jax.pipeline import RivalPipeline
from rival_jax.steps import Progress

Row = tuple[list, Callable[[], dict[str, list[float]]]]
"""What a row asks, in plain JSON, and what measures it."""

_TOGETHER = 16
"""Exemplars in one program."""


@dataclass(frozen=True)
class Experiment:
    """What is measured: the model, the judge, the exemplars, and the folder that keeps the results."""

    pipe: RivalPipeline
    judge: Judge
    exemplars: np.ndarray
    captions: tuple[str, ...]
    num_variations: int
    store: Store
    _chains: dict[tuple, Chain] = field(init=False, default_factory=dict)

    @classmethod
    def prepare(cls, pipe: RivalPipeline, judge: Judge, count: int, num_variations: int, store: Store) -> Experiment:
        """Draws `count` exemplars at the model's own size."""
        pictures, captions = draw_exemplars(count, pipe.size)
        return cls(pipe, judge, pictures, captions, num_variations, store)

    def table(self, name: str, settings: tuple[Setting, ...], progress: Progress) -> dict[str, dict[str, np.ndarray]]:
        """The measures of a table's rows by their names."""
        results = {}
        for number, setting in enumerate(settings, start=1):
            results[setting.name] = self.scores(setting)
            progress(f"table {name}", number, len(settings))
        return results

    def scores(self, setting: Setting) -> dict[str, np.ndarray]:
        """What `measure` says of a setting; read from the folder if it is there."""

        def measured() -> dict[str, list]:
            scores = measure(self.judge, self.exemplars, self.captions, self.images(setting))
            return {name: values.tolist() for name, values in scores.items()}

        exemplars = [digest_of(self.exemplars), self.captions, self.num_variations]
        question = [PAPER | setting.options, setting.chain, exemplars, self.pipe.dtype]
        results = self.store.kept(setting.name, question, measured)
        return {name: np.asarray(values) for name, values in results.items()}

    def rows(self, stage: str, rows: Mapping[str, Row], progress: Progress) -> dict[str, dict[str, np.ndarray]]:
        """The measures of a table's rows by their names; read from the folder where they are there."""
        results = {}
        for number, (name, (question, measured)) in enumerate(rows.items(), start=1):
            kept = self.store.kept(name, question, measured)
            results[name] = {measure: np.asarray(values) for measure, values in kept.items()}
            progress(stage, number, len(rows))
        return results

    @cached_property
    def own_text_alignment(self) -> float:
        """The judge's cosine of the exemplars themselves to their captions, which leave their looks out."""
        pictures, texts = self.judge.embed_images(self.exemplars), self.judge.embed_texts(self.captions)
        return float((pictures * texts).sum(axis=1).mean())

    def images(self, setting: Setting) -> np.ndarray:
        """Pictures (e, n, H, W, 3) uint8; exemplar i has seed i in every setting, so that rows are paired."""
        options = PAPER | setting.options
        parts = []
        for start in range(0, len(self.captions), _TOGETHER):
            captions = self.captions[start : start + _TOGETHER]
            seeds = list(range(start, start + len(captions)))
            chain = self._chain(setting.chain, start)
            out = self.pipe.vary(chain, captions, num_variations=self.num_variations, seed=seeds, **options)
            parts.append(out.images)
        return np.concatenate(parts)

    def _chain(self, kind: ChainKind, start: int) -> Chain:
        """The chain of the exemplars from `start`, inverted once for all settings that follow it."""
        if (kind, start) not in self._chains:
            steps, convention, source, keep = kind
            rows = slice(start, start + _TOGETHER)
            prompts = self.captions[rows] if source == "caption" else ""
            chain = self.pipe.invert(self.exemplars[rows], prompts, steps, convention, cache_reference=keep)
            self._chains[kind, start] = chain
        return self._chains[kind, start]
