"""What `rival reproduce` does: tables and figures, each written as soon as it is there."""

from __future__ import annotations

from pathlib import Path

from rival_jax import checks
from rival_jax.arguments import Reproduce
from rival_jax.baselines import table
from rival_jax.errors import InputError
from rival_jax.evidence.baselines import baselines
from rival_jax.evidence.between_photos import between_photos
from rival_jax.evidence.concepts import concepts, concepts_markdown
from rival_jax.evidence.editing import editing, editing_markdown
from rival_jax.evidence.experiment import Experiment
from rival_jax.evidence.figures import divergence_charts, divergence_curves, guidance_sheet
from rival_jax.evidence.interpolating import interpolating
from rival_jax.evidence.quality import PROMPTS, quality
from rival_jax.evidence.returning import returning, returning_markdown
from rival_jax.evidence.sequences import sequences_markdown
from rival_jax.evidence.settings import PAPER_STEPS, TABLES
from rival_jax.evidence.store import Store, digest_of
from rival_jax.evidence.tables import markdown, quality_markdown
from rival_jax.images import check_images
from rival_jax.metrics import judge, recogniser
from rival_jax.outputs import prepare_folder
from rival_jax.pipeline import RivalPipeline
from rival_jax.steps import Progress

_DRAWN = 8
"""Exemplars in the figures."""


def reproduce(args: Reproduce, progress: Progress) -> tuple[str, list[Path]]:
    """Measures and draws what was asked for; returns the tables' text and the files written.

    Raises InputError for bad arguments, before any model is loaded.
    """
    checks.count("exemplars", args.exemplars)
    checks.count("num_variations", args.num_variations)
    if args.photos:
        if "quality" not in args.evidence:
            raise InputError("photos are for `rival reproduce quality` only; name quality too, or leave them out.")
        check_images(list(args.photos))
    clip = args.clip or judge.EMBEDDED
    critic = judge.Judge.from_pretrained(clip)
    pipe = RivalPipeline.from_pretrained(args.model, args.dtype)
    store = Store(prepare_folder(args.out), (*map(Path, pipe.source.values()), clip, recogniser.EMBEDDED))
    experiment = Experiment.prepare(pipe, critic, args.exemplars, args.num_variations, store)
    networks = f"model {args.model} in {pipe.dtype}, judge {args.clip or 'embedded'}"
    conditions = (
        f"{args.exemplars} held-out exemplars x {args.num_variations} variations, {networks}, "
        f"T = {PAPER_STEPS} unless the row says otherwise. "
    )
    quality_conditions = (
        f"{args.exemplars} drawings of the world, {args.exemplars} held-out exemplars, {len(args.photos)} photos; "
        f"{PROMPTS} prompts at guidance 7; {networks}, T = {PAPER_STEPS}. VAE and inversion in decibels.\n\n"
    )
    tables, files = [], []
    for name in args.evidence:
        if name == "figures":
            files += _draw(experiment, progress)
            continue
        if name == "inversion":
            drawn = (
                f"{args.exemplars} held-out exemplars, {networks}, T = {PAPER_STEPS} unless the row says otherwise.\n\n"
            )
            tables.append(drawn + returning_markdown(returning(experiment, progress)))
        elif name == "editing":
            drawn = f"{args.exemplars} drawings of the world, of which one colour is changed, {networks}.\n\n"
            tables.append(drawn + editing_markdown(editing(experiment, progress)))
        elif name == "baselines":
            tables.append(conditions + "\n\n" + table.markdown(baselines(experiment, progress)))
        elif name == "concepts":
            tables.append(f"Means over concepts, {networks}.\n\n" + concepts_markdown(concepts(experiment, progress)))
        elif name == "interpolation":
            drawn = f"{args.exemplars} pairs of prompts, {networks}.\n\n"
            tables.append(drawn + sequences_markdown(interpolating(experiment, progress)))
        elif name == "morphing":
            drawn = f"{args.exemplars} pairs of held-out exemplars, {networks}.\n\n"
            tables.append(drawn + sequences_markdown(between_photos(experiment, progress)))
        elif name == "quality":
            tables.append(quality_conditions + quality_markdown(quality(experiment, args.photos, progress)))
        else:
            rows = markdown(TABLES[name], experiment.table(name, TABLES[name], progress))
            own = f"The exemplars' own text alignment is {experiment.own_text_alignment:.3f}.\n\n"
            tables.append(conditions + own + rows)
        files.append(store.write(f"table-{name}.md", tables[-1].encode()))
    return "\n".join(tables), files


def _draw(experiment: Experiment, progress: Progress) -> list[Path]:
    """Fig. 11 and 12 over the first exemplars."""
    pipe, store, captions = experiment.pipe, experiment.store, experiment.captions[:_DRAWN]
    chain = pipe.invert(experiment.exemplars[:_DRAWN], captions, PAPER_STEPS)
    guidance = store.write_png("figure-11.png", guidance_sheet(pipe, chain, captions))
    progress("figures", 1, 2)
    question = ["figure 12", digest_of(chain.pixels), captions, pipe.dtype, chain.num_inference_steps]
    curves = store.kept("figure 12", question, lambda: divergence_curves(pipe, chain, captions))
    timesteps = pipe.schedule.timesteps(chain.num_inference_steps)[::-1]
    charts = store.write_png("figure-12.png", divergence_charts(timesteps, curves))
    progress("figures", 2, 2)
    return [guidance, charts]
