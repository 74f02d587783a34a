"""Functions that say what pictures show."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from PIL import Image

from rival_jax.errors import InputError

Captioner = Callable[[list[Image.Image]], list[str]]
BLIP = "Salesforce/blip-image-captioning-base"
_MOST_TOKENS = 40


def captioner(name: str) -> Captioner:
    """The function that a job's caption.captioner names: one caption for each of a list of RGB pictures.

    name: "blip", "blip:MODEL" (a hub id or a folder in transformers' layout), or "module:function" of your own.

    Raises InputError where it cannot be imported or loaded; the function raises it where it gives anything but one text
    for each picture.
    """
    module, _, rest = name.partition(":")
    if module == "blip":
        return _blip(rest or BLIP)
    if not module or not rest:
        raise InputError(f'The captioner {name!r} is unknown; accepted are "blip", "blip:MODEL" and "module:function".')
    return _checked(name, _imported(name, module, rest))


def _imported(name: str, module: str, function: str) -> Callable[..., Any]:
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as error:  # a module may raise anything
        raise InputError(
            f"The captioner {name!r} cannot be imported ({error}); its module must be installed or on PYTHONPATH."
        ) from error
    if not callable(found):
        raise InputError(
            f"The captioner {name!r} is no function; give one that makes captions of a list of PIL images."
        )
    return found


def _checked(name: str, function: Callable[..., Any]) -> Captioner:
    def captions(images: list[Image.Image]) -> list[str]:
        made = list(function(images))
        if len(made) != len(images) or not all(isinstance(caption, str) for caption in made):
            raise InputError(
                f"The captioner {name!r} must give one text for each of {len(images)} pictures; it gave {made}."
            )
        return made

    return captions


def _blip(model: str) -> Captioner:
    try:
        import torch
        from transformers import BlipForConditionalGeneration, BlipProcessor

        device = "cuda" if torch.cuda.is_available() else "cpu"
        processor: Any = BlipProcessor.from_pretrained(model)
        network: Any = BlipForConditionalGeneration.from_pretrained(model)
        network.eval().to(device)
    except ImportError as error:
        raise InputError(
            f"The captioner blip needs torch and transformers ({_line(error)}); "
            "install them with: pip install 'rival-jax[caption]'"
        ) from error
    except Exception as error:
        raise InputError(
            f"The captioner's model {model} cannot be loaded ({_line(error)}); give a BLIP folder or hub id."
        ) from error

    def captions(images: list[Image.Image]) -> list[str]:
        inputs = processor(images=images, return_tensors="pt").to(device)
        with torch.inference_mode():
            tokens = network.generate(**inputs, max_new_tokens=_MOST_TOKENS)
        return [text.strip() for text in processor.batch_decode(tokens, skip_special_tokens=True)]

    return captions


def _line(error: Exception) -> str:
    """The first line of what it says."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
