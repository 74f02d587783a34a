"""The measures of the model's own quality, on networks of random weights and on pictures of known kinds."""

import numpy as np
import pytest

from rival_jax.evidence import quality
from rival_jax.evidence.quality import inversion_psnr, prompt_control, text_to_image, through_autoencoder
from rival_jax.training.datasets import labelled


def test_text_to_image(pipe, monkeypatch):
    """Prompts' pictures are their own, and the same in parts of any size."""
    prompts = ["a red house", "a blue fish", "a red house"]
    together = text_to_image(pipe, prompts, 2.0)
    assert together.shape == (3, pipe.size, pipe.size, 3)
    assert (together[0] != together[1]).any() and (together[0] != together[2]).any()
    monkeypatch.setattr(quality, "_TOGETHER", 2)
    np.testing.assert_allclose(text_to_image(pipe, prompts, 2.0).astype(int), together.astype(int), atol=1)


@pytest.mark.parametrize("measure", [through_autoencoder, lambda pipe, x: inversion_psnr(pipe, x, ["a", "b", "c"])])
def test_each_picture_is_measured(pipe, measure, monkeypatch):
    """For itself: in parts, the last one shorter, as together."""
    pictures = np.random.default_rng(0).integers(0, 256, (3, pipe.size, pipe.size, 3), np.uint8)
    together = measure(pipe, pictures)
    monkeypatch.setattr(quality, "_TOGETHER", 2)
    np.testing.assert_allclose(measure(pipe, pictures).astype(float), together.astype(float), atol=1)


def test_prompt_control():
    """Of drawings of what was wanted the recogniser says what they are; the same pictures elsewhere are wrong."""
    wanted = labelled(60, 7, 48)

    class Knowing:
        def __call__(self, pictures):
            same = [np.flatnonzero((wanted.pictures == picture).all(axis=(1, 2, 3)))[0] for picture in pictures]
            return wanted.objects[same], wanted.colours[same]

    class Mean:
        def embed_images(self, pictures):
            return pictures.mean(axis=(1, 2)) / 255

    right = prompt_control(wanted.pictures, wanted, Mean(), Knowing())
    assert right["object recognised, made"] == right["colour recognised, drawn"] == 1 and right["KID x 1000"] < 50
    wrong = prompt_control(wanted.pictures[::-1], wanted, Mean(), Knowing())
    assert wrong["object recognised, made"] < 0.5 and wrong["object recognised, drawn"] == 1
