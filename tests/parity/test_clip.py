"""The judge's CLIP against transformers', float32, on random weights read by the real loader."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPTokenizer,
    CLIPVisionConfig,
)

from rival_jax.metrics.judge import Judge

from .checkpoints import randomise, write_tokenizer
from .comparison import relative

LIMIT = 1e-5


@pytest.fixture(scope="module", params=["quick_gelu", "gelu"])
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CLIP as transformers writes it."""
    directory = tmp_path_factory.mktemp(request.param)
    vocabulary = write_tokenizer(directory, pad_token="<|endoftext|>")
    both = {"hidden_act": request.param, "num_hidden_layers": 2, "projection_dim": 24}
    text = CLIPTextConfig(
        hidden_size=32, intermediate_size=64, num_attention_heads=4, vocab_size=vocabulary, eos_token_id=2, **both
    )
    vision = CLIPVisionConfig(
        hidden_size=48, intermediate_size=96, num_attention_heads=3, image_size=32, patch_size=8, **both
    )
    model = CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=24))
    randomise(model, torch.Generator().manual_seed(0))
    model.save_pretrained(directory)
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    if request.param == "gelu":  # as a whole processor or by itself: transformers 5 writes other files
        CLIPProcessor(pictures, CLIPTokenizer.from_pretrained(directory)).save_pretrained(directory)
    else:
        pictures.save_pretrained(directory)
    return directory


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (80, 80)])
def test_towers(directory: Path, size: tuple[int, int]) -> None:
    """Texts, and pictures of CLIP's own size and larger ones, which both sides resize."""
    judge = Judge.from_pretrained(directory)
    theirs = CLIPModel.from_pretrained(directory, dtype=torch.float32).eval()
    texts = ["a red house", "two blue balls on the grass"]
    pictures = np.random.default_rng(0).integers(0, 256, (3, *size, 3), np.uint8)
    pixels = CLIPImageProcessor.from_pretrained(directory)([Image.fromarray(p) for p in pictures], return_tensors="pt")
    ids = judge.tokenizer(tuple(texts))
    found = theirs(input_ids=torch.from_numpy(ids).long(), pixel_values=pixels.pixel_values)
    for what, ours, expected in (
        ("texts", judge.embed_texts(texts), found.text_embeds),
        ("pictures", judge.embed_images(pictures), found.image_embeds),
    ):
        error = relative(ours, expected)
        print(f"\n{directory.name} {what}: {error:.1e}")
        assert error <= LIMIT
