"""A CLIP model that looks at pictures and texts: any in transformers' layout, or the one embedded here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.errors import InputError
from rival_jax.metrics.pictures import in_batches, resized
from rival_jax.models.network import Network
from rival_jax.text import Tokenizer
from rival_jax.weights import CLIP, load_state, plan
from rival_jax.weights.files import read_json

EMBEDDED = Path(__file__).parent.parent / "assets" / "judge"
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""What CLIP's own pictures are normalised with, where a model says nothing else."""


@dataclass(frozen=True)
class Judge:
    """CLIP, ready to embed. Made by `from_pretrained`."""

    clip: Network
    tokenizer: Tokenizer
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def from_pretrained(cls, directory: str | Path = EMBEDDED) -> Judge:
        """Reads a directory that `transformers.CLIPModel.save_pretrained` and its processor wrote, in float32.

        The default is the judge of the embedded model's world, which was trained apart from the model's own towers.
        Raises InputError for what cannot be read.
        """
        directory = Path(directory)
        if not directory.is_dir():
            raise InputError(
                f"{directory} is not a directory; give one that holds a CLIP model in transformers' layout."
            )
        parts = plan(directory, CLIP, jnp.float32)
        mean, std = _normalisation(directory)
        tokenizer = Tokenizer.from_pretrained(directory, parts.config.text)
        return cls(Network(parts.graphdef, load_state(parts), parts.config), tokenizer, mean, std)

    def embed_images(self, images: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """Unit vectors (n, d) float32 of pictures (n, H, W, 3) uint8, each resized and cropped to what CLIP reads."""
        pixels = resized(images, self.clip.config.vision.image_size).astype(np.float32) / 255
        return in_batches(partial(_apply, self.clip, method="embed_images"), (pixels - self.mean) / self.std)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors (n, d) float32."""
        return in_batches(partial(_apply, self.clip, method="embed_text"), self.tokenizer(tuple(texts)))


def _normalisation(directory: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (3,) of the pixels that CLIP was trained on.

    From preprocessor_config.json, or from processor_config.json, where transformers 5 writes it for a whole processor.
    Differs from transformers: pictures are always resized and cropped to the config's size, bicubic.
    """
    whole, part = directory / "processor_config.json", directory / "preprocessor_config.json"
    settings = read_json(whole).get("image_processor", {}) if whole.is_file() else read_json(part)
    statistics = []
    for name, usual in (("image_mean", _MEAN), ("image_std", _STD)):
        values = settings.get(name, usual)
        if len(values) != 3 or not all(isinstance(value, int | float) for value in values):
            raise InputError(f"{name} in {directory} is {values}, but must be three numbers.")
        statistics.append(np.asarray(values, np.float32))
    return statistics[0], statistics[1]


@partial(jax.jit, static_argnames=("method",))
def _apply(clip: Network, rows: jax.Array, method: str) -> jax.Array:
    with jax.default_matmul_precision("highest"):
        return getattr(clip.module(), method)(rows)
