"""The exemplars that travel inside the package."""

import numpy as np
from PIL import Image

from rival_jax import samples


def test_every_sample_has_a_caption_and_every_caption_a_sample():
    captions = samples.captions()
    assert sorted(captions) == sorted(file.name for file in samples.DIRECTORY.glob("*.png"))
    assert len(captions) >= 8 and all(caption.strip() for caption in captions.values())


def test_samples_are_small_square_pictures():
    for name in samples.captions():
        with Image.open(samples.DIRECTORY / name) as image:
            assert image.mode == "RGB" and image.width == image.height >= 48
            assert np.asarray(image).std() > 10, f"{name} is nearly blank"


def test_the_default_is_one_of_them():
    path, caption = samples.default()
    assert path.is_file() and samples.captions()[path.name] == caption
