"""The gallery in a browser, from disk and by keys alone."""

import pytest
from made import row_of
from PIL import Image

from rival_jax.jobs.pages.gallery import Entry, write_gallery
from rival_jax.jobs.sample import Sample

pytestmark = pytest.mark.browser


@pytest.fixture
def page(chromium, tmp_path):
    """The page of three exemplars with two pictures each, of which the last one's second was filtered."""
    entries = []
    for number, label in enumerate(("cat", "dog", "cat")):
        sample, colour = Sample(f"{number}.png", {}, label, None), (80 * number, 120, 60)
        image = Image.new("RGB", (64, 48), colour)
        rows = [row_of(sample, 0), row_of(sample, 1)]
        if number == 2:
            rows[1] = row_of(sample, 1, status="filtered_label", message="It is no cat.")
        pictures = [(row, image if row.status == "success" else None) for row in rows]
        entries.append(Entry(sample.id, label, f"a {label}", image, pictures))
    path = write_gallery(tmp_path, "A job", [("model", "tiny")], entries)
    page, errors = chromium.new_page(), []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    yield page
    page.close()
    assert errors == []


def _focused(page):
    return page.evaluate("document.activeElement.id")


def test_keys_move_among_pictures(page):
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "j", "j", "k", "End", "Home"):
        page.keyboard.press(key)
        seen.append(_focused(page))
    assert seen == ["x0", "p0-0", "p0-1", "x1", "x2", "x1", "x2", "x0"]


def test_enter_opens_and_escape_closes(page):
    for key in ("j", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    large = page.locator("#large")
    assert large.is_visible() and "variation 0" in large.inner_text().lower() and large.locator("img").count() == 2
    page.keyboard.press("ArrowRight")
    assert "variation 1" in page.locator("#large-name").inner_text().lower()
    page.keyboard.press("Escape")
    assert not large.is_visible() and _focused(page) == "p0-1"
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()


def test_chips_filter(page):
    page.get_by_role("button", name="cat 2").click()
    assert page.locator(".strip:visible").count() == 2
    page.get_by_role("button", name="filtered label 1").click()
    assert page.locator(".strip:visible").count() == 1 and page.locator(".pictures > li:visible").count() == 1
    assert "It is no cat." in page.locator(".pictures > li:visible").inner_text()
    assert page.locator("#count").inner_text() == "1 exemplar, 1 picture"


def test_up_and_down_go_to_the_nearest_line(page):
    seen = []
    for key in ("ArrowDown", "ArrowRight", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
        seen.append(_focused(page))
    assert seen == ["x0", "p0-0", "p1-0", "p0-0"]


def test_a_line_of_the_table_leads_to_its_picture(page):
    page.get_by_role("button", name="dog 1").click()
    page.get_by_role("cell", name="2.png").get_by_role("link").click()
    page.wait_for_function("document.activeElement.id === 'p2-1'")
    assert page.locator(".strip:visible").count() == 3  # filters that hid it are off
    assert "It is no cat." in page.locator("#details").inner_text()


def test_the_large_view_has_the_picture_itself_where_it_lies_beside(chromium, tmp_path):
    sample = Sample("0.png", {}, None, None)
    (tmp_path / "data").mkdir()
    Image.new("RGB", (600, 300)).save(tmp_path / "data" / "a b#?.png")
    rows = [row_of(sample, 0, file_name="a b#?.png"), row_of(sample, 1, file_name="gone.png")]
    pictures = [(row, Image.new("RGB", (600, 300))) for row in rows]
    page = chromium.new_page()
    page.goto(write_gallery(tmp_path, "A job", [], [Entry("0.png", None, "", None, pictures)]).as_uri())
    for place, width in enumerate((600, 320)):
        page.locator(f"#p0-{place}").click()
        page.wait_for_function(f"document.querySelector('#large-pair img')?.naturalWidth === {width}")
        page.keyboard.press("Escape")
    page.close()


def test_a_narrow_window_has_no_sideways_scrolling(page):
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
