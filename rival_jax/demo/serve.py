"""Serves the page of `rival demo`, to this machine alone unless told otherwise, and asks nothing of any other."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rival_jax import samples
from rival_jax.demo.arguments import Demo
from rival_jax.errors import InputError
from rival_jax.pipeline import RivalPipeline
from rival_jax.steps import Progress

if TYPE_CHECKING:
    from gradio import Blocks

MAX_FILE_SIZE = "20mb"
"""Of an upload; how many pixels a photo may have `rival_jax.images` says."""
MOST_WAITING = 20
"""Runs that wait for their turn."""
_SMALL = 128  # pixels
_SHARP = ".pictures img, .moving img { image-rendering: pixelated; }"


def serve(args: Demo, progress: Progress) -> Blocks:
    """Loads the model and starts the server, which runs in a thread of its own; its `local_url` says where.

    Raises InputError without gradio, for a port or a host that cannot be listened on, and for a bad model.
    """
    if importlib.util.find_spec("gradio") is None:
        raise InputError("The demo needs gradio; it comes with pip install 'rival-jax[demo]'.")
    if not 1 <= args.port <= 65535:
        raise InputError(f"port is {args.port}, but must be from 1 to 65535.")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when it is imported
    progress("loading", 0, 1)
    from gradio.themes import Default, Font

    from rival_jax.demo.tabs import page

    pipe = RivalPipeline.from_pretrained(args.model, args.dtype, config=args.model_config)
    progress("loading", 1, 1)
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    blocks = page(pipe, Path(args.model).name).queue(max_size=MOST_WAITING, api_open=False)
    try:
        blocks.launch(
            server_name=args.host,
            server_port=args.port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            ssr_mode=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            max_file_size=MAX_FILE_SIZE,
            allowed_paths=[str(samples.DIRECTORY)],
            theme=Default(
                primary_hue="indigo", font=(Font("system-ui"), Font("sans-serif")), font_mono=Font("monospace")
            ),
            css=css + (_SHARP if pipe.size < _SMALL else ""),
        )
    except OSError as error:
        raise InputError(f"{args.host}:{args.port} cannot be listened on; give another --port or --host.") from error
    return blocks
