"""The pieces that the page's tabs are made of: photos with samples, settings, results."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component

from rival_jax import samples
from rival_jax.demo.drawing import photo
from rival_jax.errors import InputError
from rival_jax.options import NUM_INFERENCE_STEPS

AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden"}
"""How what takes no time is run."""


def photo_with_samples(label: str, prompt: Component, sample: str | None = None) -> gr.Image:
    """Where a photo is dropped, above samples whose caption fills the prompt. What is no picture is told at once."""
    value = None if sample is None else str(samples.DIRECTORY / sample)
    dropped = gr.Image(
        value, label=label, type="filepath", sources=["upload", "clipboard"], format="png", height=240, buttons=[]
    )
    dropped.preprocess = lambda payload: payload and payload.path  # whose reading and wording are the library's
    captions = samples.captions()
    names = list(captions)
    strip = gr.Dataset(
        components=[gr.Image(type="filepath", visible=False)],
        samples=[[str(samples.DIRECTORY / name)] for name in names],
        samples_per_page=len(names),
        type="index",
        show_label=False,
        elem_classes="samples",
    )
    strip.click(
        lambda place: (str(samples.DIRECTORY / names[place]), captions[names[place]]),
        *(strip, [dropped, prompt]),
        **AT_ONCE,
    )
    dropped.upload(_check, dropped, show_progress="hidden").failure(lambda: None, None, dropped, **AT_ONCE)
    return dropped


def _check(file: str) -> None:
    """Says what is wrong with an upload; its field is then emptied."""
    try:
        photo(file)
    except InputError as error:
        raise gr.Error(html.escape(str(error)), title="Not possible", print_exception=False) from error


@dataclass
class Fields:
    """Settings of a tab by the library's names, in the order they are shown."""

    named: dict[str, Component] = field(default_factory=dict)

    def slider(self, name: str, value: float, low: float, high: float, step: float, info: str) -> None:
        self.named[name] = gr.Slider(low, high, value, step=step, label=name, info=info)

    def steps_and_guidance(self, guidance_scale: float) -> None:
        self.slider("num_inference_steps", NUM_INFERENCE_STEPS, 2, 100, 1, "Of inversion and of generation.")
        self.slider("guidance_scale", guidance_scale, 0, 20, 0.5, "Weight of the prompt.")

    def negative_prompt(self) -> None:
        self.named["negative_prompt"] = gr.Textbox("", label="negative_prompt", info="What must not be shown.")

    def seed(self) -> None:
        with gr.Row(equal_height=True):
            self.named["seed"] = gr.Number(0, label="seed", precision=0, info="The same one draws the same pictures.")
            self.named["random"] = gr.Checkbox(False, label="random", info="Any one; the field then shows which.")


@dataclass
class Results:
    """Where a tab's pictures appear, and what is said of them."""

    gallery: gr.Gallery
    note: gr.HTML
    animation: gr.HTML | None = None

    @classmethod
    def shown(cls, moving: bool = False) -> Results:
        """In the column that is open; with a moving picture or without."""
        gallery = gr.Gallery(
            show_label=False,
            columns=3,
            object_fit="contain",
            format="png",
            height="auto",
            buttons=["download", "download_all", "fullscreen"],
            elem_classes="pictures",
        )
        note = gr.HTML(elem_classes="note")
        return cls(gallery, note, gr.HTML(elem_classes="moving") if moving else None)
