"""The embedded recogniser on drawings it has never seen."""

import numpy as np
import pytest
from PIL import Image

from rival_jax.metrics.recogniser import Recogniser
from rival_jax.training.datasets import labelled


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser.from_pretrained()


def test_drawings_are_recognised(recogniser):
    """Of 150 new ones 95 % at least, thing and colour; a model's pictures can be judged by it."""
    drawn = labelled(150, 9_000_009)
    objects, colours = recogniser(drawn.pictures)
    assert (objects == drawn.objects).mean() >= 0.95 and (colours == drawn.colours).mean() >= 0.95


def test_any_size_and_number(recogniser):
    drawn = labelled(8, 9_000_009)
    larger = [np.asarray(Image.fromarray(picture).resize((96, 96))) for picture in drawn.pictures]
    for answers in (recogniser(drawn.pictures), recogniser(larger)):
        assert all(rows.shape == (8,) for rows in answers)
    assert (recogniser(larger)[1] == drawn.colours).mean() >= 0.75
