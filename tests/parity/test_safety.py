"""The safety checker against diffusers', float32, on random weights read by the real loader."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion import safety_checker as theirs
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPVisionConfig

from rival_jax.safety import SafetyChecker, _apply

from .checkpoints import model_index, randomise, write_json
from .comparison import relative

LIMIT = 1e-5
SPECIAL, CAREFUL, PLAIN = 1, 4, 9
"""A special care concept, one of which a picture is guilty under special care alone, and one of which any may be."""


def cosines(model: theirs.StableDiffusionSafetyChecker, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the pictures with the special care concepts (n, 3) and with the others (n, 17)."""
    embedding = model.visual_projection(model.vision_model(pixels)[1])
    special, others = model.special_care_embeds, model.concept_embeds
    return theirs.cosine_distance(embedding, special), theirs.cosine_distance(embedding, others)


@torch.no_grad()
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_scores_and_verdicts(activation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vision = CLIPVisionConfig(
        hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=3, image_size=32, patch_size=8,
        hidden_act=activation,
    )  # fmt: skip
    model = theirs.StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision.to_dict(), projection_dim=24)).eval()
    randomise(model, torch.Generator().manual_seed(0))
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    pictures = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), np.uint8)
    pictures[::3] //= 4  # some dark: pictures of noise alone are much alike
    pixels = processor([Image.fromarray(picture) for picture in pictures], return_tensors="pt").pixel_values

    special, others = cosines(model, pixels)
    who = int(special[:, SPECIAL].argmax())
    model.special_care_embeds_weights.data.fill_(2.0)[SPECIAL] = special[:, SPECIAL].sort().values[-2:].mean()
    model.concept_embeds_weights.data.fill_(1.1)[CAREFUL] = others[who, CAREFUL] + 0.0053
    model.concept_embeds_weights.data[PLAIN] = others[:, PLAIN].sort().values[-3:-1].mean()
    model.save_pretrained(tmp_path / "safety_checker")
    processor.save_pretrained(tmp_path / "feature_extractor")
    checker = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    write_json(tmp_path / "model_index.json", model_index("DDIMScheduler") | {"safety_checker": checker})

    rounded = []
    monkeypatch.setattr(theirs, "round", lambda *x: rounded.append(round(*x)) or rounded[-1], raising=False)
    flagged = model(pixels, list(pictures.copy()))[1]
    scores = np.asarray(rounded).reshape(len(pictures), 3 + 17)
    assert np.flatnonzero((scores[:, :3] > 0).any(1)).tolist() == [who] and 0 < scores[who, 3 + CAREFUL] < 0.01
    assert (scores[:, 3 + PLAIN] > 0).sum() == 2 and 2 <= sum(flagged) < len(pictures)

    ours = SafetyChecker.from_pretrained(tmp_path)
    is_nsfw, highest = ours(pictures)
    read = jnp.asarray(ours.normalisation(pictures, 32))
    every, embedding = _apply(ours.network, read, "__call__"), ours.network.module().embed_images(read)
    ours_cosines = np.asarray(ours.network.module().concept(embedding)) + model.concept_embeds_weights.numpy()
    for what, found, expected in (
        ("cosines", ours_cosines, others),
        ("scores", every, scores[:, 3:]),
        ("largest score", highest, scores[:, 3:].max(1)),
    ):
        error = relative(found, expected)
        print(f"\n{activation} {what}: {error:.1e}")
        assert error <= LIMIT
    assert is_nsfw.tolist() == flagged
