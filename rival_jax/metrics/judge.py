"""A CLIP model that looks at pictures and texts: any in transformers' layout, or the one embedded here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.errors import InputError
from rival_jax.metrics.pictures import Normalisation, in_batches
from rival_jax.models.network import Network
from rival_jax.text import Tokenizer
from rival_jax.weights import CLIP, load_state, plan

EMBEDDED = Path(__file__).parent.parent / "assets" / "judge"


@dataclass(frozen=True)
class Judge:
    """CLIP, ready to embed. Made by `from_pretrained`.

    clip: both towers, on every device.
    tokenizer: of the text tower.
    normalisation: of the pixels that the picture tower reads.

    Source: https://arxiv.org/abs/2103.00020.
    """

    clip: Network
    tokenizer: Tokenizer
    normalisation: Normalisation

    @classmethod
    def from_pretrained(cls, directory: str | Path = EMBEDDED) -> Judge:
        """Reads a `directory` that `transformers.CLIPModel.save_pretrained` and its processor wrote, in float32.

        The default is the judge of the embedded model's world, which was trained apart from the model's own towers.
        Raises InputError for what cannot be read.
        """
        directory = Path(directory)
        if not directory.is_dir():
            raise InputError(
                f"{directory} is not a directory; give one that holds a CLIP model in transformers' layout."
            )
        parts = plan(directory, CLIP, jnp.float32)
        normalisation = Normalisation.from_pretrained(directory)
        tokenizer = Tokenizer.from_pretrained(directory, parts.config.text)
        return cls(Network(parts.graphdef, load_state(parts), parts.config), tokenizer, normalisation)

    def embed_images(self, images: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """Unit vectors (n, d) float32 of `images` (n, H, W, 3) uint8, each resized and cropped to what CLIP reads."""
        pixels = self.normalisation(images, self.clip.config.vision.image_size)
        return in_batches(partial(_apply, self.clip, method="embed_images"), pixels)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors (n, d) float32 of n `texts`. Raises InputError for a tokenizer that is another model's."""
        return in_batches(partial(_apply, self.clip, method="embed_text"), self.tokenizer(tuple(texts)))

    def distance(self, images: np.ndarray, others: np.ndarray) -> np.ndarray:
        """How different `images` (n, H, W, 3) uint8 look from as many `others`: 1 less the cosine, (n,), 0 ... 2."""
        return cosine_distance(self.embed_images, images, others)


def cosine_distance(embed: Callable[[np.ndarray], np.ndarray], images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """1 less the cosine, (n,), of unit vectors that `embed` makes of pictures (n, H, W, 3), each looked at once.

    Pictures that are the same are 0 apart.
    """
    pictures = np.concatenate([images, others])
    first: dict[bytes, int] = {}
    which = np.array([first.setdefault(picture.tobytes(), len(first)) for picture in pictures])
    different = np.unique(which, return_index=True)[1]
    one, other = np.split(which, 2)
    seen = embed(pictures[different])
    return np.where(one == other, 0, np.maximum(1 - (seen[one] * seen[other]).sum(axis=1), 0))


@partial(jax.jit, static_argnames=("method",))
def _apply(clip: Network, rows: jax.Array, method: str) -> jax.Array:
    with jax.default_matmul_precision("highest"):
        return getattr(clip.module(), method)(rows)
