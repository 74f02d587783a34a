"""What networks are told beside latents and timesteps: prompts, and with some models sizes or pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.errors import InputError
from rival_jax.kernels import KeysValues
from rival_jax.metrics.pictures import Normalisation
from rival_jax.models.down_path import sinusoid
from rival_jax.models.network import Network
from rival_jax.shapes import Pixels
from rival_jax.text import Tokenizer
from rival_jax.weights.files import TEXT_ENCODERS
from rival_jax.weights.textual_inversion import with_vectors


@partial(jax.tree_util.register_dataclass, data_fields=["tokens", "added", "pictures"], meta_fields=[])
@dataclass(frozen=True)
class Conditioning:
    """What networks are told beside latents and timesteps.

    tokens: (..., m, d), which cross-attention reads.
    added: (..., a) float32, which is added to the embedded timestep where the model wants it, else None.
    pictures: keys and values (..., p, h, k) that each cross-attention layer reads beside, an IP-Adapter's, else None.
    """

    tokens: jax.Array
    added: jax.Array | None = None
    pictures: list[KeysValues] | None = None

    @classmethod
    def shaped(cls, *lead: int, text: tuple[int, ...], added: int | None) -> Conditioning:
        """Shapes alone: of m tokens of width d, `text`, and of a vector of so many numbers."""
        vectors = None if added is None else jax.ShapeDtypeStruct((*lead, added), np.float32)
        return cls(jax.ShapeDtypeStruct((*lead, *text), np.float32), vectors)  # pyright: ignore[reportArgumentType]

    @classmethod
    def stacked(cls, each: Sequence[Conditioning]) -> Conditioning:
        """Several (e, ...) as one (e, p, ...)."""
        return jax.tree.map(lambda *parts: jnp.stack(parts, axis=1), *each)

    @property
    def text(self) -> tuple[int, ...]:
        """(m, d)."""
        return self.tokens.shape[-2:]


@dataclass(frozen=True)
class TextReader:
    """A text encoder and its tokenizer."""

    encoder: Network
    tokenizer: Tokenizer

    def with_token(self, token: str, vectors: np.ndarray) -> TextReader:
        """The same with one token more, for vectors (n, d). Raises InputError for a token that is known already."""
        tokenizer = self.tokenizer.with_token(token, len(vectors))
        return TextReader(with_vectors(self.encoder, len(self.tokenizer.tokenizer), vectors), tokenizer)


@dataclass(frozen=True)
class Noising:
    """mean, std: (d,) of image embeddings. levels: cumulative alphas of the noise levels 0 ... 999."""

    mean: np.ndarray
    std: np.ndarray
    levels: np.ndarray


@dataclass(frozen=True)
class PictureReader:
    """An image encoder, and with Stable unCLIP how its embeddings are noised."""

    encoder: Network
    normalisation: Normalisation
    noising: Noising | None = None


@dataclass(frozen=True)
class Shown:
    """Pictures as a prompt: (e, H, W, 3) uint8, and seeds (e,) of the noise on what is seen of them.

    noise_level: 0 ... 999, how much; 0 is none.
    """

    pixels: Pixels
    noise_level: int = 0
    seeds: np.ndarray | None = None


@dataclass(frozen=True)
class Conditioner:
    """All that makes a model's `Conditioning`.

    texts: one text encoder (SD 1.x, 2.x, Stable unCLIP), two (SDXL), or none (SD image variations).
    pictures: of image variation models and Stable unCLIP.
    size_width: of each embedded size, where the UNet is told of these (SDXL).
    empty_is_zero: whether the empty prompt is embedded as zeros (SDXL's `force_zeros_for_empty_prompt`).
    """

    texts: tuple[TextReader, ...]
    pictures: PictureReader | None = None
    size_width: int | None = None
    empty_is_zero: bool = False

    @property
    def length(self) -> int:
        """m, the tokens of a prompt."""
        return self.texts[0].tokenizer.length if self.texts else 1

    @property
    def first(self) -> TextReader:
        """The text encoder and tokenizer. Raises InputError where the model has none."""
        if not self.texts:
            raise InputError("The model has no text encoder: it is shown pictures in place of prompts.")
        return self.texts[0]

    @property
    def networks(self) -> dict[str, Network]:
        """The text encoders by the names of their folders."""
        return {name: reader.encoder for name, reader in zip(TEXT_ENCODERS, self.texts, strict=False)}

    def with_networks(self, networks: dict[str, Network]) -> Conditioner:
        """The same with some encoders, by the names of their folders, in place of its own."""
        named = zip(TEXT_ENCODERS, self.texts, strict=False)
        texts = tuple(replace(own, encoder=networks.get(name, own.encoder)) for name, own in named)
        seen = self.pictures and replace(self.pictures, encoder=networks.get("image_encoder", self.pictures.encoder))
        return replace(self, texts=texts, pictures=seen)

    def with_token(self, token: str, vectors: Sequence[np.ndarray]) -> Conditioner:
        """The same with one token more, for vectors (n, d) of each text encoder. Raises InputError as these do."""
        pairs = zip(self.texts, vectors, strict=True)
        return replace(self, texts=tuple(reader.with_token(token, own) for reader, own in pairs))

    def __call__(self, prompts: tuple[str, ...], size: tuple[int, int], shown: Shown | None = None) -> Conditioning:
        """Of e prompts, for pictures of (height, width) pixels; what shows nothing is the negative of what does."""
        if self.size_width is not None:
            return self._of_two(prompts, size)
        tokens = None
        if self.texts:
            reader = self.texts[0]
            tokens = _embed_text(reader.encoder, reader.tokenizer(prompts))
        if self.pictures is None:
            return Conditioning(tokens)  # pyright: ignore[reportArgumentType] (without pictures there are texts)
        seen = _seen(self.pictures, len(prompts), shown)
        return Conditioning(seen[:, None]) if tokens is None else Conditioning(tokens, seen)

    def _of_two(self, prompts: tuple[str, ...], size: tuple[int, int]) -> Conditioning:
        readers = self.texts
        ids = tuple(reader.tokenizer(prompts) for reader in readers)
        sizes = np.asarray([*size, 0, 0, *size], np.float32)  # original, offset of the cut, wanted
        is_told = np.asarray([bool(prompt) or not self.empty_is_zero for prompt in prompts])
        encoders = tuple(reader.encoder for reader in readers)
        return _embed_two_texts(
            encoders, ids, np.int32(readers[-1].tokenizer.end), sizes, is_told, width=self.size_width
        )


@jax.jit
def _embed_text(text_encoder: Network, ids_bm: np.ndarray) -> jax.Array:
    """Last hidden states (b, m, d) of token ids."""
    return text_encoder.module()(ids_bm)


@partial(jax.jit, static_argnames="width")
def _embed_two_texts(
    encoders, ids, end: jax.Array, sizes: jax.Array, is_told_b: jax.Array, *, width: int
) -> Conditioning:
    """The last hidden states but one of two encoders side by side; the second's pooled output, and sizes.

    Source: SDXL, section 2.1 and 2.2 (https://arxiv.org/abs/2307.01952).
    """
    first, second = (network.module() for network in encoders)
    tokens = jnp.concatenate([first.penultimate(ids[0]), second.penultimate(ids[1])], axis=-1)
    pooled = second.pooled(ids[1], end).astype(jnp.float32)
    embedded = jnp.broadcast_to(sinusoid(sizes, width).reshape(-1), (len(pooled), 6 * width))
    told = is_told_b[:, None]
    added = jnp.concatenate([jnp.where(told, pooled, 0.0), embedded], axis=-1)
    return Conditioning(jnp.where(told[..., None], tokens, jnp.zeros_like(tokens)), added)


def _seen(reader: PictureReader, count: int, shown: Shown | None) -> jax.Array:
    """Embeddings (e, d) of what is shown, of nothing zeros; with Stable unCLIP noised, and the noise level beside."""
    width = reader.encoder.config.projection_dim
    if shown is None:
        return jnp.zeros((count, 2 * width if reader.noising else width))
    pixels = reader.normalisation(shown.pixels, reader.encoder.config.image_size)
    seen, level = _embed_pictures(reader.encoder, pixels), shown.noise_level
    if reader.noising is None:
        return seen
    if level and shown.seeds is not None:
        noising = reader.noising
        seen = _noised(seen, noising.mean, noising.std, np.float32(noising.levels[level]), shown.seeds)
    told = jnp.broadcast_to(sinusoid(jnp.asarray([level], jnp.float32), width), seen.shape)
    return jnp.concatenate([seen, told], axis=-1)


@jax.jit
def _embed_pictures(image_encoder: Network, pixels: jax.Array) -> jax.Array:
    return image_encoder.module()(pixels).astype(jnp.float32)


@jax.jit
def _noised(seen_ed: jax.Array, mean: jax.Array, std: jax.Array, level: jax.Array, seeds_e: jax.Array) -> jax.Array:
    """Embeddings at a noise level, a cumulative alpha. Source: Stable unCLIP's `noise_image_embeddings` in diffusers.

    Differs: noise level 0 adds no noise, where diffusers adds the least of the schedule.
    """
    draw = jax.vmap(lambda seed: jax.random.normal(jax.random.key(seed, impl="threefry2x32"), seen_ed.shape[1:]))
    return (jnp.sqrt(level) * (seen_ed - mean) / std + jnp.sqrt(1 - level) * draw(seeds_e)) * std + mean
