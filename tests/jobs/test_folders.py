"""Labels as folders: readable where they can be, never shared."""

import os

import pytest

from rival_jax.jobs.shards.folders import folder_of

ODD = [
    *("a/b", "a\\b", "a-b", ".", "..", "...", ".hidden", "__special", "end.", "end ", " end", "end"),
    *("nul\0", "a:b", "*", "?", "\n", "\x85", "", "\udcff", "a-0123456789ab", "a-0123456789AB"),
    *("Cat", "cat", "CAT", "straße", "STRASSE", "é", "e\u0301", "unlabelled", "Unlabelled", "metadata.jsonl"),
    *("x" * 200, "x" * 201, "x" * 202, "猫" * 66, "猫" * 67, "猫" * 68),
]


@pytest.mark.parametrize("label", ["dog", "a tabby cat", "ice-cream", "n01440764", "собака", "A.B", "private_"])
def test_ordinary_labels_are_folders_as_they_are(label):
    assert folder_of(label, ("other", label)) == label


def test_no_two_labels_share_a_folder(tmp_path):
    folders = [folder_of(label, tuple(ODD)) for label in (None, *ODD)]
    assert len({folder.casefold() for folder in folders}) == len(folders)
    for folder in folders:
        (tmp_path / folder).mkdir()
        assert len(os.fsencode(folder)) <= 200 and folder[0] not in "._" and folder.isprintable()
    assert sorted(os.listdir(tmp_path)) == sorted(folders)


def test_unlabelled_pictures_have_a_folder_of_their_own():
    assert folder_of(None, ()) == "unlabelled" != folder_of("unlabelled", ("unlabelled",))
    assert folder_of("metadata.jsonl", ("metadata.jsonl",)).startswith("metadata.jsonl-")


def test_labels_of_one_spelling_are_told_apart():
    assert folder_of("cat", ("cat", "Cat")) != "cat" and folder_of("cat", ("cat", "dog")) == "cat"
