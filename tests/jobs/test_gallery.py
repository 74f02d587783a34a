"""The gallery: everything that a job made is on the page, escaped, and the page needs nothing but its folder."""

import html
import re

import pytest
from made import plan_of, publish_all, row_of, tree
from PIL import Image

from rival_jax.errors import InputError
from rival_jax.jobs.pages.gallery import Entry, gallery, write_gallery
from rival_jax.jobs.pages.histograms import BINS, histogram
from rival_jax.jobs.rows import STATUSES
from rival_jax.jobs.sample import Sample

HOSTILE = "<script>alert(\"x\")</script> & 'quotes' \u202eüñ"
RED = Image.new("RGB", (400, 200), "red")


def _entries():
    """One exemplar with a picture of every status, and one that cannot be read."""
    sample = Sample(HOSTILE, {}, HOSTILE, HOSTILE)
    pictures = [
        (
            row_of(
                sample, v, status=status, message="" if status == "success" else f"Because of {status}.", psnr=20.0 + v
            ),
            RED if status == "success" else None,
        )
        for v, status in enumerate(STATUSES)
    ]
    yield Entry(HOSTILE, HOSTILE, HOSTILE, RED, pictures)
    lost = row_of(Sample("lost", {}, None, None), 0, status="failed_to_read", message="lost is empty (0 bytes).")
    yield Entry("lost", None, "", None, [(lost, None)])


@pytest.fixture
def page(tmp_path):
    return write_gallery(tmp_path, HOSTILE, [("a fact", HOSTILE)], _entries())


def test_all_that_users_gave_is_escaped(page):
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text and html.escape(HOSTILE) in text
    assert text.count("<script>") == 1


def test_every_status_is_shown_with_its_sentence(page):
    text = page.read_text(encoding="utf-8")
    for status in STATUSES:
        assert f'data-status="{status}"' in text
        assert status == "success" or text.count(f"Because of {status}.") >= 2  # on its tile and in the table
    assert "1 of 8 pictures kept, of 2 exemplars" in text and "lost is empty (0 bytes)." in text
    assert "<dt>recipe</dt><dd><bdi>0</bdi></dd>" in text


def test_thumbnails_are_small_and_all_there(page):
    urls = re.findall(r'<img src="([^"]+)"', page.read_text(encoding="utf-8"))
    assert len(urls) == 2
    for url in urls:
        with Image.open(page.parent / url) as thumb:
            assert thumb.size == (320, 160)
    assert len(list((page.parent / "thumbs").iterdir())) == len(urls)


def test_nothing_comes_from_elsewhere(page):
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!thumbs/|#|data:,)""", text)
    assert "http" not in text and "@import" not in text and "fetch(" not in text


def test_the_same_job_gives_the_same_bytes(tmp_path, page):
    before = tree(page.parent)
    write_gallery(tmp_path, HOSTILE, [("a fact", HOSTILE)], _entries())
    assert tree(page.parent) == before and [path.name for path in tmp_path.iterdir()] == ["gallery"]


@pytest.mark.parametrize("form", ["folder", "webdataset", "parquet"])
def test_of_a_job(tmp_path, form, monkeypatch):
    monkeypatch.setattr("rival_jax.jobs.pages.gallery._MOST", 5)
    plan = plan_of(tmp_path, form)
    with pytest.raises(InputError, match="has made nothing yet"):
        gallery(plan)
    publish_all(plan)
    samples = [Sample(f"photos/{number}.jpg", {"path": "/gone"}, None, None) for number in range(14)]
    monkeypatch.setattr(type(plan), "samples", lambda _, shard: samples[shard * 4 : shard * 4 + 4])
    text = gallery(plan).read_text(encoding="utf-8")
    assert "5 of 14 exemplars, evenly chosen" in text and text.count('<section class="strip"') == 5
    assert text.count("The exemplar cannot be read.") >= 5 and ("../data/" in text) == (form == "folder")


def test_pictures_that_were_lost_are_shown_as_such(tmp_path, monkeypatch):
    plan = plan_of(tmp_path, "folder")
    publish_all(plan)
    monkeypatch.setattr(type(plan), "samples", lambda _, shard: [Sample("photos/4.jpg", {"path": "/gone"}, None, None)])
    monkeypatch.setattr(type(plan), "done", lambda _: {1})
    monkeypatch.setattr("rival_jax.jobs.pages.gallery._MOST", 1)
    gone, damaged = sorted(path for path in plan.data.rglob("4-*.png"))
    gone.unlink()
    damaged.write_bytes(damaged.read_bytes()[:60])
    assert gallery(plan).read_text(encoding="utf-8").count("The picture is gone or damaged.</span>") == 2


def test_histograms():
    figure = histogram("Title", "column", [0.0, 1.0, 1.0, float("nan")], [0.5])
    assert figure.count('class="kept"') == 2 and figure.count('class="dropped"') == 1 and "median 0.75" in figure
    assert "4 values from 0 to 1, median 0.75, 1 of them dropped" in figure
    assert histogram("Title", "column", [], [float("inf")]) == ""
    assert f'x="{BINS // 2 + 0.06:.2f}"' in histogram("Title", "column", [3.0, 3.0], [])
