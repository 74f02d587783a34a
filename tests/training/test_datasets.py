"""Drawn data: the same however it is drawn, and labelled with what it shows."""

import numpy as np

from rival_jax.training.datasets import labelled, make_dataset


def test_dataset_is_the_same_for_any_number_of_processes() -> None:
    images, texts = make_dataset(260, seed=7, size=16, processes=1)
    again, again_texts = make_dataset(260, seed=7, size=16, processes=2)
    assert images.shape == (260, 16, 16, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(images, again)
    assert texts == again_texts


def test_a_shorter_dataset_is_the_start_of_a_longer_one() -> None:
    images, texts = make_dataset(8, seed=3)
    fewer, fewer_texts = make_dataset(5, seed=3)
    np.testing.assert_array_equal(images[:5], fewer)
    assert texts[:5] == fewer_texts
    other, _ = make_dataset(5, seed=4)
    assert (other != fewer).any()


def test_labelled_drawings() -> None:
    """Labels say what the caption says; a longer list begins with the shorter."""
    some = labelled(3, 5, 16)
    assert some.pictures.shape == (3, 16, 16, 3)
    for text, thing, colour in zip(some.captions, some.objects, some.colours, strict=True):
        assert colour in text and thing[:-1] in text
    np.testing.assert_array_equal(some.pictures[:2], labelled(2, 5, 16).pictures)
