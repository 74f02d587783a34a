"""Nothing is ever overwritten, nothing half-written is ever seen."""

import multiprocessing
import os
import stat

import numpy as np
import pytest
from PIL import Image

from rival_jax.errors import InputError
from rival_jax.outputs import prepare_folder, write_new, write_png


def names(folder) -> list[str]:
    return sorted(os.listdir(folder))


def test_folder_is_created_with_its_parents_and_left_empty(tmp_path):
    folder = prepare_folder(tmp_path / "a" / "b")
    assert folder == tmp_path / "a" / "b" and names(folder) == []
    (folder / "kept.txt").write_text("kept")
    assert prepare_folder(str(folder)) == folder and names(folder) == ["kept.txt"]


@pytest.mark.parametrize(
    "path, message", [("file", "file is not a folder"), ("file/below", "below cannot be written to")]
)
def test_a_file_in_the_way(tmp_path, path, message):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match=message):
        prepare_folder(tmp_path / path)
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("path", ["locked", "locked/below"])
def test_forbidden_folder(tmp_path, path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be written to .Permission denied"):
        prepare_folder(tmp_path / path)


def test_numbers_go_on_after_the_highest(tmp_path):
    for _ in range(2):
        for first_name in ["variation-0001.png", "variation-0001.png", "sheet.png", "run.json"]:
            write_new(tmp_path, first_name, b"")
    numbered = [f"variation-000{n}.png" for n in range(1, 5)]
    assert names(tmp_path) == sorted([*numbered, "sheet.png", "sheet-0002.png", "run.json", "run-0002.json"])
    (tmp_path / "variation-0041.png").write_bytes(b"")
    (tmp_path / "variation-9999.jpg").write_bytes(b"")
    (tmp_path / "my-variation-9999.png").write_bytes(b"")
    assert write_new(tmp_path, "variation-0001.png", b"").name == "variation-0042.png"
    (tmp_path / "variation-9999.png").write_bytes(b"")
    assert write_new(tmp_path, "variation-0001.png", b"").name == "variation-10000.png"
    (tmp_path / "sheet.png").unlink()
    assert write_new(tmp_path, "sheet.png", b"").name == "sheet-0003.png"


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_name_taken_meanwhile_is_left_alone(tmp_path, monkeypatch, hard_links):
    def refuse(*_):
        raise PermissionError("no hard links here")

    (tmp_path / "run.json").write_bytes(b"first")
    monkeypatch.setattr("rival_jax.outputs._highest_number", lambda *_: 0)  # as seen before the other one wrote
    if not hard_links:
        monkeypatch.setattr(os, "link", refuse)
    assert write_new(tmp_path, "run.json", b"second").name == "run-0002.json"
    assert [(tmp_path / name).read_bytes() for name in names(tmp_path)] == [b"second", b"first"]


def _write_many(folder, mark):
    for number in range(40):
        write_new(folder, "variation-0001.png", f"{mark} {number}".encode())


def test_two_processes_share_a_folder(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_write_many, args=(tmp_path, mark)) for mark in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert names(tmp_path) == [f"variation-{n:04d}.png" for n in range(1, 81)]
    contents = {path.read_text() for path in tmp_path.iterdir()}
    assert contents == {f"{mark} {number}" for mark in "ab" for number in range(40)}


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_new(tmp_path, "run.json", b"{}")
    assert names(tmp_path) == []


def test_pictures_come_back_exactly_and_are_readable_by_the_usual_people(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    path = write_png(tmp_path, "sheet.png", Image.fromarray(pixels))
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    (tmp_path / "plain").write_text("")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
