"""The four tabs of the page."""

from __future__ import annotations

import html
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, get_args

import gradio as gr
import numpy as np

from rival_jax import samples
from rival_jax.demo import drawing
from rival_jax.demo.parts import AT_ONCE, Fields, Results, photo_with_samples
from rival_jax.demo.running import draws
from rival_jax.errors import InputError
from rival_jax.options import EDIT, Choice
from rival_jax.pipeline import RivalPipeline

_CAPTIONS = samples.captions()
_RED = gr.Brush(colors=["#e11d48"], default_color="#e11d48", color_mode="fixed", default_size=40)


def page(pipe: RivalPipeline, model: str) -> gr.Blocks:
    """The page of a model of this name."""
    with gr.Blocks(title="rival", analytics_enabled=False, delete_cache=(600, 3600)) as blocks:
        size = f"{html.escape(model)} draws {pipe.size} x {pipe.size} pixels."
        says = f"Variations of your own photos, without training. The model {size}"
        gr.HTML(f"<h1>rival</h1><p>{says}</p>", elem_classes="head")
        for name, tab in {
            "Variation": variation,
            "Editing": editing,
            "Inpainting": inpainting,
            "Interpolation": interpolation,
        }.items():
            with gr.Tab(name):
                tab(pipe, blocks)
    return blocks


def variation(pipe: RivalPipeline, blocks: gr.Blocks) -> None:
    """`pipe.vary`."""
    sample, caption = samples.default()
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            prompt = gr.Textbox(caption, label="prompt", info="What the variations show.", render=False)
            file = photo_with_samples("photo", prompt, sample.name)
            prompt.render()
            source = gr.Textbox("", label="source_prompt", info="What the photo shows, where that is not the prompt.")
            buttons = gr.Column()
            with gr.Accordion("Settings", open=False):
                fields = Fields({"file": file, "prompt": prompt, "source_prompt": source})
                fields.slider("num_variations", 4, 1, 16, 1, "Variations of the photo.")
                fields.seed()
                fields.negative_prompt()
                fields.steps_and_guidance(5.0)
                fields.slider("t_align", 600, 0, 1000, 10, "Above it attention reads the photo alone; less keeps more.")
        with gr.Column(scale=3):
            results = Results.shown()
    with buttons:
        draws(partial(drawing.vary, pipe), fields.named, results, blocks)


def editing(pipe: RivalPipeline, blocks: gr.Blocks) -> None:
    """`pipe.edit`."""
    caption = _CAPTIONS["house.png"]
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            source = gr.Textbox(caption, label="source_prompt", info="What the photo shows.", render=False)
            file = photo_with_samples("photo", source, "house.png")
            source.render()
            prompt = gr.Textbox(caption.replace("red", "blue"), label="prompt", info="What it shall show.")
            buttons = gr.Column()
            with gr.Accordion("Settings", open=True):
                fields = Fields({"file": file, "source_prompt": source, "prompt": prompt})
                fields.slider("strength", 1.0, 0.05, 1.0, 0.05, "Share of the steps drawn anew; less keeps more.")
                fields.slider("attention_start", EDIT["attention_start"], 0, 1000, 10, "Less frees it from the photo.")
                fields.negative_prompt()
                fields.steps_and_guidance(5.0)
                gr.HTML("An edit starts from the photo's own noise: the same settings draw the same, without a seed.")
        with gr.Column(scale=3):
            results = Results.shown()
    with buttons:
        draws(partial(drawing.edit, pipe), fields.named, results, blocks)


def inpainting(pipe: RivalPipeline, blocks: gr.Blocks) -> None:
    """`pipe.inpaint`, with a mask that is painted over the photo."""
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            shown = "a yellow star on green grass under a blue sky"
            prompt = gr.Textbox(shown, label="prompt", info="What the photo shall show.", render=False)
            file = photo_with_samples("photo", prompt, "house.png")
            prompt.render()
            buttons = gr.Column()
            with gr.Accordion("Settings", open=False):
                fields = Fields({"file": file, "prompt": prompt})
                fields.slider("num_variations", 4, 1, 16, 1, "Fillings of the hole.")
                fields.seed()
                fields.negative_prompt()
                fields.steps_and_guidance(5.0)
        with gr.Column(scale=3):
            editor = gr.ImageEditor(
                label="paint over what shall be filled",
                type="numpy",
                sources=(),
                transforms=(),
                layers=False,
                brush=_RED,
                format="png",
                height=560,
                buttons=[],
            )
            results = Results.shown()
    gr.on([file.change, blocks.load], partial(_canvas, pipe), file, editor, **AT_ONCE)
    with buttons:
        draws(partial(_fill, pipe), fields.named | {"painted": editor}, results, blocks)


def interpolation(pipe: RivalPipeline, blocks: gr.Blocks) -> None:
    """`pipe.interpolate`, between prompts, photos, or one of each."""
    fields = Fields()
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            for name, text in (("start", "a red ball on green grass"), ("end", "a blue car on yellow sand")):
                fields.named[name] = gr.Textbox(text, label=name, info=f"What the {name} shows.")
                with gr.Accordion(f"Photo at the {name}", open=False):
                    fields.named[f"{name}_file"] = photo_with_samples(f"photo at the {name}", fields.named[name])
            buttons = gr.Column()
            with gr.Accordion("Settings", open=False):
                fields.slider("num_frames", 7, 3, 16, 1, "Pictures in all, with both ends.")
                fields.seed()
                fields.named["coefficients"] = gr.Dropdown(
                    list(get_args(Choice)),
                    label="coefficients",
                    info="How those between are found; beta is fastest.",
                )
                fields.slider("warmup_ratio", 0.5, 0, 1, 0.05, "Share of the steps in which attention is mixed.")
                fields.negative_prompt()
                fields.steps_and_guidance(7.5)
        with gr.Column(scale=3):
            results = Results.shown(moving=True)
    with buttons:
        draws(partial(drawing.interpolate, pipe), fields.named, results, blocks)


def _canvas(pipe: RivalPipeline, file: str | None) -> Any:
    """What to paint on; nothing where there is no photo, or a bad one, of which its own field tells."""
    with suppress(InputError):
        return drawing.canvas(pipe, file)


def _fill(pipe: RivalPipeline, painted: Mapping[str, Any] | None, **rest: Any) -> drawing.Drawn:
    """The layers' paint, as a mask."""
    layers = [layer[..., 3] for layer in painted["layers"]] if painted else []
    return drawing.inpaint(pipe, painted=np.max(layers, axis=0) if layers else None, **rest)
