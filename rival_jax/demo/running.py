"""What a tab's buttons do: draw, say how far it is and what came of it, and stop."""

from __future__ import annotations

import base64
import html
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from rival_jax.demo.drawing import Drawn, chosen_seed
from rival_jax.demo.parts import AT_ONCE, Results
from rival_jax.demo.runs import Cancelled, Runs
from rival_jax.errors import TOO_LITTLE_MEMORY, InputError, is_out_of_memory

_TURN = "one at a time"
_PROGRESS = gr.Progress()


def draws(draw: Callable[..., Drawn], given: Mapping[str, Component], results: Results, page: gr.Blocks) -> None:
    """Two buttons: one draws what is given, and one stops that. One run at a time, whichever tab it is of.

    Args:
        draw: takes the values of the components that are `given` by their names, and `progress`.
    """
    runs, names = Runs(), list(given)
    with gr.Row():
        start = gr.Button("Draw", variant="primary", scale=3)
        stop = gr.Button("Cancel", interactive=False, scale=1, min_width=90)

    def begin(request: gr.Request):
        runs.begin(_visitor(request))
        return gr.Button(interactive=False), gr.Button(interactive=True), ""

    def cancel(request: gr.Request):
        runs.cancel(_visitor(request))
        return gr.Button(interactive=False), "Stopping after the steps that are under way …"

    def leave(request: gr.Request):
        runs.cancel(_visitor(request))

    def run(request: gr.Request, progress=_PROGRESS, *values):
        settings = dict(zip(names, values, strict=True))
        if "seed" in settings:
            settings["seed"] = chosen_seed(settings["seed"], settings.pop("random"))
        began = time.perf_counter()

        def show(stage: str, done: int, total: int) -> None:
            progress((done, total), desc=stage, unit="steps")

        watched = runs.watched(_visitor(request), show)
        try:
            watched("starting; a first run compiles", 0, 1)
            drawn = _with_warnings(draw, **settings, progress=watched)
        except Cancelled:
            return {results.note: "Cancelled."}
        except Exception as error:
            return {results.note: html.escape(_sentence(error))}
        finally:
            runs.end(_visitor(request))
        said = f"{time.perf_counter() - began:.1f} s."
        shown: dict[Component, Any] = {results.gallery: drawn.pictures}
        if "seed" in settings:
            said = f"Seed {settings['seed']}, {said}"
            shown[given["seed"]] = settings["seed"]
        if results.animation and drawn.animation:
            shown[results.animation] = _looping(drawn.animation)
        return shown | {results.note: said}

    outputs = [results.gallery, results.note, *filter(None, [results.animation, given.get("seed")])]
    start.click(begin, None, [start, stop, results.note], **AT_ONCE).then(
        run, list(given.values()), outputs, concurrency_limit=1, concurrency_id=_TURN, show_progress_on=results.gallery
    ).then(lambda: (gr.Button(interactive=True), gr.Button(interactive=False)), None, [start, stop], **AT_ONCE)
    stop.click(cancel, None, [stop, results.note], **AT_ONCE)
    page.unload(leave)


def _visitor(request: gr.Request) -> str:
    return request.session_hash or ""


def _with_warnings(draw: Callable[..., Drawn], **settings: Any) -> Drawn:
    """What is drawn; what the library warns of meanwhile is shown on the page."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        drawn = draw(**settings)
    for warning in caught:
        gr.Warning(html.escape(str(warning.message)), title="Note")
    return drawn


def _sentence(error: Exception) -> str:
    """What the page says of an error; one of ours goes to the terminal, whole."""
    if isinstance(error, InputError):
        sentence = str(error)
    elif is_out_of_memory(error):
        sentence = TOO_LITTLE_MEMORY
    else:
        traceback.print_exception(error)
        sentence = "This is an error in the program; the terminal says more."
    gr.Warning(html.escape(sentence), title="Not possible")
    return sentence


def _looping(gif: bytes) -> str:
    """A moving picture inside the page, so that no file of it is left behind."""
    return f'<img alt="forth and back" src="data:image/gif;base64,{base64.b64encode(gif).decode()}">'
